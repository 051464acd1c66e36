"""Whether a running trial is worth the time it still takes: against a fresh trial of this search.

Optimal stopping, as in freeze-thaw (Swersky et al. 2014): what is compared are the chances to
become the best of all for what they cost. By how much the best would be improved is about the same
for both, so it needs no estimate.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

TIMED = 1.0
"""The price of time where time is what is spent: what a fresh trial makes of it."""

COUNTED = 0.1
"""The same where trials are what is spent: time saved buys nothing but time, and the best of them
must hardly ever be stopped."""

_RECENT = 20
"""A fresh trial is expected to cost what the latest so many did ..."""

_PRIOR = 2.0
"""... and so many full trainings, counted among them."""


@dataclass(frozen=True)
class Worth:
    """What one running trial is worth at one look. Costs are in ``unit``: epochs or seconds."""

    chance: float
    """Its forecast chance to end better than the best whole training."""

    left: float
    """What its remaining epochs cost."""

    fresh: float
    """The chance of a fresh trial to become the best; 0 where no time is left for one."""

    full: float
    """What a fresh trial costs if it runs to its end."""

    failed: float
    """What a trial costs that does not become the best: most are stopped before their end."""

    price: float
    unit: str = "epochs"

    @property
    def lost(self) -> bool:
        """Whether a fresh trial makes more of the time it takes."""
        return self._rate(self.chance, self.left) < self.price * self._rate(self.fresh, self.full)

    def _rate(self, chance: float, cost: float) -> float:
        """Chance for what it is expected to cost: a failure is stopped by this very rule."""
        return chance / (chance * cost + (1 - chance) * min(cost, self.failed))


class Prospects:
    """What a fresh trial of this search is expected to reach and to cost, from its own trials.

    For draws that are exchangeable, the chance that the next of n + 1 is the best of all is
    1 / (n + 1). Costs are seconds of wall time as soon as any trial's are known: epochs at their
    pace, and what starting a trial takes (the least that any took beside its epochs); else epochs.
    """

    def __init__(self) -> None:
        self._failed: deque[tuple[int, float]] = deque(maxlen=_RECENT)
        self._paces: deque[float] = deque(maxlen=_RECENT)
        self._startup: float | None = None
        self._count = 0

    def add(self, epochs: int, pace: float, seconds: float, *, best: bool) -> None:
        """Take in an ended trial.

        ``pace`` in seconds an epoch and ``seconds`` of wall time, 0 if unknown; ``best``: it became
        the best whole training.
        """
        self._count += 1
        if not best:
            self._failed.append((epochs, pace))
        if pace > 0:
            self._paces.append(pace)
            if seconds > 0:
                startup = max(0.0, seconds - pace * epochs)
                self._startup = startup if self._startup is None else min(startup, self._startup)

    def worth(
        self,
        chance: float,
        left: int,
        pace: float,
        *,
        length: int,
        price: float,
        seconds_left: float | None = None,
    ) -> Worth:
        """Weigh a running trial of that ``chance`` and pace with ``left`` epochs to go.

        ``length``: epochs of a full training. ``seconds_left``: until the run ends, None without a
        limit.
        """
        timed = bool(self._paces)
        usual, startup = (median(self._paces), self._startup or 0.0) if timed else (1.0, 0.0)
        full = startup + length * usual
        costs = [startup + epochs * ((pace or usual) if timed else 1.0)
                 for epochs, pace in self._failed]  # fmt: skip
        late = timed and seconds_left is not None and full > seconds_left
        return Worth(
            chance,
            left * ((pace or usual) if timed else 1.0),
            0.0 if late else 1.0 / (self._count + 1),
            full,
            (sum(costs) + _PRIOR * full) / (len(costs) + _PRIOR),
            price,
            "s" if timed else "epochs",
        )
