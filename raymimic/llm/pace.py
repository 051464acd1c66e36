"""When a gateway may call: not too often, and not a service that is down.

Nothing here is locked: the gateway's own lock guards it. Times are `time.monotonic`'s.
"""

from __future__ import annotations

from collections import deque

_WINDOW_S = 60.0
_FAILURES = 3  # in a row, before the circuit opens
_PAUSE_S = 2.0  # doubles each time the probe fails, too
_PAUSE_MAX_S = 60.0


class Pace:
    """At most ``per_minute`` starts in any minute; None is no limit."""

    def __init__(self, per_minute: int | None) -> None:
        self.per_minute = per_minute
        self._starts: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until the next call may start; 0 if it may now."""
        if self.per_minute is None:
            return 0.0
        while self._starts and self._starts[0] <= now - _WINDOW_S:
            self._starts.popleft()
        if len(self._starts) < self.per_minute:
            return 0.0
        return self._starts[0] + _WINDOW_S - now

    def start(self, now: float) -> None:
        """Note that a call starts."""
        if self.per_minute is not None:
            self._starts.append(now)


class Breaker:
    """Opens after three failed calls in a row, for 2, 4, ... 60 s; then one call is let through.

    That probe closes it or, failing, opens it for longer. Calls that were under way when it opened
    do not count against it any more; if one of them succeeds, the service is up.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._openings = 0
        self._until = 0.0
        self._probing = False

    def wait(self, now: float) -> float:
        """Seconds until a call is worth a try; 0 if it is now."""
        if self._openings == 0:
            return 0.0
        return self._pause if self._probing else max(0.0, self._until - now)

    def start(self) -> bool:
        """Note that a call starts; returns whether it is the probe."""
        self._probing = self._openings > 0
        return self._probing

    def succeeded(self) -> None:
        """The service answered."""
        self._failures = self._openings = 0
        self._probing = False

    def failed(self, now: float, *, probe: bool) -> None:
        """A call failed; ``probe`` is what `start` returned for it."""
        if self._openings and not (probe and self._probing):
            return
        self._failures += 1
        if probe or self._failures >= _FAILURES:
            self._openings += 1
            self._until = now + self._pause
            self._probing = False

    @property
    def _pause(self) -> float:
        return min(_PAUSE_MAX_S, _PAUSE_S * 2.0 ** min(self._openings - 1, 10))
