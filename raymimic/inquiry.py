"""One question at a time to whoever may be slow or fail, with a growing pause after failures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from raymimic.background import Background
from raymimic.errors import AdvisorError
from raymimic.foreign import error_text

T = TypeVar("T")

# Wait after the k-th failure in a row: 2, 4, 8 ... seconds, at most a minute. Without it a dead
# model was called twice a second.
_BACKOFF_S = 2.0
_BACKOFF_MAX_S = 60.0

# A language model's call ends by itself at its deadline; only then may it be given up from here.
_GRACE_S = 5.0


class Inquiry(Generic[T]):
    """Runs a question in the background; ``timeout`` (seconds) is how long an answer may take.

    ``failures`` counts those in a row, ``answered`` says that there was an answer.
    Pickles without the question in flight and without its memory of failures: after a restore the
    one who is asked gets a fresh chance.
    """

    owner = "the advisor"  # whose setting the timeout is

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._open()

    def _open(self) -> None:
        self._background: Background[T] = Background()
        self._retry_at = 0.0
        self.failures = 0
        self.last_failure: AdvisorError | None = None
        self.answered = False

    def __getstate__(self) -> dict[str, Any]:
        return {"timeout": self.timeout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._background.busy

    @property
    def age(self) -> float:
        """Seconds since the question under way was asked; 0 without one."""
        return self._background.age

    @property
    def gave_up(self) -> bool:
        """Whether the one who is asked said that asking again cannot help."""
        return self.last_failure is not None and self.last_failure.permanent

    def may_ask(self) -> bool:
        """Whether a question may be sent now."""
        return not self.busy and not self.gave_up and time.monotonic() >= self._retry_at

    def submit(self, question: Callable[[], T]) -> None:
        """Ask; the answer before must have been collected."""
        self._background.submit(question)

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the answer on its way, if there is one."""
        self._background.wait(seconds)

    def collect(self) -> T | AdvisorError | None:
        """Take in an ended answer or failure; None if there is none."""
        ended = self._background.take()
        if ended is None:
            if self._background.age <= self.timeout + _GRACE_S:
                return None
            self._background.abandon()
            return self._failed(
                AdvisorError(
                    f"the advisor must answer within {self.timeout:g} s and did not; "
                    f"give {self.owner} a longer timeout",
                    reason="timeout",
                )
            )
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
