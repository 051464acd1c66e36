"""Estimators and tests of the comparison; each is small and names its source.

Called ``estimates`` and not ``statistics``: this folder is first on the import path, and a module
of that name would hide the standard library's, which torch imports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

try:
    from scipy import stats
except ImportError as missing:  # pragma: no cover - depends on the machine
    raise ImportError("the report's tests need SciPy: pip install scipy") from missing

RESAMPLES = 2000
Estimator = Callable[[np.ndarray], np.ndarray]


def iqm(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half along the last axis (a quarter, rounded down, cut at each end)."""
    ordered = np.sort(values, axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def task_weights(tasks: np.ndarray) -> np.ndarray:
    """Weights that make a weighted sum the mean over tasks of the mean over a task's seeds."""
    _, which, count = np.unique(tasks, return_inverse=True, return_counts=True)
    return 1.0 / (count[which] * len(count))


def task_mean(values: np.ndarray, tasks: np.ndarray) -> np.ndarray:
    """Mean over tasks of the mean over each task's seeds, along the last axis."""
    return values @ task_weights(tasks)


def resamples(tasks: np.ndarray, count: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Indices (count, runs) of a stratified bootstrap: seeds are drawn anew within each task.

    Agarwal et al. 2021 (rliable), arXiv 2108.13264, section 4.
    """
    rng = np.random.default_rng(seed)
    index = np.empty((count, len(tasks)), dtype=np.intp)
    for task in np.unique(tasks):
        mine = np.flatnonzero(tasks == task)
        index[:, mine] = mine[rng.integers(len(mine), size=(count, len(mine)))]
    return index


def interval(values: np.ndarray, tasks: np.ndarray, estimator: Estimator) -> tuple[float, float]:
    """95% percentile interval of an estimator over runs by the stratified bootstrap."""
    drawn = estimator(values[resamples(tasks)])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def band(matrix: np.ndarray, tasks: np.ndarray, count: int = 300) -> np.ndarray:
    """The same for the IQM of every column of (runs, budgets): rows low and high."""
    drawn = iqm(np.moveaxis(matrix[resamples(tasks, count)], 1, -1))
    return np.quantile(drawn, [0.025, 0.975], axis=0)


def ranks(regret: np.ndarray) -> np.ndarray:
    """Ranks of the columns (methods) within each row (block); 1 is the lowest regret; ties share.

    Values equal to 12 digits tie: the same configuration's regret may differ by rounding.
    """
    return stats.rankdata(np.round(regret, 12), axis=-1)


def friedman(regret: np.ndarray) -> float:
    """p of the Friedman test that all columns (methods) rank alike over the rows (tasks)."""
    if regret.shape[1] < 3 or np.all(np.ptp(regret, axis=1) == 0):
        return float("nan")
    return float(stats.friedmanchisquare(*np.round(regret, 12).T).pvalue)


def nemenyi(methods: int, tasks: int, alpha: float = 0.05) -> float:
    """Critical difference of mean ranks (Demšar 2006, JMLR 7, eq. in section 3.2.2)."""
    quantile = stats.studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * tasks)))


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjusted p-values, in the order given."""
    raw = np.asarray(p, float)
    order = np.argsort(raw)
    scaled = raw[order] * (len(raw) - np.arange(len(raw)))
    adjusted = np.empty(len(raw))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


@dataclass(frozen=True)
class Paired:
    """Ours against theirs over the same seeds; ``difference`` < 0: ours has less regret."""

    wins: int
    ties: int
    losses: int
    difference: float  # mean over seeds of ours - theirs
    p: float  # Wilcoxon signed-rank, two-sided; 1 where all pairs tie
    worse: bool  # the signed ranks lean towards ours having more regret

    @property
    def share(self) -> float:
        """Share of seeds won, a tie counting half."""
        return (self.wins + self.ties / 2) / (self.wins + self.ties + self.losses)


def paired(ours: np.ndarray, theirs: np.ndarray) -> Paired:
    """Counts and Wilcoxon's test of one task (tied pairs dropped, as Wilcoxon did)."""
    gap = np.round(np.asarray(ours, float) - np.asarray(theirs, float), 12)
    wins, ties, losses = (int(np.sum(test)) for test in (gap < 0, gap == 0, gap > 0))
    moved = gap[gap != 0]
    p, worse = 1.0, False
    if len(moved):
        p = float(stats.wilcoxon(moved).pvalue)
        signed = stats.rankdata(np.abs(moved)) * np.sign(moved)
        worse = bool(signed.sum() > 0)
    return Paired(wins, ties, losses, float(gap.mean()), p, worse)


def least_p(pairs: int) -> float:
    """The smallest two-sided p that Wilcoxon's test can give with this many pairs."""
    return min(1.0, 2.0 ** (1 - pairs))


def censored_median(times: np.ndarray, ends: np.ndarray) -> tuple[float, bool]:
    """Median time to an event, infinite where it never came; (median or end, reached?).

    Where half of the runs or more never get there only a lower bound is known: the median end of
    the observation, returned with False.
    """
    middle = float(np.median(times))
    return (middle, True) if np.isfinite(middle) else (float(np.median(ends)), False)
