"""Deadline and retries of one decision, for every adapter.

Both SDKs would retry by themselves and sleep for as long as the server says (an hour, twice); their
timeout is per read, so a reply that drips byte by byte never ends. So their retries are off and the
time is kept here: one total deadline, at most two retries, the server's wish only inside it.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from raymimic.errors import LLMCallError, LLMError
from raymimic.inquiry import at_work

T = TypeVar("T")

MAX_RETRIES = 2
_BACKOFF_START = 0.5  # seconds; doubles with each retry
_BACKOFF_MAX = 8.0


def contained(work: Callable[[], T], translate: Callable[[Exception], LLMError]) -> T | LLMError:
    """Run ``work``; whatever it raises comes back as the `LLMError` that ``translate`` makes of it.

    The error is returned, not raised, so that the original does not hang on it as its context:
    the SDKs' exceptions hold the request's headers and with them the API key.
    """
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - an SDK may raise anything (AttributeError on HTML)
        failure = translate(error)
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


def call_with_retries(
    ask: Callable[[float], T],
    *,
    seconds: float,
    translate: Callable[[Exception], LLMError],
    adapt: Callable[[LLMError], bool],
) -> tuple[T, tuple[str, ...]]:
    """Return ``ask``'s answer and the statuses of the tries that failed before it.

    ``ask`` gets the seconds left and runs on a thread of its own; when the total of ``seconds`` is
    over, the caller goes on without it and must hang up to end that thread. ``adapt`` may change
    the request after a failure and return True to ask again at once; that is no retry.
    Raises the last `LLMError`, its ``failed_tries`` set, when it is not retryable, retries are used
    up, or the wait before the next one would pass the deadline.
    """
    end = time.monotonic() + seconds
    failed: list[str] = []
    retries = 0
    while True:
        answer = _ask_until(end, ask, translate)
        if not isinstance(answer, LLMError):
            return answer, tuple(failed)
        failed.append(answer.status)
        if adapt(answer):
            continue
        wait = _wait_before(answer, retries)
        if not answer.retryable or retries == MAX_RETRIES or wait >= end - time.monotonic():
            answer.failed_tries = tuple(failed)
            raise answer
        retries += 1
        time.sleep(wait)


def _ask_until(
    end: float,
    ask: Callable[[float], T],
    translate: Callable[[Exception], LLMError],
) -> T | LLMError:
    left = end - time.monotonic()
    if left <= 0:
        return _timeout()
    answers: queue.SimpleQueue[T | LLMError] = queue.SimpleQueue()

    def work() -> None:
        with at_work():  # an SDK is not far from native code: TLS, its JSON, its import
            answers.put(contained(lambda: ask(left), translate))

    threading.Thread(target=work, name="raymimic-llm-call", daemon=True).start()
    try:
        return answers.get(timeout=left)
    except queue.Empty:
        return _timeout()


def _timeout() -> LLMCallError:
    return LLMCallError(
        "no full reply came before the deadline; allow more time or ask for less", status="timeout"
    )


def _wait_before(failure: LLMError, retries: int) -> float:
    """Full jitter: uniform up to the doubled backoff, but never less than the server asks."""
    jitter = random.uniform(0.0, min(_BACKOFF_MAX, _BACKOFF_START * 2**retries))
    wanted = failure.retry_after if isinstance(failure, LLMCallError) else None
    return max(jitter, wanted or 0.0)
