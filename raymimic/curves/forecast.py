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
_FAR = 1e6  # scales from the middle of a distribution: nothing of it is farther away


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
        distance = float(bar - self.median)
        scale = float(self.low if distance < 0 else self.high)
        if scale <= 0:
            return 0.5 if distance == 0 else float(distance > 0)
        return float(_t_share(np.float64(distance / scale)))


@dataclass(frozen=True)
class _Then:
    """All finished trainings as they stood at one epoch, and what came after it.

    ``to_come`` is the rest of a training as `_to_come` gives it.
    """

    level: Floats
    pace: Floats
    noise: Floats
    change: Floats
    unit: float
    to_come: tuple[float, float]

    @cached_property
    def away(self) -> Floats:
        """How far each is from the others; from itself infinitely far."""
        away = _distances(self, self.level[:, None], self.pace[:, None])
        np.fill_diagonal(away, np.inf)
        return away

    @cached_property
    def shifts(self) -> Floats:
        """The change of each as forecast from the others; there must be two at least."""
        return _weighted_medians(self.change, self.away, _neighbours(self.level.size - 1))

    @cached_property
    def errors(self) -> Floats:
        """What a forecast of each from the others missed by; empty where they are too few."""
        if self.level.size <= _LEAST_ERRORS:
            return np.empty(0)
        return np.asarray(self.change - self.shifts)

    @cached_property
    def scales(self) -> tuple[Floats, Floats]:
        """Lower and upper scale of the forecast of each from the others."""
        low, high = _scales(self, self.away, self.level, self.pace, self.level.size - 1)
        return np.maximum(low, self.noise), np.maximum(high, self.noise)

    def chances(self, lowest: float) -> float:
        """By the forecasts from the others, how many of all end below the lowest of the others.

        ``lowest`` is the lowest end of all; for the one that reached it the next lowest counts.
        """
        if self.level.size < 2:
            return 0.0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ends = self.level + self.change
            bars, best = np.full(ends.size, lowest), int(np.argmin(ends))
            if ends[best] <= lowest:
                bars[best] = np.delete(ends, best).min()
            distance = bars - (self.level + self.shifts)
            scale = np.where(distance < 0, *self.scales)
            sure = np.where(distance == 0, 0.5, distance > 0)
            shares = np.where(scale > 0, _t_share(distance / scale), sure)
        return float(shares.sum())


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
            pace, size = _pace(epochs, values, epoch), then.level.size
            away = _distances(then, level, pace)
            shift = float(_weighted_medians(then.change, away, _neighbours(size)))
            low, high = map(float, _scales(then, away, level, pace, size))
        return Forecast(level + shift, max(low, noise), max(high, noise), epoch, size)

    def chance_lowest(self, forecast: Forecast, lowest: float) -> float:
        """The chance of a forecast training to end below ``lowest``, the lowest end of all.

        Exactly one of it and the finished ones is the lowest of all. Forecasts that are told no
        more than one epoch give that to too many: where the chances of all sum to more than 1, that
        of the finished ones by what was forecast of each from the others, this one's is its share.
        """
        own = forecast.probability_below(lowest)
        then = self._then(forecast.epoch)
        return own if then is None else own / max(1.0, own + then.chances(lowest))

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
                (
                    values[at - 1],
                    _pace(epochs[:at], values[:at], epoch),
                    _noise(values[:at]),
                    values[-1],
                )
                for epochs, values in self._curves.values()
                if epochs[-1] > epoch and (at := int(np.searchsorted(epochs, epoch, "right")))
            ]
            to_come = _to_come(epoch, self.length)
            column = _field(np.array(rows), to_come) if rows else None
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


def _field(rows: Floats, to_come: tuple[float, float]) -> _Then:
    level, pace, noise, end = rows.T
    with np.errstate(over="ignore", invalid="ignore"):
        return _Then(level, pace, noise, end - level, _spread(level) or 1.0, to_come)


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


def _scales(
    then: _Then, away: Floats, level: Floats | float, pace: Floats | float, count: int
) -> tuple[Floats, Floats]:
    """Lower and upper scale of the forecasts of curves that are so far ``away`` from ``count``."""
    below, above = _widths(then, away, count)
    unlike = _unlike(then, away, level, pace)
    return np.maximum(below, unlike) / _T_SURE, np.maximum(above, unlike) / _T_SURE


def _unlike(then: _Then, away: Floats, level: Floats | float, pace: Floats | float) -> Floats:
    """How much further than its neighbours a curve may move that differs from all of them.

    What lies between two curves may close by the end, the more so the earlier it is; and a curve
    with a pace of its own may keep it for what is to come of a logarithmic time.
    """
    near = np.argsort(away, axis=-1, kind="stable")[..., :_ALIKE]
    apart = np.abs(then.level[near] - np.asarray(level)[..., None]).max(axis=-1)
    own = np.abs(then.pace[near] - np.asarray(pace)[..., None]).max(axis=-1)
    return np.asarray(_LEVELS * then.to_come[0] * apart + _PACES * then.to_come[1] * own)


def _widths(then: _Then, away: Floats, count: int) -> tuple[Floats, Floats]:
    """How far the end may lie below and above: the tenths of past errors near by."""
    if not then.errors.size:
        wide = np.full(away.shape[:-1], np.abs(then.change).max() + np.ptp(then.change))
        return wide, wide
    weights = _kernel(away, min(count, 2 * _neighbours(count)))
    total = weights.sum(axis=-1, keepdims=True)
    many = total**2 / (weights**2).sum(axis=-1, keepdims=True)
    order = np.argsort(then.errors)
    errors, share = then.errors[order], weights[..., order].cumsum(axis=-1) / total
    sure = np.minimum(1.0, _SURE * (1 + 1 / many))
    last = errors.size - 1
    low = errors[np.minimum((share <= 1 - sure + 1e-12).sum(axis=-1), last)]
    high = errors[np.minimum((share < sure - 1e-12).sum(axis=-1), last)]
    raised = 1 + 2 / many[..., 0]
    least = 0.1 * (high - low)
    return raised * np.maximum(-low, least), raised * np.maximum(high, least)


def _t_share(t: Floats | np.float64) -> Floats:
    """The distribution function of Student's t with 4 degrees of freedom; 0 for no number."""
    t = np.clip(np.nan_to_num(t, nan=-_FAR), -_FAR, _FAR)
    square = 1 + t * t / 4
    tail = t / np.sqrt(square) * (1 - t * t / (12 * square))
    return np.asarray(np.clip(0.5 + 0.375 * tail, 0.0, 1.0))


def _t_quantile(q: float) -> float:
    root = math.sqrt(4 * q * (1 - q))
    inner = math.cos(math.acos(min(1.0, root)) / 3) / root
    return math.copysign(2 * math.sqrt(max(0.0, inner - 1)), q - 0.5)
