"""What a model of scores is told: one finite number for every ended trial, lower is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raymimic.advisor.base import SearchEvidence

_BAD = 0.9
"""The quantile of the scores that a failed trial counts as: bad, but no cliff in the model."""

_FENCE = 1.5
"""Scores worse than this many spreads beyond the middle half are drawn in to the fence (Tukey)."""


_LARGEST = 1e100


def told(evidence: SearchEvidence) -> list[float]:
    """Give each ended trial's value. Failed ones count as the 90th percentile of the others.

    A stopped trial counts as its forecast. Diverged losses of 1e9 would flatten everything else,
    so values far beyond the worse quartile are drawn in to Tukey's fence. All are kept below 1e100
    in size: a sampler takes squares of them.
    """
    sign = 1.0 if evidence.mode == "min" else -1.0
    scores = [
        None if trial.status == "failed" else evidence.value(trial) for trial in evidence.trials
    ]
    values = [None if score is None else _bounded(sign * score) for score in scores]
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not known.size:
        return [0.0] * len(scores)
    fence = _fence(known)
    bad = min(float(np.quantile(known, _BAD)), fence)
    return [bad if value is None else min(value, fence) for value in values]


def _bounded(value: float) -> float:
    return min(max(value, -_LARGEST), _LARGEST)


def kept(values: Sequence[float], limit: int) -> list[int]:
    """Give the rows a model is built on: all of them, or the best and the latest ``limit`` / 2."""
    if len(values) <= limit:
        return list(range(len(values)))
    best = np.argsort(values, kind="stable")[: limit // 2].tolist()
    return sorted({*best, *range(len(values) - limit // 2, len(values))})


def _fence(values: npt.NDArray[np.float64]) -> float:
    low, high = np.quantile(values, (0.25, 0.75))
    if low == high:  # most are the same: the worse ones must not be told as equal to them
        low, high = np.quantile(np.unique(values), (0.25, 0.75))
    return float(high + _FENCE * (high - low))
