"""One job at a time in a daemon thread, so that the caller never waits."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Job = tuple[Callable[[], Any], "Future[Any]"]


class Background(Generic[T]):
    """Runs one job at a time. Not picklable: a live handle, rebuilt after a restore.

    One thread serves all jobs: starting a thread makes the starter wait for it, and with a busy
    job that is a whole switch interval (5 ms). It is a daemon: a call that hangs must not keep the
    interpreter from ending. It ends when it has nothing left to do and nobody to do it for.
    """

    def __init__(self) -> None:
        self._job: Future[T] | None = None
        self._since = 0.0
        self._jobs: queue.SimpleQueue[Job | None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job was submitted whose outcome nobody has taken."""
        return self._job is not None

    @property
    def age(self) -> float:
        """Seconds since the current job was submitted; 0 without one."""
        return time.monotonic() - self._since if self._job else 0.0

    def submit(self, job: Callable[[], T]) -> None:
        """Start ``job``; the one before must have been taken or abandoned."""
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(
                target=_serve, args=(self._jobs,), name="raymimic-advisor", daemon=True
            ).start()
            weakref.finalize(self, self._jobs.put, None)
        self._job, self._since = Future(), time.monotonic()
        self._jobs.put((job, self._job))

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the job to end."""
        if self._job is not None:
            with contextlib.suppress(FutureTimeout):
                self._job.exception(timeout=max(0.0, seconds))

    def take(self) -> Future[T] | None:
        """Return the ended job's future and forget it; None while it runs or without one."""
        if self._job is None or not self._job.done():
            return None
        ended, self._job = self._job, None
        return ended

    def abandon(self) -> None:
        """Forget a job that takes too long, with its thread; its outcome is thrown away."""
        if self._jobs is not None:
            self._jobs.put(None)
        self._job = self._jobs = None


def _serve(jobs: queue.SimpleQueue[Job | None]) -> None:
    for job, outcome in iter(jobs.get, None):
        try:
            outcome.set_result(job())
        except BaseException as error:  # noqa: BLE001 - handed to whoever takes the outcome
            outcome.set_exception(error)
