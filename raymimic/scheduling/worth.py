"""Whether a running trial is worth the time it still takes: against a fresh trial of this search.

Optimal stopping, as in freeze-thaw (Swersky et al. 2014): what is compared are the chances to
become the best of all for what they cost. By how much the best would be improved is about the same
for both, so it needs no estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

TIMED = 1.0
"""The price of time where time is what is spent: what a fresh trial makes of it."""

COUNTED = 0.1
"""The same where trials are what is spent: time saved buys nothing but time, and the best of them
must hardly ever be stopped."""


@dataclass(frozen=True)
class Worth:
    """What one running trial is worth at one look. Costs are in ``unit``: epochs or seconds."""

    chance: float
    """Its chance to end better than the best whole training (`Extrapolator.chance_lowest`)."""

    left: float
    """What its remaining epochs cost."""

    fresh: float
    """The chance of a fresh trial to become the best; 0 where no time is left for one."""

    full: float
    """What a fresh trial costs if it runs to its end."""

    mean: float
    """What a trial of this search costs in the mean: most are stopped before their end."""

    price: float
    unit: str = "epochs"

    @property
    def lost(self) -> bool:
        """Whether a fresh trial makes more of the time it takes."""
        return self._rate(self.chance, self.left) < self.price * self._rate(self.fresh, self.full)

    def _rate(self, chance: float, cost: float) -> float:
        """Chance for what it is expected to cost: a failure is stopped by this very rule."""
        return chance / (chance * cost + (1 - chance) * min(cost, self.mean))


class Prospects:
    """What a fresh trial of this search is expected to reach and to cost, from its own trials.

    For draws that are exchangeable, the chance that the next of n + 1 is the best of all is
    1 / (n + 1). Costs are seconds of wall time as soon as any trial's are known: epochs at their
    pace, and what starting a trial takes (the least that any took beside its epochs); else epochs.
    """

    def __init__(self) -> None:
        self._count = self._epochs = 0
        self._timed_epochs, self._seconds = 0, 0.0  # of trials whose pace is known
        self._startup: float | None = None

    def add(self, epochs: int, pace: float, seconds: float) -> None:
        """Take in an ended trial: ``pace`` in seconds an epoch, ``seconds`` of wall time.

        Either is 0 if unknown.
        """
        self._count += 1
        self._epochs += epochs
        if pace > 0:
            self._timed_epochs += epochs
            self._seconds += epochs * pace
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
        limit. At least one trial must have ended.
        """
        timed = self._timed_epochs > 0
        usual = self._seconds / self._timed_epochs if timed else 1.0
        startup = (self._startup or 0.0) if timed else 0.0
        full = startup + length * usual
        late = timed and seconds_left is not None and full > seconds_left
        return Worth(
            chance,
            left * ((pace or usual) if timed else 1.0),
            0.0 if late else 1.0 / (self._count + 1),
            full,
            startup + usual * self._epochs / self._count,
            price,
            "s" if timed else "epochs",
        )
