"""What models in this process share: numbered draws, one question at a time, the deadline."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from raymimic.errors import BadReply, LLMCallError, LLMError, LLMSetupError
from raymimic.foreign import error_text
from raymimic.llm.base import Reply, Request
from raymimic.llm.calling import call_with_retries

_numbering = threading.Lock()  # of questions that come side by side

_logger = logging.getLogger(__name__)


class LocalLLM(ABC):
    """Base of the models in this process; a subclass answers one question in `_answer`."""

    def __init__(self, model: str, temperature: float, seed: int, max_tokens: int | None) -> None:
        if not 0 <= temperature <= 2:
            raise LLMSetupError(f"temperature must be from 0 to 2, got {temperature!r}")
        if max_tokens is not None and not (isinstance(max_tokens, int) and max_tokens >= 1):
            raise LLMSetupError(f"max_tokens must be a whole number above 0, got {max_tokens!r}")
        self.model = model
        self.temperature = temperature
        self.seed = seed
        self.max_tokens = max_tokens
        self._asked = 0
        self._unforced = False

    def complete(self, request: Request) -> Reply:
        """Answer within ``request.deadline`` seconds or raise an `LLMError`, nothing else.

        What is still being loaded or generated at the deadline goes on until it notices, and the
        next question waits for it.
        """
        started = time.monotonic()
        with _numbering:
            self._asked += 1
            number = self._asked
        if self.max_tokens is not None:
            request = replace(request, max_tokens=self.max_tokens)
        reply, _ = call_with_retries(
            lambda left: self._answer(request, number, time.monotonic() + left),
            seconds=request.deadline,
            translate=self._translate,
            adapt=lambda _: False,
        )
        return replace(reply, seconds=time.monotonic() - started)

    @abstractmethod
    def _answer(self, request: Request, number: int, end: float) -> Reply:
        """The reply to the object's ``number``-th question; `_late` after ``end`` (monotonic)."""

    @contextmanager
    def _turn(self, lock: threading.Lock, end: float) -> Iterator[None]:
        """Hold a model's lock, or raise `_late` where it is not free before ``end``."""
        if not lock.acquire(timeout=max(0.0, end - time.monotonic())):
            raise self._late()
        try:
            yield
        finally:
            lock.release()

    def _draw(self, number: int) -> int:
        """The seed of the ``number``-th question's draws."""
        return self.seed * 1_000_003 + number

    def _reply(self, text: str, prompt: int, tokens: int, end: float, *, whole: bool) -> Reply:
        """What was said, ``prompt`` and ``tokens`` long; an `LLMError` where it is no answer."""
        failure: LLMError | None = None
        if time.monotonic() > end:
            failure = self._late()
        elif not whole:
            failure = BadReply(
                f"the reply was cut off after {tokens} tokens; ask for less or raise max_tokens",
                status="truncated",
            )
        elif not text.strip():
            failure = BadReply("the reply holds no text", status="empty")
        if failure is not None:
            failure.tokens_in, failure.tokens_out = prompt, tokens
            raise failure
        server = {"without": ["schema"]} if self._unforced else {}
        return Reply(text, self.model, prompt, tokens, server=server)

    def _late(self) -> LLMCallError:
        return LLMCallError(
            f"{self.model} had no full reply before the deadline; allow more time (timeout=), "
            "or take a smaller model",
            status="timeout",
            retryable=False,
        )

    def _too_long(self, tokens: int, window: int | None) -> LLMCallError:
        return LLMCallError(
            f"the prompt takes {tokens} tokens, the model's context holds {window}; take a model "
            "with a larger context",
            status="context",
            retryable=False,
        )

    def _say_unforced(self, fault: str) -> None:
        if not self._unforced:
            _logger.warning(
                "%s: the schema cannot be forced while decoding (%s): it is asked for in words",
                self.model, fault,
            )  # fmt: skip
        self._unforced = True

    def _translate(self, error: Exception) -> LLMError:
        if isinstance(error, LLMError):
            return error
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            return LLMSetupError(
                f"{self.model} does not fit into memory; take a smaller model or another device"
            )
        return LLMCallError(
            f"{self.model} failed while it answered: {error_text(error)}",
            status="error",
            retryable=False,
        )


def refuses_system_role(error: Exception) -> bool:
    """Whether a chat template's error (mostly jinja's own) says that it takes no system turn."""
    said = str(error).lower()
    return "role" in said or "system" in said
