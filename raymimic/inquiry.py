"""Asks whoever may be slow or fail: in the background, one question at a time.

A `Background` runs any job so that its caller never waits; an `Inquiry` is one whose jobs are
questions: an answer may take so long, and after failures there is a growing pause.

A daemon thread that is inside C++ code (torch, a linear-algebra library) when the interpreter ends
takes the whole process down ("terminate called without an active exception", exit status 134). So
at the end of the program all threads made here are told to stop, and waited for.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Generic, TypeVar

from raymimic.errors import AdvisorError
from raymimic.foreign import error_text

T = TypeVar("T")

Job = tuple[Callable[[], Any], "Future[Any]"]

# Wait after the k-th failure in a row: 2, 4, 8 ... seconds, at most a minute. Without it a dead
# model was called twice a second.
_BACKOFF_S = 2.0
_BACKOFF_MAX_S = 60.0

# At the end of the program: longer than a step of native code, shorter than anybody minds.
_END_S = 1.5

_at_work: set[threading.Thread] = set()
_ending = threading.Event()

# A language model's call ends by itself at its deadline; only then may it be given up from here.
_GRACE_S = 5.0


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """While the block runs, this daemon thread is one to be stopped before the interpreter ends."""
    thread = threading.current_thread()
    if not _at_work:
        atexit.unregister(_end_threads)  # anew, so that it runs before what was registered so far
        atexit.register(_end_threads)
    _at_work.add(thread)
    try:
        yield
    finally:
        _at_work.discard(thread)


def _end_threads() -> None:
    """Raise SystemExit in each thread at its next step of Python, and wait `_END_S` in all."""
    _ending.set()
    until = time.monotonic() + _END_S
    running = [thread for thread in tuple(_at_work) if thread.is_alive()]
    for thread in running:
        identity = ctypes.c_ulong(thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(SystemExit))
    for thread in running:
        thread.join(max(0.0, until - time.monotonic()))


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
            with at_work():
                result = job()
            outcome.set_result(result)
        except BaseException as error:  # noqa: BLE001 - handed to whoever takes the outcome
            outcome.set_exception(error)
            if _ending.is_set():
                return


class Inquiry(Background[T]):
    """Runs a question in the background; ``timeout`` (seconds) is how long an answer may take.

    ``setting`` is what a user may raise to give it longer ("LLMSearcher(timeout=...)"), empty where
    there is no such setting. ``failures`` counts those in a row, ``answered`` says that there was
    an answer. Pickles without the question in flight and without its memory of failures: after a
    restore the one who is asked gets a fresh chance.
    """

    def __init__(self, timeout: float, setting: str = "") -> None:
        self.timeout, self.setting = timeout, setting
        self._open()

    def _open(self) -> None:
        super().__init__()
        self._retry_at = 0.0
        self.failures = 0
        self.last_failure: AdvisorError | None = None
        self.answered = False

    def __getstate__(self) -> dict[str, Any]:
        return {"timeout": self.timeout, "setting": self.setting}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def gave_up(self) -> bool:
        """Whether the one who is asked said that asking again cannot help."""
        return self.last_failure is not None and self.last_failure.permanent

    def may_ask(self) -> bool:
        """Whether a question may be sent now."""
        return not self.busy and not self.gave_up and time.monotonic() >= self._retry_at

    def collect(self) -> T | AdvisorError | None:
        """Take in an ended answer or failure; None if there is none."""
        ended = self.take()
        if ended is None:
            if self.age <= self.timeout + _GRACE_S:
                return None
            self.abandon()
            cure = f"; give it longer: {self.setting}" if self.setting else ""
            text = f"the advisor must answer within {self.timeout:g} s and did not{cure}"
            return self._failed(AdvisorError(text, reason="timeout"))
        error = ended.exception()
        if error is None:
            answer = ended.result()
            if self._speaks(answer):
                self.failures, self.last_failure, self.answered = 0, None, True
            return answer
        if isinstance(error, AdvisorError):
            return self._failed(error)
        # An advisor may be the user's own code: whatever it raises must not stop the search.
        return self._failed(AdvisorError(error_text(error), reason="crash"))

    def _speaks(self, answer: T) -> bool:
        """Whether an answer comes from the one who is asked, and not from a stand-in."""
        del answer
        return True

    def _failed(self, error: AdvisorError) -> AdvisorError:
        self.failures += 1
        pause = min(_BACKOFF_S * 2 ** min(self.failures - 1, 10), _BACKOFF_MAX_S)
        self._retry_at = time.monotonic() + pause
        self.last_failure = error
        return error
