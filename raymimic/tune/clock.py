"""Wall time of a run as a scheduler needs it: what is left of it, and how long trials took."""

from __future__ import annotations

import time


class Clock:
    """Begins with the first trial; seconds of ``time.monotonic()``."""

    def __init__(self) -> None:
        self.limit: float | None = None
        self._opened: float | None = None
        self._begun: dict[str, float] = {}

    def open(self) -> None:
        """The run begins, if it has not."""
        self._opened = time.monotonic() if self._opened is None else self._opened

    def begin(self, trial_id: str) -> None:
        """A trial begins."""
        self._begun[trial_id] = time.monotonic()

    def end(self, trial_id: str) -> float:
        """A trial ended; how long it took, 0 where nobody saw it begin."""
        begun = self._begun.pop(trial_id, None)
        return 0.0 if begun is None else time.monotonic() - begun

    @property
    def left(self) -> float | None:
        """Seconds until the ``limit``, None without one."""
        if self.limit is None or self._opened is None:
            return None
        return max(0.0, self.limit - (time.monotonic() - self._opened))
