"""Where a running training will end, and how sure that is, judged by trainings that went on."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raymimic.curves.curve import Floats, Ints

Epochs = Floats | Ints

_KEPT = 200
"""Only the latest so many finished trainings are compared: it bounds the cost of a forecast."""

_LEAST_ERRORS = 4
"""From fewer past errors no width is estimated; the movement still to come bounds it instead."""

_FEW = 3  # with fewer that went further a stopped training counts as it stood
_SURE = 0.9  # the errors' lower and upper tenth set the two widths
_T_SURE = 1.5332062740589  # this quantile of Student's t with 4 degrees of freedom
_SLOPE_WEIGHT = 0.5  # of the recent pace in the distance of two curves, beside their level
_ALIKE = 2  # a curve with fewer neighbours than that is like none
_LEVELS = 0.6  # of the distance in level that may close by the end, at the first epoch
_PACES = 0.3  # of the difference in pace that may last
_HUGE = 1e150  # beyond this, differences of squares overflow


@dataclass(frozen=True)
class Forecast:
    """The predictive distribution of a training's final value.

    Student's t with four degrees of freedom around ``median``, with a scale of its own on either
    side (``low`` below, ``high`` above, in the metric's unit): losses fall and explode unevenly.
    ``support`` is the number of finished trainings behind it, ``epoch`` the last one seen.
    """

    median: float
    low: float
    high: float
    epoch: int
    support: int

    def quantile(self, q: float) -> float:
        """The value that the end falls below with probability ``q``, 0 < q < 1."""
        if not 0 < q < 1:
            raise ValueError(f"a quantile's level must lie between 0 and 1, got {q!r}")
        t = _t_quantile(q)
        return self.median + t * (self.low if t < 0 else self.high)

    def interval(self, share: float = 0.8) -> tuple[float, float]:
        """The central interval that holds ``share`` of the probability."""
        return self.quantile((1 - share) / 2), self.quantile((1 + share) / 2)

    def probability_below(self, bar: float) -> float:
        """The probability of a final value below ``bar``."""
        distance = bar - self.median
        scale = self.low if distance < 0 else self.high
        if scale <= 0:
            return 0.5 if distance == 0 else float(distance > 0)
        return _t_share(distance / scale)


@dataclass(frozen=True)
class _Then:
    """All finished trainings as they stood at one epoch, and what came after it."""

    level: Floats
    pace: Floats
    change: Floats
    unit: float

    @cached_property
    def errors(self) -> Floats:
        """What a forecast of each from the others missed by; empty where they are too few."""
        if self.level.size <= _LEAST_ERRORS:
            return np.empty(0)
        away = _distances(self, self.level[:, None], self.pace[:, None])
        np.fill_diagonal(away, np.inf)
        count = _neighbours(self.level.size - 1)
        errors: Floats = self.change - _weighted_medians(self.change, away, count)
        return errors


class Extrapolator:
    """Forecasts from the finished trainings of one search; one metric, either direction.

    A running curve is moved by the median change that the finished curves most like it (level and
    recent pace at the same epoch, in units of the field's spread there) went through from there to
    their end. The widths are quantiles of the errors that this very rule made on the finished
    curves most like it, each forecast without itself, raised for small fields as conformal
    prediction asks. With fewer than four others the movement still to come bounds the width.

    Scaling, shifting or negating all values does the same to every forecast. Non-finite values
    are gaps. A forecast is O(finished trainings): what is computed for an epoch is kept until the
    field has grown by a sixteenth, so the latest few of many may not count yet.
    """

    def __init__(self) -> None:
        self._curves: dict[Hashable, tuple[Epochs, Floats]] = {}
        self._columns: dict[int, tuple[int, _Then | None]] = {}
        self._added = 0
        self._length = 0

    def __len__(self) -> int:
        return len(self._curves)

    def __contains__(self, key: object) -> bool:
        return key in self._curves

    @property
    def length(self) -> int:
        """Epochs of the longest finished training, 0 without any."""
        return self._length

    def add(self, key: Hashable, epochs: Epochs, values: Floats) -> bool:
        """Take in a finished training; the same key replaces. False without a finite value."""
        epochs, values = _finite(epochs, values)
        if not values.size:
            return False
        self._curves.pop(key, None)
        self._curves[key] = epochs, values
        while len(self._curves) > _KEPT:
            del self._curves[next(iter(self._curves))]
        self._added += 1
        self._length = max(int(epochs[-1]) for epochs, _ in self._curves.values())
        return True

    def forecast(self, epochs: Epochs, values: Floats) -> Forecast | None:
        """Forecast the final value of a curve; None without a finite value or any to compare.

        A curve that is as long as all finished ones gives its last value, with no width but noise.
        """
        epochs, values = _finite(epochs, values)
        if not values.size:
            return None
        epoch, level = int(epochs[-1]), float(values[-1])
        noise = _noise(values)
        if self._curves and epoch >= self.length:
            return Forecast(level, noise, noise, epoch, len(self._curves))
        then = self._then(epoch)
        if then is None:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            shift, below, above = _ahead(
                then, level, _pace(epochs, values, epoch), _to_come(epoch, self.length)
            )
        low, high = (max(width / _T_SURE, noise) for width in (below, above))
        return Forecast(level + shift, low, high, epoch, then.level.size)

    def ends(self, curves: Sequence[tuple[Epochs, Floats]]) -> list[float]:
        """The median of the `forecast` of each (epochs, values), at once: thousands cost little.

        The last value where fewer than three finished trainings went further. Raises ValueError for
        a curve without a finite value.
        """
        known = [_finite(epochs, values) for epochs, values in curves]
        if not all(values.size for _, values in known):
            raise ValueError("a forecast needs a finite value, a curve has none")
        found = np.array([values[-1] for _, values in known])
        at = np.array([epochs[-1] for epochs, _ in known], dtype=np.int64)
        for epoch in np.unique(at).tolist():
            then = self._then(epoch)
            if then is None or then.level.size < _FEW:
                continue
            rows = np.flatnonzero(at == epoch)
            paces = np.array([_pace(*known[row], epoch) for row in rows])
            away = _distances(then, found[rows][:, None], paces[:, None])
            with np.errstate(over="ignore", invalid="ignore"):
                found[rows] += _weighted_medians(then.change, away, _neighbours(then.level.size))
        return list(map(float, found))

    def _then(self, epoch: int) -> _Then | None:
        """The field at an epoch; None if no training went further."""
        kept, column = self._columns.get(epoch, (-_KEPT, None))
        if self._added - kept >= max(1, len(self._curves) // 16):
            rows = [
                (values[at - 1], _pace(epochs[:at], values[:at], epoch), values[-1])
                for epochs, values in self._curves.values()
                if epochs[-1] > epoch and (at := int(np.searchsorted(epochs, epoch, "right")))
            ]
            column = _field(np.array(rows)) if rows else None
            self._columns[epoch] = self._added, column
        return column


def _finite(epochs: Epochs, values: Floats) -> tuple[Epochs, Floats]:
    values = np.asarray(values, dtype=np.float64)
    kept = np.abs(values) < _HUGE
    return (epochs, values) if kept.all() else (epochs[kept], values[kept])


def _pace(epochs: Epochs, values: Floats, epoch: int) -> float:
    """The movement over the last third of the epochs, at least one; 0 at the first value."""
    before = int(np.searchsorted(epochs, epoch - max(1, epoch // 3), "right")) - 1
    return float(values[-1] - values[max(before, 0)])


def _to_come(epoch: int, length: int) -> tuple[float, float]:
    """The rest of a training in logarithmic time: of the whole, and of the last third's."""
    rest = math.log((length + 1) / (epoch + 1))
    return rest / math.log((length + 1) / 2), rest / math.log(1.5)


def _noise(values: Floats) -> float:
    """How much a value may differ from the next by chance: half the usual late step."""
    steps = np.abs(np.diff(values[-6:]))
    return float(np.median(steps)) / 2 if steps.size else 0.0


def _field(rows: Floats) -> _Then:
    level = rows[:, 0]
    return _Then(level, rows[:, 1], rows[:, 2] - level, _spread(level) or 1.0)


def _spread(values: Floats) -> float:
    """A robust spread: half the range of the middle half, else of all, else 0."""
    if values.size < 2:
        return 0.0
    quarter, three = np.quantile(values, (0.25, 0.75))
    return float(three - quarter) / 2 or float(np.ptp(values)) / 2


def _neighbours(count: int) -> int:
    return min(count, max(3, round(1.2 * math.sqrt(count))))


def _distances(then: _Then, level: Floats | float, pace: Floats | float) -> Floats:
    square = ((then.level - level) / then.unit) ** 2
    return np.sqrt(square + _SLOPE_WEIGHT * ((then.pace - pace) / then.unit) ** 2)


def _kernel(away: Floats, count: int) -> Floats:
    """Weights by distance, row by row, that reach to the ``count``-th nearest and fade out."""
    reach = np.partition(away, count - 1, axis=-1)[..., count - 1 : count]
    reach = 1.5 * np.where(reach > 0, reach, 1.0)
    return np.where(away < reach, 1.001 - np.minimum(away / reach, 1.0), 0.0)


def _weighted_medians(values: Floats, away: Floats, count: int) -> Floats:
    order = np.argsort(values, kind="stable")
    weights = _kernel(away, count)[..., order].cumsum(axis=-1)
    at = (weights < weights[..., -1:] / 2).sum(axis=-1)
    found: Floats = values[order][np.minimum(at, values.size - 1)]
    return found


def _ahead(
    then: _Then, level: float, pace: float, to_come: tuple[float, float]
) -> tuple[float, float, float]:
    """(median change to come, lower width, upper width)."""
    away = _distances(then, level, pace)
    shift = float(_weighted_medians(then.change, away, _neighbours(away.size)))
    below, above = _widths(then, away)
    unlike = _unlike(then, away, level, pace, to_come)
    return shift, max(below, unlike), max(above, unlike)


def _unlike(
    then: _Then, away: Floats, level: float, pace: float, to_come: tuple[float, float]
) -> float:
    """How much further than its neighbours a curve may move that differs from all of them.

    What lies between two curves may close by the end, the more so the earlier it is; and a curve
    with a pace of its own may keep it for what is to come of a logarithmic time.
    """
    near = np.argsort(away, kind="stable")[:_ALIKE]
    apart = float(np.abs(then.level[near] - level).max())
    own = float(np.abs(then.pace[near] - pace).max())
    return _LEVELS * to_come[0] * apart + _PACES * to_come[1] * own


def _widths(then: _Then, away: Floats) -> tuple[float, float]:
    """How far the end may lie below and above: the tenths of past errors near by."""
    if not then.errors.size:
        wide = float(np.abs(then.change).max()) + float(np.ptp(then.change))
        return wide, wide
    weights = _kernel(away, min(away.size, 2 * _neighbours(away.size)))
    count = float(weights.sum() ** 2 / (weights**2).sum())
    order = np.argsort(then.errors)
    errors, share = then.errors[order], weights[order].cumsum() / weights.sum()
    sure = min(1.0, _SURE * (1 + 1 / count))
    low = errors[min(int((share <= 1 - sure + 1e-12).sum()), errors.size - 1)]
    high = errors[min(int((share < sure - 1e-12).sum()), errors.size - 1)]
    raised = 1 + 2 / count
    least = 0.1 * float(high - low)
    return raised * max(-float(low), least), raised * max(float(high), least)


def _t_share(t: float) -> float:
    """The distribution function of Student's t with 4 degrees of freedom."""
    if not math.isfinite(t) or abs(t) > 1e6:
        return float(t > 0)
    square = 1 + t * t / 4
    tail = t / math.sqrt(square) * (1 - t * t / (12 * square))
    return min(1.0, max(0.0, 0.5 + 0.375 * tail))


def _t_quantile(q: float) -> float:
    root = math.sqrt(4 * q * (1 - q))
    inner = math.cos(math.acos(min(1.0, root)) / 3) / root
    return math.copysign(2 * math.sqrt(max(0.0, inner - 1)), q - 0.5)
