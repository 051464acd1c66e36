"""`LLMAdvisor`: shows the evidence to a language model and reads proposals from its reply."""

from __future__ import annotations

import time
from dataclasses import replace

from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.prompt import reply_schema, system_prompt, user_prompt
from raymimic.advisor.reply import read_proposals
from raymimic.advisor.trial_text import quote
from raymimic.errors import AdvisorError, BadReply, LLMError, LLMSetupError
from raymimic.llm import LLM, Reply, Request, request_json
from raymimic.records import Advice, Call

# Room in the reply: a rationale and JSON around it, each parameter's name and value, and the
# thinking that some models count as output.
_TOKENS_BASE = 2048
_TOKENS_PROPOSAL = 150
_TOKENS_PARAMETER = 16

# A reply that is not the JSON asked for is asked for once more with the fault named.
_ATTEMPTS = 2


def build_request(evidence: SearchEvidence, n: int, deadline: float = 60.0) -> Request:
    """Return the exact request that asks a model for ``n`` configurations."""
    per_proposal = _TOKENS_PROPOSAL + _TOKENS_PARAMETER * len(evidence.space.dimensions)
    return Request(
        system=system_prompt(evidence),
        user=user_prompt(evidence, n),
        schema=reply_schema(evidence.space),
        max_tokens=_TOKENS_BASE + n * per_proposal,
        deadline=deadline,
    )


class LLMAdvisor:
    """Asks a language model. ``timeout`` (seconds) bounds one answer, second attempt included."""

    remote = True

    def __init__(self, llm: LLM, timeout: float = 60.0) -> None:
        self.llm = llm
        self.timeout = timeout

    @property
    def name(self) -> str:
        """The model's name."""
        return self.llm.model

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose ``n`` configurations; raises `AdvisorError` with the calls made."""
        request = build_request(evidence, n, self.timeout)
        end = time.monotonic() + self.timeout
        calls: list[Call] = []
        attempt = 1
        while True:
            try:
                reply = self._complete(request, calls)
                proposals, drops = read_proposals(reply.text, n)
            except BadReply as error:
                calls[-1] = replace(calls[-1], status=error.status, error=str(error))
                left = end - time.monotonic()
                if attempt == _ATTEMPTS or left < 1.0:
                    raise _failed(error, calls) from None
            except LLMError as error:
                raise _failed(error, calls) from None
            else:
                return Advice(proposals, drops, tuple(calls))
            attempt += 1
            again = f"Your last reply was refused: {quote(calls[-1].error, 300)}. Reply again."
            request = replace(request, user=f"{request.user}\n\n{again}", deadline=left)

    def _complete(self, request: Request, calls: list[Call]) -> Reply:
        """Call the model; the call is added to ``calls`` whatever comes of it."""
        begun = time.monotonic()
        call = Call(self.name, "ok", 0.0, request=request_json(request))
        try:
            reply = self.llm.complete(request)
        except LLMError as error:
            calls.append(
                replace(
                    call,
                    status=error.status,
                    seconds=time.monotonic() - begun,
                    tokens_in=error.tokens_in,
                    tokens_out=error.tokens_out,
                    cost=error.cost,
                    tries=max(1, len(error.failed_tries)),
                    failed_tries=error.failed_tries,
                    error=str(error),
                )
            )
            raise
        calls.append(
            replace(
                call,
                model=reply.model,
                seconds=reply.seconds or time.monotonic() - begun,
                tokens_in=reply.tokens_in,
                tokens_out=reply.tokens_out,
                cost=reply.cost,
                tries=reply.tries,
                failed_tries=reply.failed_tries,
                reply=reply.text,
            )
        )
        return reply


def _failed(error: LLMError, calls: list[Call]) -> AdvisorError:
    return AdvisorError(
        str(error),
        reason=error.status,
        calls=tuple(calls),
        permanent=isinstance(error, LLMSetupError),
    )
