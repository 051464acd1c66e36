"""A cheap model of the scores: a Gaussian process in numpy that ranks candidates in milliseconds.

Optuna's process chooses a point by itself, in about a second; this one only says which of the
configurations that somebody proposed look best, so a coarse fit of its length scales will do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.propose.objective_values import kept, told
from raymimic.records import Config

Floats = npt.NDArray[np.float64]

_TRIALS = 120
"""Only the best half and the latest half of so many trials are fitted."""

_LENGTHS = (0.15, 0.3, 0.6, 1.2, 2.5, 10.0)
"""Length scales tried for each axis, in unit coordinates; the longest means "does not matter"."""

_NOISES = (0.003, 0.03, 0.1, 0.3, 0.6)
"""Noise variances tried; the scores have variance 1."""

_START = 0.6
_SWEEPS = 2
_JITTER = 1e-8


class Surrogate:
    """A Gaussian process (Matern 5/2, a length scale an axis) over all ended trials.

    Scores enter as normal quantiles of their ranks, so that outliers and scale mean nothing; they
    are in standard deviations, lower is better. Running and queued configurations count as tried
    with their own predicted score. ``informed`` says whether there were two different scores to
    learn from; without them nothing else may be asked.
    """

    def __init__(self, evidence: SearchEvidence) -> None:
        self._space = evidence.space
        self._unordered = np.array(
            [not dim.ordered for dim in evidence.space.dimensions.values()], dtype=bool
        )
        values = np.array(told(evidence), dtype=np.float64)
        rows = kept(values.tolist(), _TRIALS)
        self._values = _normal_scores(values[rows])
        self._units = self._encode([evidence.trials[row].config for row in rows])
        self.informed = bool(len(rows) > 1 and np.ptp(self._values) > 0)
        if self.informed:
            self._fit()
            self.expect(*evidence.pending[-_TRIALS:])

    def _encode(self, configs: Sequence[Config]) -> Floats:
        rows = [self._space.encode(config) for config in configs]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self._unordered))

    def _fit(self) -> None:
        """Choose noise and length scales by marginal likelihood, one at a time over a grid."""
        squared = _squared_gaps(self._units, self._units, self._unordered)
        lengths = np.full(len(self._unordered), _START)
        noise = _NOISES[2]
        for _ in range(_SWEEPS):
            noise = max(_NOISES, key=lambda n: _likelihood(squared, self._values, lengths, n))
            for axis in range(len(lengths)):
                lengths[axis] = max(
                    _LENGTHS,
                    key=lambda length: _likelihood(
                        squared, self._values, _with(lengths, axis, length), noise
                    ),
                )
        self._lengths, self._noise = lengths, noise
        self._solve()

    def _solve(self) -> None:
        self._factor = self._factorised()
        half = np.linalg.solve(self._factor, self._values)
        self._weights = np.linalg.solve(self._factor.T, half)
        self._lowest = float(self._means(self._cross(self._units)).min())

    def _factorised(self) -> Floats:
        kernel = self._cross(self._units)
        kernel[np.diag_indices_from(kernel)] += self._noise + _JITTER
        return np.asarray(np.linalg.cholesky(kernel))

    def _cross(self, units: Floats) -> Floats:
        return _kernel(_squared_gaps(units, self._units, self._unordered), self._lengths)

    def _means(self, cross: Floats) -> Floats:
        return np.asarray(cross @ self._weights)

    def predict(self, configs: Sequence[Config]) -> tuple[Floats, Floats]:
        """Give mean and standard deviation of each configuration's noiseless score."""
        cross = self._cross(self._encode(configs))
        half = np.linalg.solve(self._factor, cross.T)
        variance = np.maximum(1.0 - (half**2).sum(axis=0), 1e-12)
        return self._means(cross), np.sqrt(variance)

    def improvement(self, configs: Sequence[Config]) -> Floats:
        """Give each configuration's expected improvement over the best predicted known one."""
        mean, sd = self.predict(configs)
        z = (self._lowest - mean) / sd
        density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
        return np.asarray(sd * (z * _normal_cdf(z) + density))

    def expect(self, *configs: Config) -> None:
        """Take configurations for tried, with their predicted means as results (fantasies).

        A result that is just as predicted moves no mean, so its weight is 0: what changes is how
        sure the model is around it.
        """
        if not configs:
            return
        units = self._encode(configs)
        self._lowest = min(self._lowest, float(self._means(self._cross(units)).min()))
        self._units = np.vstack([self._units, units])
        self._weights = np.append(self._weights, np.zeros(len(units)))
        self._factor = self._factorised()


def _normal_scores(values: Floats) -> Floats:
    """Give the normal quantiles of the ranks (ties share theirs), standardised."""
    if not values.size:
        return values
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    above = np.cumsum(counts)
    middle = (above - counts + above) / 2.0  # in 0..n
    scores = _normal_quantile(middle / len(values))[inverse]
    spread = scores.std()
    return np.asarray(scores / spread if spread > 0 else scores)


def _squared_gaps(a: Floats, b: Floats, unordered: npt.NDArray[np.bool_]) -> Floats:
    """Give squared differences, shape (axes, len(a), len(b)); unlike categories differ by 1."""
    gaps = np.abs(a.T[:, :, None] - b.T[:, None, :])
    gaps[unordered] = gaps[unordered] > 1e-4
    return np.asarray(gaps**2)


def _kernel(squared: Floats, lengths: Floats) -> Floats:
    """Matern 5/2 (Rasmussen & Williams 2006, equation 4.17) of the scaled distance."""
    scaled = np.sqrt(5.0 * np.tensordot(1.0 / lengths**2, squared, axes=1))
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))


def _likelihood(squared: Floats, values: Floats, lengths: Floats, noise: float) -> float:
    """Log marginal likelihood, and a weak log-normal prior on the length scales around 0.6."""
    kernel = _kernel(squared, lengths)
    kernel[np.diag_indices_from(kernel)] += noise + _JITTER
    factor = np.linalg.cholesky(kernel)
    half = np.linalg.solve(factor, values)
    prior = -0.5 * float(((np.log(lengths / 1.2) / 1.2) ** 2).sum())
    return prior - 0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())


def _with(lengths: Floats, axis: int, length: float) -> Floats:
    changed = np.array(lengths)
    changed[axis] = length
    return changed


def _normal_cdf(z: Floats) -> Floats:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in z])


def _normal_quantile(p: Floats) -> Floats:
    return np.array([NormalDist().inv_cdf(float(value)) for value in p])
