"""Shapes of one series: how its end, its beginning and its swings look against noise and range."""

from __future__ import annotations

import numpy as np

from raymimic.curves.curve import Floats
from raymimic.curves.series import Series

_STILL_MOVING = 0.1  # of the average pace: slower than this is not worth calling an improvement
_MATTERS = 0.75  # in noise units: what a last quarter must gain to be worth training on for
_STANDING = 1 / 3  # of the average pace: a stretch is flat if even an optimist sees less
_LATE_CERTAINTY = 0.6  # of the critical shift: the curve as a whole has passed that already
_LEVEL = 0.05  # of the range travelled: values this close are at the same level
_BEYOND_NOISE = 8.0  # in noise units: the range of a curve whose reversals are not just noise
_SWING = 0.25  # of the range travelled: reversals of this size are swings


def still_improving(series: Series) -> bool:
    """Whether it improves beyond noise to the end, at a pace and by an amount that matter.

    The second half shows whether the movement is real, the last quarter whether it goes on: a
    quarter alone is too short to tell a slow descent from noise. A quarter that gains no more than
    one epoch differs from the next (.694 -> .694) is real and yet nothing to train on for.
    """
    if len(series) < 5 or not series.improved:
        return False
    half, error, _ = _pace(series, series.cost[-max(series.window, len(series) // 2) :])
    quarter, _, average = _pace(series, series.cost[-series.window :])
    real = half > _LATE_CERTAINTY * series.critical * error
    return real and quarter > max(_STILL_MOVING * average, _MATTERS * series.late_noise)


def flat_since(series: Series) -> int | None:
    """Index from which the series stays at its final level, None unless its end is flat."""
    if len(series) < 8 or not series.improved:
        return None
    gain, error, average = _pace(series, series.cost[-series.window :])
    if abs(gain) + error > _STANDING * average:
        return None
    n = len(series)
    level = float(series.cost[-series.window :].mean())
    ceiling = level + max(_LEVEL * series.span, 2 * series.noise)
    means_to_end = np.cumsum(series.cost[::-1])[::-1] / np.arange(n, 0, -1)
    settled = (series.cost <= ceiling) & (means_to_end <= ceiling)
    index = int(settled.argmax())
    return index if settled[index] and n - index >= max(4, n / 5) else None


def takes_off_at(series: Series) -> int | None:
    """Index of the first real improvement if at least the first fifth was flat, else None."""
    n = len(series)
    if n < 8 or not series.improved:
        return None
    gain, error, average = _pace(series, series.cost[: series.window])
    if abs(gain) + error > _STANDING * average:
        return None
    start = float(np.median(series.cost[:3]))
    floor = start - max(_LEVEL * series.span, 3 * series.noise)
    gone = series.cost < floor
    index = int(gone.argmax())
    return index if gone[index] and index >= max(3, n / 5) else None


def swings(series: Series) -> tuple[int, float] | None:
    """(index of the first reversal, usual size of a swing) if the series goes back and forth."""
    if len(series) < 6 or not series.span:
        return None
    if series.span > _BEYOND_NOISE * series.noise and (series.improved or series.worsened):
        turns = _reversals(series.cost, _SWING * series.span)
        if len(turns) < max(4, len(series) / 10):
            return None
        return turns[0], float(np.median(np.abs(np.diff(series.cost[turns]))))
    two_values = series.span < 1.001 * series.quantum  # a metric in steps flickers by one step
    if two_values or not _alternates(series.cost):
        return None
    return 0, float(np.median(np.abs(np.diff(series.cost))))


def _pace(series: Series, part: Floats) -> tuple[float, float, float]:
    """Improvement over a part by least squares, its standard error, and the average pace's."""
    n = part.size
    centred = np.arange(n) - (n - 1) / 2
    squares = n * (n * n - 1) / 12
    gain = -float(part @ centred) / squares * (n - 1)
    error = series.late_noise * (n - 1) / squares**0.5
    return gain, error, series.span * (n - 1) / (len(series) - 1)


def _reversals(cost: Floats, size: float) -> list[int]:
    """Indices of the extremes at which the series turned back by at least ``size``."""
    turns: list[int] = []
    direction = low = high = 0
    values = cost.tolist()
    for index, value in enumerate(values):
        if value > values[high]:
            high = index
        if value < values[low]:
            low = index
        if direction >= 0 and values[high] - value >= size:
            if direction:
                turns.append(high)
            direction, low = -1, index
        elif direction <= 0 and value - values[low] >= size:
            if direction:
                turns.append(low)
            direction, high = 1, index
    return turns


def _alternates(cost: Floats) -> bool:
    """Whether steps undo each other more than independent noise does.

    Lag-one correlation of the steps: -1 for a saw, -0.5 for noise. The bound is passed by about
    0.5% of simulated Gaussian noise at every length.
    """
    steps = np.diff(cost)
    steps = steps / np.abs(steps).max()
    products = float(steps[1:] @ steps[:-1])
    squares = float(steps[1:] @ steps[1:] + steps[:-1] @ steps[:-1]) / 2
    return squares > 0 and products / squares < -(0.6 + 0.93 / cost.size**0.5)
