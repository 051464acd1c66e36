"""One metric of one trial, measured in units of its own noise.

Everything here uses differences of values only, and only ratios of such differences are compared:
a metric that is scaled, shifted, or negated along with its mode gives the same answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raymimic.curves.curve import Curve, Floats, Ints

_HEADROOM = 2.0**-64  # exact, and keeps sums of values near the largest float finite
_ROUNDING = 64 * float(np.finfo(np.float64).eps)  # differences below this share are rounding
_SMALLEST = 1e-300  # below this a ratio of differences has no digits left
_KEPT = 0.7  # share of the smallest bends that tell the noise; the rest may be real bends
_KEPT_MEAN = 0.4735  # mean of the lowest 70% of |z| for a standard normal z
_RISE_CERTAINTY = 0.85  # of the critical shift: 1% of noise rises that far above its best stretch
_DWARFS = 5.0  # a value this many ranges of all others above them dwarfs them


@dataclass(frozen=True)
class Series:
    """The finite values of one metric with their epochs, oriented so that lower is better.

    ``raw`` holds the user's own numbers; ``cost`` the same oriented, scaled by a constant and
    counted from the first, which is ``origin``.
    """

    name: str
    epochs: Ints
    raw: Floats
    cost: Floats
    origin: float

    def __len__(self) -> int:
        return int(self.cost.size)

    @cached_property
    def span(self) -> float:
        """Range travelled, 0 if all values are equal up to rounding."""
        if not self.cost.size:
            return 0.0
        span = float(self.cost.max()) - float(self.cost.min())
        return span if span > self._resolution else 0.0

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the noise from one epoch to the next.

        Second differences remove any straight trend; the trimmed mean of their sizes ignores the
        places where the curve really bends. Metrics that move in steps (accuracy of 100 samples)
        have at least a third of a step of noise.
        """
        if len(self) < 3:
            return self.span
        return max(_scatter(self.cost), self.quantum / 3, self._resolution)

    @cached_property
    def late_noise(self) -> float:
        """The same for the second half alone, where the curve bends less; needs 10 epochs."""
        if len(self) < 10:
            return self.noise
        late = _scatter(self.cost[len(self) // 2 :])
        return min(self.noise, max(late, self.quantum / 3, self._resolution))

    @cached_property
    def quantum(self) -> float:
        """Smallest change from one epoch to the next: the step of a metric that moves in steps."""
        sizes = np.abs(np.diff(self.cost))
        sizes = sizes[sizes > self._resolution]
        return float(sizes.min()) if sizes.size else 0.0

    @cached_property
    def critical(self) -> float:
        """Shift in noise units that pure noise of this length exceeds in about 0.3% of curves.

        Fitted to simulated Gaussian noise of 5 to 200 epochs, with ``noise`` estimated from it.
        """
        return 4.0 + 16.0 / max(len(self), 1)

    @cached_property
    def shifts(self) -> tuple[float, float]:
        """(fall, rise): the clearest split into a higher and a lower part, in noise units.

        For every split the difference of both parts' means over its standard error; the largest
        in each direction. It sees an early drop and a slow drift alike.
        """
        n = len(self)
        if n < 2 or self.span == 0:
            return 0.0, 0.0
        left = np.cumsum(self.cost - self.cost.mean())[:-1]
        first = np.arange(1, n)
        scores = left * np.sqrt(n / (first * (n - first))) / self.noise
        return max(0.0, float(scores.max())), max(0.0, -float(scores.min()))

    @property
    def improved(self) -> bool:
        """Whether it improved beyond its noise at any time."""
        return self.shifts[0] > self.critical

    @property
    def worsened(self) -> bool:
        """Whether it got worse beyond its noise at any time."""
        return self.shifts[1] > self.critical

    @property
    def flat(self) -> bool:
        """Whether nothing speaks for any movement: stricter than "not proven to move"."""
        return max(self.shifts) < 3.0 and (len(self) >= 5 or self.span == 0)

    @cached_property
    def window(self) -> int:
        """Number of epochs that "the end" and "the beginning" mean: a quarter, at least 4."""
        return max(4, -(-len(self) // 4))

    @cached_property
    def level(self) -> float:
        """Cost at the end, averaged over the last fifth (at least 2 values)."""
        return float(np.mean(self.cost[-max(2, len(self) // 5) :]))

    @cached_property
    def best(self) -> int:
        """Index of the first best value."""
        return int(self.cost.argmin())

    @cached_property
    def risen(self) -> float:
        """How far the end lies above its best stretch; 0 unless beyond noise.

        A stretch is a tenth of the epochs, at least 3: the best of many short ones would be luck.
        """
        if len(self) < 5:
            return 0.0
        length = max(3, len(self) // 10)
        sums = np.cumsum(self.cost)
        stretches = np.append(sums[length - 1], sums[length:] - sums[:-length]) / length
        rise = self.level - float(stretches.min())
        error = self.noise * math.sqrt(1 / length + 1 / max(2, len(self) // 5))
        return rise if rise > _RISE_CERTAINTY * self.critical * error else 0.0

    @cached_property
    def _resolution(self) -> float:
        largest = float(np.abs(self.raw).max()) if self.raw.size else 0.0
        return max(largest * _HEADROOM * _ROUNDING, _SMALLEST)


def _scatter(cost: Floats) -> float:
    """Standard deviation of independent noise that would bend the series this much."""
    bends = np.sort(np.abs(np.diff(cost, n=2)))
    kept = bends[: -int(-_KEPT * bends.size // 1)]
    return float(kept.mean()) / (_KEPT_MEAN * math.sqrt(6))  # a bend's variance is 6 noise's


def read_series(curve: Curve, name: str, lower_is_better: bool) -> Series:
    """A metric's finite values, without a single one that dwarfs all others.

    An exploding initialisation or one bad epoch would make every other movement look small. A
    first value is left out only if the rest moves on its own, so a curve that settles at once
    keeps it; a value of the last two epochs stays, since nothing shows that it passed.
    """
    values = curve.columns.get(name)
    if values is None:
        return Series(name, curve.epochs[:0], np.empty(0), np.empty(0), 0.0)
    finite = np.isfinite(values)
    epochs, raw = curve.epochs[finite], values[finite]
    series = _series(name, epochs, raw, lower_is_better)
    worst = int(series.cost.argmax()) if series.span else len(series)
    if len(series) < 6 or worst >= len(series) - 2:
        return series
    others = np.delete(series.cost, worst)
    highest = float(others.max())
    if float(series.cost[worst]) - highest <= _DWARFS * (highest - float(others.min())):
        return series
    rest = _series(name, np.delete(epochs, worst), np.delete(raw, worst), lower_is_better)
    return rest if worst > 0 or rest.improved or rest.worsened else series


def _series(name: str, epochs: Ints, raw: Floats, lower_is_better: bool) -> Series:
    scaled = raw * (_HEADROOM if lower_is_better else -_HEADROOM)
    origin = float(scaled[0]) if scaled.size else 0.0
    return Series(name, epochs, raw, scaled - origin, origin)
