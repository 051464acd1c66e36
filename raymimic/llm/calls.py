"""From a request and what came of it to a `Call`."""

from __future__ import annotations

from raymimic.errors import LLMError
from raymimic.llm.base import Reply, Request
from raymimic.llm.replay import request_json
from raymimic.records import Call


def call_record(model: str, request: Request, outcome: Reply | LLMError, seconds: float) -> Call:
    """Return the record of one call; ``seconds`` counts where a reply does not say its own."""
    if isinstance(outcome, LLMError):
        return Call(
            model=model,
            status=outcome.status,
            seconds=seconds,
            tokens_in=outcome.tokens_in,
            tokens_out=outcome.tokens_out,
            cost=outcome.cost,
            tries=max(1, len(outcome.failed_tries)),
            error=str(outcome),
            failed_tries=outcome.failed_tries,
            request=request_json(request),
            server=dict(outcome.server),
        )
    return Call(
        model=outcome.model,
        status="ok",
        seconds=outcome.seconds or seconds,
        tokens_in=outcome.tokens_in,
        tokens_out=outcome.tokens_out,
        cost=outcome.cost,
        tries=outcome.tries,
        failed_tries=outcome.failed_tries,
        request=request_json(request),
        reply=outcome.text,
        repairs=outcome.repairs,
        server=outcome.server,
    )
