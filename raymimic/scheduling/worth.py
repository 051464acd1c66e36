"""What a running trial may still gain, and what a fresh one is expected to gain for as many epochs.

Both are expected improvements over the best whole training, as in optimal stopping (freeze-thaw,
Swersky et al. 2014). Values are oriented by the caller: lower is better here.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from dataclasses import dataclass

from raymimic.curves import Forecast

TIMED = 10.0
"""The price of an epoch where epochs are what is spent, in what a fresh trial gains with it as this
module reckons. Above 1, for the reckoning takes fresh trials for no better than those before them
and forecasts have heavy tails: of 1, 3 and 10 the best at 5 and 10 trainings on four tables."""

COUNTED = 0.1
"""The same where trials are what is spent: an epoch saved buys nothing but time."""

_RECENT = 20  # fresh trials are expected to take as long as the latest so many
_PRIOR = 2.0  # so many full trainings are counted among them
_LEAST = 4  # the scale is taken from the better half of the ends, and from so many at least


@dataclass(frozen=True)
class Worth:
    """What one running trial is worth at one look."""

    gain: float
    """What it may still gain: expected improvement of its end over the best whole training."""

    epochs: int
    """What that costs: the epochs that it has left."""

    fresh: float
    """What fresh trials are expected to gain in as many epochs."""

    price: float

    @property
    def lost(self) -> bool:
        """Whether its epochs are worth more than it is."""
        return self.gain < self.price * self.fresh


class Prospects:
    """What a fresh trial of this search is expected to gain and to cost, from its own trials.

    For draws that are exchangeable, the chance that the next of n + 1 is the best of all is
    1 / (n + 1). It is then better by the scale of the better tail: taken for exponential, that is
    the mean distance of the better half from the median (Hill's estimator, of values and not of
    logarithms). So a searcher whose trials end close
    together is left to finish what runs, and one whose trials end far apart to begin another. Ends
    that are exactly equal count once in the scale: the same training was run again.
    """

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._epochs: deque[int] = deque(maxlen=_RECENT)
        self._count = 0

    def add(self, end: float, epochs: int) -> None:
        """Take in an ended trial: its final value or its forecast (NaN if it has none)."""
        self._count += 1
        self._epochs.append(epochs)
        if math.isfinite(end) and end not in self._ends:
            insort(self._ends, end)

    def gain_per_epoch(self, length: int) -> float:
        """Give the expected improvement by an epoch of fresh trials; 0 before two ends differ.

        ``length``: epochs of a full training, counted in as what a trial may cost.
        """
        best = self._ends[: max(_LEAST, len(self._ends) // 2)]
        if len(best) < 2:
            return 0.0
        scale = sum(best[-1] - end for end in best[:-1]) / (len(best) - 1)
        cost = (sum(self._epochs) + _PRIOR * length) / (len(self._epochs) + _PRIOR)
        return scale / (self._count + 1) / cost


def expected_gain(forecast: Forecast, bar: float) -> float:
    """Give the expected improvement of a forecast end over ``bar``: E[max(bar - end, 0)]."""
    away = bar - forecast.median
    if away <= 0:
        return _below(away, forecast.low)
    return _below(0.0, forecast.low) + _below(away, forecast.high) - _below(0.0, forecast.high)


def _below(away: float, scale: float) -> float:
    """Give E[max(away - scale T, 0)] of Student's t with 4 degrees of freedom."""
    z = away / scale if scale > 0 else math.copysign(math.inf, away)
    if abs(z) > 1e6:
        return max(0.0, away)
    root = z / math.sqrt(4 + z * z)
    share = 0.5 + 0.75 * (root - root**3 / 3)
    density = 0.375 * math.pow(1 + z * z / 4, -2.5)
    return max(0.0, scale * (z * share + (4 + z * z) / 3 * density))
