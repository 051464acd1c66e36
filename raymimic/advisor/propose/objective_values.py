"""What a model of scores is told: finite numbers for every ended trial, lower is better."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

from raymimic.advisor.base import SearchEvidence
from raymimic.pareto import select_nsga2

_LARGEST = 1e100

_STRETCH = 1.5
"""How much finer the best values are told apart than the worst (`s` in Song et al. 2024)."""


def told(evidence: SearchEvidence) -> list[float]:
    """Give each ended trial's value. Those without a score count as worse than all others.

    By as much as the others differ: were it nothing, a failure after one success would say that
    nothing matters. A stopped trial counts as its forecast. All are kept below 1e101 in size: a
    model takes squares of them.
    """
    return [float(value) for value in told_of_each(evidence)[:, 0]]


def told_of_each(evidence: SearchEvidence) -> npt.NDArray[np.float64]:
    """Give the same of each objective: (trials, objectives)."""
    values = np.clip(evidence.losses, -_LARGEST, _LARGEST)
    lost = np.array([t.status == "failed" or t.score is None for t in evidence.trials], dtype=bool)
    values[lost] = np.nan
    known = ~np.isnan(values)
    worst = np.max(values, axis=0, initial=-np.inf, where=known)
    spread = worst - np.min(values, axis=0, initial=np.inf, where=known)
    worst = np.where(np.isfinite(worst), worst, 0.0)
    beyond = worst + np.where(spread > 0, spread, np.maximum(1.0, np.abs(worst)))
    return np.where(known, values, np.where(lost[:, None], beyond, worst))


def places(evidence: SearchEvidence) -> list[float]:
    """Give each ended trial's place among all, lower is better: its told value.

    With several objectives its place by front and by how alone it is there (NSGA-II).
    """
    if not evidence.others:
        return told(evidence)
    values = told_of_each(evidence)
    place = np.argsort(select_nsga2(values, len(values)))
    return [float(one) for one in place]


def standings(evidence: SearchEvidence) -> list[float]:
    """Give the same, infinite for trials that have lost: without a score, or beyond a limit."""
    return [
        math.inf if trial.score is None or evidence.broken(trial) else place
        for trial, place in zip(evidence.trials, places(evidence), strict=True)
    ]


def kept(values: Sequence[float], limit: int) -> list[int]:
    """Give the rows a model is built on: all of them, or the best and the latest ``limit`` / 2."""
    if len(values) <= limit:
        return list(range(len(values)))
    best = np.argsort(values, kind="stable")[: limit // 2].tolist()
    return sorted({*best, *range(len(values) - limit // 2, len(values))})


def warped(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Give values of the same order in which a Gaussian process sees what matters: the good ones.

    Those worse than the median are told by their rank, as if the spread below the median went on
    above it, so that a diverged loss of 1e9 does not flatten everything else; then differences are
    told the finer the better the values are. Half-rank and log warping of Song et al. 2024, "The
    Vizier Gaussian process bandit algorithm", section 3.2.
    """
    given = np.array(values, dtype=np.float64)
    if len(given) < 3 or not np.ptp(given) > 0:
        return given
    away = given - np.median(given)
    good = away <= 0.0
    spread = float(np.sqrt(np.mean(away[good] ** 2))) or 1.0
    ranks = (rankdata(given) - 0.5) / len(given)
    halved = np.where(good, away / spread, ndtri(ranks))
    share = (halved.max() - halved) / np.ptp(halved)  # 1 for the best, 0 for the worst
    return np.asarray(0.5 - np.log1p(share * (_STRETCH - 1.0)) / np.log(_STRETCH))
