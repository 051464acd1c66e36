"""Estimators and tests of comparisons; each is small and names its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

try:
    from scipy import stats
except ImportError as missing:  # pragma: no cover - depends on the machine
    raise ImportError("the report's tests need SciPy: pip install scipy") from missing

from raymimic.records import Mode

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


@dataclass(frozen=True, eq=False)
class Paired:
    """Ours less theirs over the same seeds; a win is a seed in which ours is better.

    ``gap`` holds the differences, 0 where they are below 1e-12; ``mode`` says which way is better.
    """

    gap: np.ndarray
    mode: Mode

    @property
    def loss(self) -> np.ndarray:
        """By how much ours is worse, seed by seed."""
        return self.gap if self.mode == "min" else -self.gap

    @property
    def wins(self) -> int:
        return int(np.sum(self.loss < 0))

    @property
    def ties(self) -> int:
        return int(np.sum(self.loss == 0))

    @property
    def losses(self) -> int:
        return int(np.sum(self.loss > 0))

    @property
    def share(self) -> float:
        """Share of seeds won, a tie counting half."""
        return (self.wins + self.ties / 2) / len(self.gap)

    @property
    def difference(self) -> float:
        """The mean of ours - theirs."""
        return float(self.gap.mean())

    @cached_property
    def p(self) -> float:
        """Wilcoxon's signed-rank test, two-sided (tied pairs dropped, as he did); 1 if all tie."""
        moved = self.gap[self.gap != 0]
        return float(stats.wilcoxon(moved).pvalue) if len(moved) else 1.0

    @property
    def worse(self) -> bool:
        """Whether the signed ranks lean towards ours being worse."""
        moved = self.loss[self.loss != 0]
        return bool((stats.rankdata(np.abs(moved)) * np.sign(moved)).sum() > 0)

    @property
    def t(self) -> tuple[float, float]:
        """95% interval of the mean by Student's t."""
        return student(self.gap)

    @property
    def bootstrap(self) -> tuple[float, float]:
        """The same by resampling seeds."""
        return bootstrap(self.gap)

    @property
    def clear(self) -> bool:
        """Whether the t interval leaves zero out."""
        return self.t[0] > 0 or self.t[1] < 0


def paired(ours: np.ndarray, theirs: np.ndarray, mode: Mode = "min") -> Paired:
    """Compare values of the same seeds, in the same order."""
    gap = np.asarray(ours, float) - np.asarray(theirs, float)
    return Paired(np.where(np.abs(gap) < 1e-12, 0.0, gap), mode)


def student(values: np.ndarray) -> tuple[float, float]:
    """95% t interval of the mean; a point where all values are equal, NaN of fewer than two."""
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)
    return float(values.mean() - half), float(values.mean() + half)


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    """95% percentile interval of the mean over resampled seeds, NaN of fewer than two."""
    if len(values) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(len(values), size=(10_000, len(values)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


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
