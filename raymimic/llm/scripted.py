"""A language model that says what it was told to say: the public fake for tests and demos."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from raymimic.errors import LLMCallError
from raymimic.llm.base import Reply, Request
from raymimic.llm.prices import estimate_tokens

ScriptedReply = str | Exception | Callable[[Request], str]


class ScriptedLLM:
    """Gives ``replies`` one after the other; ``requests`` keeps what was asked.

    A string is the reply's text, an exception is raised, a callable gets the `Request` and returns
    the text. Each reply takes ``latency`` seconds, at most the request's deadline. When the script
    has run out, `LLMCallError` (status "exhausted"). Token counts are estimates, the cost is 0.
    Picklable if the replies are. ``replies`` must be finite.

    >>> from raymimic import Request, ScriptedLLM
    >>> ScriptedLLM(["{}"]).complete(Request("You tune.", "Propose.", schema={})).text
    '{}'
    """

    def __init__(
        self, replies: Iterable[ScriptedReply], *, latency: float = 0.0, model: str = "scripted"
    ) -> None:
        self.model = model
        self.latency = latency
        self.requests: list[Request] = []
        self._replies = deque(replies)

    def complete(self, request: Request) -> Reply:
        """Give the next reply of the script."""
        self.requests.append(request)
        reply = self._next()
        if self.latency > 0:
            time.sleep(min(self.latency, request.deadline))
        if self.latency > request.deadline:
            raise LLMCallError(f"no reply within {request.deadline} s", status="timeout")
        if isinstance(reply, Exception):
            raise reply
        text = reply if isinstance(reply, str) else reply(request)
        return Reply(
            text=text,
            model=self.model,
            tokens_in=estimate_tokens(request.system + request.user),
            tokens_out=estimate_tokens(text),
            seconds=self.latency,
        )

    def _next(self) -> ScriptedReply:
        try:
            return self._replies.popleft()  # atomic, so threads need no lock
        except IndexError:
            raise LLMCallError(
                f"the script has no reply for request {len(self.requests)}: give it more replies",
                status="exhausted",
                retryable=False,
            ) from None
