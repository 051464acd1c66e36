"""A language model that answers from a record, which makes a run repeatable."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from raymimic.errors import LLMCallError
from raymimic.ledger import read_events
from raymimic.llm.base import Reply, Request
from raymimic.llm.prices import estimate_tokens

_FIELDS = ("system", "user", "schema", "max_tokens")  # not the deadline: it changes no reply


def request_json(request: Request) -> dict[str, Any]:
    """Return the part of a request that decides its reply, as plain JSON data for a record."""
    return {name: getattr(request, name) for name in _FIELDS}


def request_key(request: Request | Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical request (a `Request` or its `request_json`), in hex."""
    data = request_json(request) if isinstance(request, Request) else request
    canonical = json.dumps({name: data.get(name) for name in _FIELDS}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


class ReplayLLM:
    """Answers each request with what was recorded for the same request.

    ``record`` holds (request, reply text) pairs, the requests as `Request` or as the ledger's
    `request_json`; equal requests are answered in recorded order. A request that is not (or no
    longer) in the record raises `LLMCallError` (status "not_recorded"). With ``in_order`` replies
    come one after the other, whatever is asked: a search that is run again has other trial ids and
    times, so its requests are never quite the same. Costs nothing. Picklable.

    >>> from raymimic import ReplayLLM
    >>> ReplayLLM([]).model
    'replay'
    """

    def __init__(
        self,
        record: Iterable[tuple[Request | Mapping[str, Any], str]],
        *,
        model: str = "replay",
        in_order: bool = False,
    ) -> None:
        self.model = model
        self._in_order = in_order
        self._replies: dict[str, deque[str]] = {}
        for request, reply in record:
            self._replies.setdefault(self._key(request), deque()).append(reply)

    @classmethod
    def from_ledger(cls, path: str | os.PathLike[str], *, model: str = "replay") -> ReplayLLM:
        """Answer as the calls in a ledger were answered, in order; `LedgerError` without the file.

        Calls that failed on their way have no reply and are not in the record.
        """
        calls = read_events(path).of("call")
        record = ((row["request"], row["reply"]) for row in calls if row["reply"])
        return cls(record, model=model, in_order=True)

    def _key(self, request: Request | Mapping[str, Any]) -> str:
        return "in order" if self._in_order else request_key(request)

    def complete(self, request: Request) -> Reply:
        """Give the next recorded reply to this request."""
        key = self._key(request)
        try:
            text = self._replies.get(key, deque()).popleft()
        except IndexError:
            raise LLMCallError(
                f"the record has no (further) reply to the request {key[:12]}…: replay the script "
                "that was recorded, with the same seed, space and settings",
                status="not_recorded",
                retryable=False,
            ) from None
        return Reply(
            text=text,
            model=self.model,
            tokens_in=estimate_tokens(request.system + request.user),
            tokens_out=estimate_tokens(text),
        )
