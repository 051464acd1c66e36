"""`LLMAdvisor`: shows the evidence to a language model and reads what its reply asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from raymimic.advisor.adjust import (
    AdjustmentAdvice,
    RunEvidence,
    build_adjust_request,
    read_adjustment,
)
from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.belief.reading import asked_entries
from raymimic.advisor.judge import (
    MOST_CASES,
    JudgeAdvice,
    JudgeEvidence,
    build_judge_request,
    read_judgements,
)
from raymimic.advisor.propose.prompt import reply_schema, system_prompt, user_prompt
from raymimic.advisor.propose.reply import read_proposals
from raymimic.advisor.text import TOKENS_BASE, TOKENS_PARAMETER
from raymimic.errors import AdvisorError, BadReply, LLMCallError, LLMError, LLMSetupError
from raymimic.foreign import quote
from raymimic.llm import LLM, Reply, Request, call_record
from raymimic.records import Advice, Call

_TOKENS_PROPOSAL = 150  # a rationale and the JSON around it
_TOKENS_BELIEF = 40  # a parameter's best, low and high

_Read = TypeVar("_Read")

# A reply that is not the JSON asked for is asked for once more with the fault named.
_ATTEMPTS = 2
_LARGER = 4  # times the tokens, after a reply that was cut off


def build_request(evidence: SearchEvidence, n: int, deadline: float = 60.0) -> Request:
    """Return the exact request that asks a model for ``n`` configurations."""
    parameters = len(evidence.space.dimensions)
    per_proposal = _TOKENS_PROPOSAL + TOKENS_PARAMETER * parameters
    return Request(
        system=system_prompt(evidence),
        user=user_prompt(evidence, n),
        schema=reply_schema(evidence),
        max_tokens=TOKENS_BASE + n * per_proposal + _TOKENS_BELIEF * asked_entries(evidence.space),
        deadline=deadline,
    )


class LLMAdvisor:
    """Asks a language model. ``timeout`` (seconds) bounds one answer, second attempt included.

    >>> from raymimic import FloatRange, LLMAdvisor, ScriptedLLM, SearchEvidence, SearchSpace
    >>> reply = '{"proposals": [{"config": {"x": 0.5}, "rationale": "the middle"}]}'
    >>> evidence = SearchEvidence(SearchSpace({"x": FloatRange(0.0, 1.0)}), "loss", "min")
    >>> LLMAdvisor(ScriptedLLM([reply])).propose(evidence, 1).proposals[0].rationale
    'the middle'
    """

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
        advice, calls = self._ask(
            request, lambda text, repairs: read_proposals(text, n, evidence.space, repairs)
        )
        return replace(advice, calls=calls)

    def adjust(self, evidence: RunEvidence) -> AdjustmentAdvice:
        """Say what changes for the next epoch; raises `AdvisorError` with the calls made."""
        request = build_adjust_request(evidence, self.timeout)
        (adjustment, drops), calls = self._ask(
            request, lambda text, repairs: read_adjustment(text, evidence, repairs)
        )
        return AdjustmentAdvice(adjustment, drops, calls)

    def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
        """Say which running trials should stop, go on or be turned; raises `AdvisorError`.

        Of more than `MOST_CASES` cases the first are judged.
        """
        evidence = replace(evidence, cases=evidence.cases[:MOST_CASES])
        request = build_judge_request(evidence, self.timeout)
        (judgements, drops), calls = self._ask(
            request, lambda text, repairs: read_judgements(text, evidence, repairs)
        )
        return JudgeAdvice(judgements, drops, calls)

    def _ask(
        self, request: Request, read: Callable[[str, list[str]], _Read]
    ) -> tuple[_Read, tuple[Call, ...]]:
        """Give what ``read`` makes of the reply; a `BadReply` of it has a second attempt.

        ``read`` gets the text and a list to which it adds what it had to mend.
        """
        end = time.monotonic() + self.timeout
        calls: list[Call] = []
        attempt = 1
        while True:
            try:
                repairs: list[str] = []
                found = read(self._complete(request, calls).text, repairs)
                calls[-1] = replace(calls[-1], repairs=(*calls[-1].repairs, *repairs))
            except BadReply as error:
                calls[-1] = replace(calls[-1], status=error.status, error=str(error))
                if error.status == "truncated":
                    request = replace(request, max_tokens=_LARGER * request.max_tokens)
                left = end - time.monotonic()
                if attempt == _ATTEMPTS or left < 1.0:
                    raise _failed(error, calls) from None
            except LLMError as error:
                raise _failed(error, calls) from None
            else:
                return found, tuple(calls)
            attempt += 1
            again = f"Your last reply was refused: {quote(calls[-1].error, 300)}. Reply again."
            request = replace(request, user=f"{request.user}\n\n{again}", deadline=left)

    def _complete(self, request: Request, calls: list[Call]) -> Reply:
        """Call the model; the call is added to ``calls`` whatever comes of it."""
        begun = time.monotonic()
        try:
            reply = self.llm.complete(request)
        except LLMError as error:
            calls.append(call_record(self.name, request, error, time.monotonic() - begun))
            raise
        except Exception as error:  # noqa: BLE001 - a model may be the user's own code
            # Its text is not passed on: it may quote a key.
            failure = LLMCallError(
                f"complete of {type(self.llm).__name__} must raise an LLMError or nothing, it "
                f"raised {type(error).__name__}; mend it",
                status="crash",
                retryable=False,
            )
            calls.append(call_record(self.name, request, failure, time.monotonic() - begun))
            raise failure from None
        calls.append(call_record(self.name, request, reply, time.monotonic() - begun))
        return reply


def _failed(error: LLMError, calls: list[Call]) -> AdvisorError:
    return AdvisorError(
        str(error),
        reason=error.status,
        calls=tuple(calls),
        permanent=isinstance(error, LLMSetupError),
    )
