"""Numbers of a curve in words: as many decimals as its range deserves."""

from __future__ import annotations

import math

import numpy as np

from raymimic.curves.series import Series


def number(series: Series, value: float) -> str:
    """A value, rounded where the range the series travelled makes further digits pointless."""
    value = float(value)
    span = float(series.raw.max() / 2 - series.raw.min() / 2) * 2 if len(series) else 0.0
    if not span or not math.isfinite(span) or not 1e-6 <= span < 1e4:
        return f"{value:.5g}"
    power = math.floor(math.log10(span))
    decimals = 2 if -1 <= power <= 1 else max(0, 3 - power) if power > 1 else 1 - power
    text = f"{value:.{decimals}f}"
    return text if value == 0 or float(text) != 0 else f"{value:.1e}"


def path(series: Series, start: int, end: int) -> str:
    """Where it came from and went to: "2.30 -> 0.09"."""
    return f"{number(series, series.raw[start])} -> {number(series, series.raw[end])}"


def trend(series: Series, start: int) -> str:
    """From where to where its straight line by least squares goes from an index on.

    Two single values would show their own noise: 16.2 -> 16.6 of a loss that falls.
    """
    part = series.raw[start:]
    largest = float(np.abs(part).max(initial=0.0)) or 1.0  # sums of the values may overflow
    shares, at = part / largest, np.linspace(-1.0, 1.0, part.size)
    middle, slope = float(shares.mean()), float(at @ shares / (at @ at))
    begins, comes = (
        largest * min(max(share, -1.0), 1.0) for share in (middle - slope, middle + slope)
    )
    texts = (number(series, begins), number(series, comes))
    if texts[0] == texts[1]:  # the range was travelled long before: its digits are too few here
        texts = (f"{begins:.5g}", f"{comes:.5g}")
    return " -> ".join(texts)


def best(series: Series) -> str:
    """Its best value and when: "best 1.35 at epoch 3"."""
    return f"best {number(series, series.raw[series.best])} at epoch {series.epochs[series.best]}"


def average(series: Series, start: int = 0) -> str:
    """Mean from an index on."""
    part = series.raw[start:]
    largest = float(np.abs(part).max(initial=0.0)) or 1.0
    return number(series, largest * float((part / largest).mean()))  # a sum of them may overflow
