"""Simulated time: what this process computes, plus the waits that it skips.

The clock ticks with the CPU seconds of the whole process: the controller, the searcher's background
threads and the ledger's writer, one after the other, as they share one interpreter. Where nothing
computes and the next event lies ahead, the clock is put forward to it. So a model's latency and an
epoch take their full time on the clock and none on the wall, every microsecond that the code takes
delays what comes after it, and other programs on the machine delay nothing.

`Clock.installed` lets raymimic see this clock: ``time.monotonic`` is replaced for that time, so its
patience, deadlines and pauses after failures are simulated seconds, too.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from raymimic.inquiry import Background

_REAL_PAUSE_S = 0.001


class Clock:
    """Counts seconds from its making; knows how many background jobs compute at this moment."""

    def __init__(self) -> None:
        self._zero = time.process_time()
        self._skipped = 0.0
        self._lock = threading.Lock()
        self._computing = 0
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._slept = 0

    def now(self) -> float:
        """Simulated seconds."""
        return time.process_time() - self._zero + self._skipped

    @property
    def quiet(self) -> bool:
        """Whether no background job computes."""
        return self._computing == 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What this thread computes meanwhile is the measurement's and moves no clock."""
        begun = time.thread_time()
        try:
            yield
        finally:
            self._skipped -= time.thread_time() - begun

    def sleep(self, seconds: float) -> None:
        """Called by a background job: it waits so long on the clock and computes nothing."""
        woken = threading.Event()
        with self._lock:
            self._slept += 1
            heapq.heappush(self._sleepers, (self.now() + seconds, self._slept, woken))
            self._computing -= 1
        woken.wait()

    def advance_to(self, due: float) -> bool:
        """Let the others compute or put the clock forward; whether ``due`` has come."""
        self._wake()
        if self.now() >= due:
            return True
        if self._computing:
            time.sleep(_REAL_PAUSE_S)  # the jobs move the clock
        else:
            with self._lock:
                target = min([due, *(self._sleepers[0][:1] if self._sleepers else ())])
                self._skipped += max(0.0, target - self.now())
        self._wake()
        return self.now() >= due

    def _wake(self) -> None:
        with self._lock:
            while self._sleepers and self._sleepers[0][0] <= self.now():
                self._computing += 1
                heapq.heappop(self._sleepers)[2].set()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """While it holds, raymimic's clocks show this time and its jobs are counted."""
        submit, monotonic = Background.submit, time.monotonic

        def counted(background: Background[Any], job: Callable[[], Any]) -> None:
            with self._lock:
                self._computing += 1
            submit(background, lambda: self._counted(job))

        Background.submit, time.monotonic = counted, self.now  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            Background.submit, time.monotonic = submit, monotonic  # type: ignore[method-assign]

    def _counted(self, job: Callable[[], Any]) -> Any:
        try:
            return job()
        finally:
            with self._lock:
                self._computing -= 1
