"""What turning a knob did to a running curve, against what it would have done without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raymimic.curves import Curve, noise_of
from raymimic.records import Mode
from raymimic.scheduling.rank_rule import Reading

_WINDOW = 3  # values whose mean stands for a place on the curve
_BACK = 2 / 3  # the pace is that since this part of the epochs so far
_NOISES = 2.0  # a difference of so many standard deviations of the noise may be luck


@dataclass(frozen=True)
class Outlook:
    """A curve as it stood, and where it was going, in the metric's own direction.

    ``level`` is its mean over the last epochs, around epoch ``at``; ``slope`` its recent change per
    unit of logarithmic time, ``end`` the forecast final value at ``length`` (None without one),
    ``noise`` its standard deviation from epoch to epoch.
    """

    level: float
    at: float
    slope: float
    noise: float
    end: float | None = None
    length: int = 0

    def expected(self, at: float) -> tuple[float, float]:
        """What an epoch would bring, and how far from that counts as luck.

        In the middle of two answers, the recent pace kept up in logarithmic time and the way to the
        forecast end; what lies between them is luck, too.
        """
        time = math.log(at / self.at)
        answers = [self.level + self.slope * time]
        if self.end is not None and self.length > self.at:
            share = min(1.0, time / math.log(self.length / self.at))
            answers.append(self.level + share * (self.end - self.level))
        low, high = min(answers), max(answers)
        return (low + high) / 2, (high - low) / 2 + _NOISES * self.noise


def outlook(
    curve: Curve | None, metric: str, mode: Mode, now: tuple[int, float], reading: Reading | None
) -> Outlook:
    """Read a curve that reported ``now`` (epoch, value), which it may not hold yet."""
    rows = [now]
    if curve is not None and metric in curve.columns:
        known = zip(curve.epochs.tolist(), curve.column(metric).tolist(), strict=True)
        rows = [(epoch, value) for epoch, value in known if epoch < now[0]] + [now]
    rows = [(epoch, value) for epoch, value in rows if math.isfinite(value)]
    noise = noise_of(np.array([value for _, value in rows])) or 0.0
    level, at = place(rows[-_WINDOW:]) if rows else (math.nan, float(now[0]))
    before, then = place([row for row in rows if row[0] <= _BACK * now[0]][-_WINDOW:] or rows[:1])
    slope = (level - before) / math.log(at / then) if at > then else 0.0
    end, length = None, 0
    if reading is not None and reading.forecast is not None:
        end = reading.forecast.median * (1.0 if mode == "min" else -1.0)
        length = reading.length
    return Outlook(level, at, slope, noise, end, length)


def place(rows: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """The mean value of some epochs, and the middle of them in logarithmic time."""
    if not rows:
        return math.nan, 1.0
    epochs, values = zip(*rows, strict=True)
    return float(np.mean(values)), float(np.exp(np.mean(np.log(epochs))))
