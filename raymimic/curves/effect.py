"""What a change did to a running curve, against what it would have done without: one test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raymimic.curves.curve import Curve
from raymimic.curves.scatter import noise_of
from raymimic.records import Mode

EffectKind = Literal["better", "worse", "within noise", "unknown"]

WINDOW = 3
"""Values whose mean stands for a place on the curve."""

NOISES = 2.0
"""A difference of so many standard deviations of the noise may be luck."""

_BACK = 2 / 3  # the pace is that since this part of the epochs so far


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
        return (low + high) / 2, (high - low) / 2 + NOISES * self.noise


@dataclass(frozen=True)
class Effect:
    """What came of a change: the metric ``after`` it, against what was ``expected`` without it.

    ``margin``: how far from that counts as luck.
    """

    kind: EffectKind
    after: float
    expected: float
    margin: float


def effect_of(
    outlook: Outlook, recent: Sequence[tuple[int, float]], mode: Mode, *, was_finite: bool
) -> Effect:
    """Compare the last of the (epoch, value) since a change with the outlook before it.

    Where the last value before it was not finite (``was_finite``), nothing more was to be expected.
    """
    after, at = place(recent[-WINDOW:])
    expected, margin = outlook.expected(at) if was_finite else (math.nan, math.nan)
    return Effect(effect_kind(after, expected, margin, mode), after, expected, margin)


def effect_kind(after: float, expected: float, margin: float, mode: Mode) -> EffectKind:
    """The acceptance test: better or worse is what lies further than ``margin`` from expected.

    A NaN afterwards is worse; any number is better than an expected NaN.
    """
    if math.isnan(expected) and math.isfinite(after):
        return "better"
    gain = (expected - after) * (1.0 if mode == "min" else -1.0)
    if not gain >= -margin:  # a NaN is worse, too
        return "worse"
    return "better" if gain > margin else "within noise"


def outlook(
    curve: Curve | None,
    metric: str,
    now: tuple[int, float],
    *,
    end: float | None = None,
    length: int = 0,
) -> Outlook:
    """Read a curve up to ``now`` (epoch, value), its latest epoch.

    ``end`` is a forecast of its value at ``length`` epochs, if there is one.
    """
    known = curve.reported(metric) if curve is not None else ()
    rows = [*((epoch, value) for epoch, value in known if epoch < now[0]), now]
    rows = [(epoch, value) for epoch, value in rows if math.isfinite(value)]
    noise = noise_of(np.array([value for _, value in rows])) or 0.0
    level, at = place(rows[-WINDOW:]) if rows else (math.nan, float(now[0]))
    before, then = place([row for row in rows if row[0] <= _BACK * now[0]][-WINDOW:] or rows[:1])
    slope = (level - before) / math.log(at / then) if at > then else 0.0
    return Outlook(level, at, slope, noise, end, length)


def place(rows: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """The mean value of some epochs, and the middle of them in logarithmic time."""
    if not rows:
        return math.nan, 1.0
    epochs, values = zip(*rows, strict=True)
    return float(np.mean(values)), float(np.exp(np.mean(np.log(epochs))))
