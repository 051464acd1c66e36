"""Paired statistics over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Paired:
    """Ours less theirs over the same seeds; a win is a seed in which ours is better."""

    pairs: int
    mean: float
    t: tuple[float, float]  # 95% interval of the mean by Student's t
    bootstrap: tuple[float, float]  # the same by resampling seeds (percentiles)
    wins: int
    ties: int
    losses: int

    @property
    def clear(self) -> bool:
        """Whether the t interval leaves zero out."""
        return self.t[0] > 0 or self.t[1] < 0


def paired(ours: np.ndarray, theirs: np.ndarray, mode: str) -> Paired:
    """Compare values of the same seeds, in the same order; ``mode`` says which way is better.

    Intervals are NaN with fewer than two pairs. Differences of less than 1e-12 tie.
    """
    gap = np.asarray(ours, float) - np.asarray(theirs, float)
    gap = np.where(np.abs(gap) < 1e-12, 0.0, gap)
    good = gap if mode == "max" else -gap
    return Paired(
        len(gap),
        float(gap.mean()),
        student(gap),
        bootstrap(gap),
        *(int(np.sum(test)) for test in (good > 0, good == 0, good < 0)),
    )


def student(values: np.ndarray) -> tuple[float, float]:
    """95% t interval of the mean; a single point where all values are equal."""
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)
    return float(values.mean() - half), float(values.mean() + half)


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    """95% percentile interval of the mean over resampled seeds."""
    if len(values) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
