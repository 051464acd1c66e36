"""A Gaussian process that fits and predicts in milliseconds: the model of the scores."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import ndtr

from raymimic.advisor.belief.axes import Floats

_LENGTH = (math.log(0.5), 1.0)
"""Prior of a length scale's logarithm, mean and standard deviation; the box has length 1."""

_TRUSTED = 0.5
"""The standard deviation where the caller says what is usual."""

_NOISE = (math.log(0.2), 1.0)
"""The same of the noise variance; the values have variance 1."""

_LENGTHS = (math.log(0.05), math.log(30.0))
_NOISES = (math.log(1e-4), 0.0)
_STEPS = 30
_TOLERANCE = 1e-4
"""Relative change of the log posterior at which a fit ends: a tighter one moves a length scale by
less than 1% and takes half as long again."""

_JITTER = 1e-6
_UNLIKE = 1e-9
"""Categories further apart than this are different."""

_ARC = math.pi / 3.0
"""The arc of the values of an axis that may be absent: its ends are as far apart as its centre."""


class GaussianProcess:
    """A Gaussian process (Matern 5/2, a length scale an axis) over points of the unit box.

    ``values``: lower is better, any scale. Length scales and noise are those of the largest
    posterior density (gradient: Rasmussen & Williams 2006, equation 5.9). ``unordered`` says which
    axes are categories: unlike ones are 1 apart. ``conditional`` says which axes may be absent
    (NaN): they lie on an arc of 60 degrees around the place of absence (Swersky et al. 2014,
    "Raiders of the lost architecture"), so that a value is 1 apart from absence, as the ends of
    the axis are from each other. ``eligible`` says which points may be improved on (all, if not
    given; one at least), ``usual`` the usual length scale of each axis, if it is known.
    ``explained`` is the share of the values' variance that is not noise, ``fitted`` the predicted
    means at these points, in standard deviations of the values.
    """

    def __init__(
        self,
        points: Floats,
        values: Floats,
        unordered: npt.NDArray[np.bool_],
        conditional: npt.NDArray[np.bool_] | None = None,
        eligible: npt.NDArray[np.bool_] | None = None,
        usual: Floats | None = None,
    ) -> None:
        self._points, self._unordered = points, unordered
        self._conditional = np.zeros_like(unordered) if conditional is None else conditional
        self._open = eligible is None
        self._eligible = np.ones(len(points), dtype=bool) if eligible is None else eligible
        self._mean, self._sd = float(values.mean()), float(values.std()) or 1.0
        self._values = (values - self._mean) / self._sd
        self._lengths, self._noise = self._fitted(usual)
        self.explained = 1.0 - self._noise
        self._condition()

    def _fitted(self, usual: Floats | None) -> tuple[Floats, float]:
        columns = self._columns(self._points)
        squared = np.array([cdist(column, column, "sqeuclidean").ravel() for column in columns])
        axes = len(squared)
        lengths = np.full(axes, _LENGTH[0]) if usual is None else np.log(usual)
        spread = _LENGTH[1] if usual is None else _TRUSTED
        centres = np.append(lengths, _NOISE[0])
        spreads = np.append(np.full(axes, spread), _NOISE[1])
        found = minimize(
            _objective,
            centres,
            args=(squared, self._values, centres, spreads),
            jac=True,
            method="L-BFGS-B",
            bounds=[_LENGTHS] * axes + [_NOISES],
            options={"maxiter": _STEPS, "ftol": _TOLERANCE},
        )
        return np.exp(found.x[:axes]), math.exp(found.x[axes])

    def _columns(self, points: Floats) -> list[Floats]:
        """Give each axis as columns in which its distances are Euclidean."""
        return [
            _levels(values) if unordered else _arc(values) if conditional else values[:, None]
            for values, unordered, conditional in zip(
                points.T, self._unordered, self._conditional, strict=True
            )
        ]

    def distances(self, a: Floats, b: Floats) -> Floats:
        """Give how far rows of ``a`` are from rows of ``b`` in length scales."""
        columns = self._columns(np.vstack([a, b]))
        both = np.hstack([c / length for c, length in zip(columns, self._lengths, strict=True)])
        return np.asarray(cdist(both[: len(a)], both[len(a) :]))

    def _kernel(self, a: Floats, b: Floats) -> Floats:
        return matern(math.sqrt(5.0) * self.distances(a, b))

    def _condition(self) -> None:
        kernel = self._kernel(self._points, self._points)
        noisy = kernel + (self._noise + _JITTER) * np.eye(len(kernel))
        self._factor = np.linalg.cholesky(noisy)
        half = solve_triangular(self._factor, self._values, lower=True)
        self._weights = solve_triangular(self._factor.T, half)
        self.fitted = np.asarray(kernel @ self._weights)[self._eligible]

    def expect(self, points: Floats) -> None:
        """Take points for tried, with their predicted means as values (fantasies).

        No mean is moved by them; what changes is how sure the model is around them.
        """
        if len(points):
            means = self._kernel(points, self._points) @ self._weights
            self._points = np.vstack([self._points, points])
            self._values = np.append(self._values, means)
            self._eligible = np.append(self._eligible, np.full(len(points), self._open))
            self._condition()

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Give mean and standard deviation of the noiseless value at each point."""
        mean, sd = self.standard(points)
        return self._mean + self._sd * mean, self._sd * sd

    def standard(self, points: Floats) -> tuple[Floats, Floats]:
        """Give the same in standard deviations of the values, from their mean."""
        cross = self._kernel(points, self._points)
        half = solve_triangular(self._factor, cross.T, lower=True)
        variance = np.maximum(1.0 - (half**2).sum(axis=0), 1e-12)
        return np.asarray(cross @ self._weights), np.sqrt(variance)

    def log_improvement(self, points: Floats) -> Floats:
        """Give the log of the expected improvement over the lowest predicted value so far.

        In standard deviations of the values.
        """
        mean, sd = self.standard(points)
        return np.log(sd) + log_improvement((self.fitted.min() - mean) / sd)


def _levels(values: Floats) -> Floats:
    """Give columns in which unlike categories are 1 apart, absence (NaN) being one of them."""
    absent = np.isnan(values)
    levels = np.unique(np.round(values[~absent], 9))
    return math.sqrt(0.5) * np.column_stack([absent, np.abs(values[:, None] - levels) < _UNLIKE])


def _arc(values: Floats) -> Floats:
    """Give points on an arc of radius 1 for an axis' values, its centre for their absence."""
    angles = values * _ARC
    return np.asarray(np.nan_to_num(np.column_stack([np.cos(angles), np.sin(angles)])))


def matern(scaled: Floats) -> Floats:
    """Matern 5/2 of sqrt(5) times the distance (Rasmussen & Williams 2006, equation 4.17)."""
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))


def expected_improvement(z: Floats) -> Floats:
    """Give phi(z) + z Phi(z): by how much a standard normal number lies below z in the mean."""
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return np.asarray(np.maximum(density + z * ndtr(z), 1e-300))


def log_improvement(z: Floats) -> Floats:
    """Give its logarithm, also far below 0 (Ament et al. 2023, section 4.1)."""
    near = expected_improvement(z)
    # For z << 0 the sum cancels: phi(z) / z^2 is its first asymptotic term.
    far = -0.5 * z**2 - 0.5 * math.log(2.0 * math.pi) - 2.0 * np.log(np.maximum(-z, 1.0))
    return np.where(z > -6.0, np.log(near), far)


def _objective(
    logs: Floats, squared: Floats, values: Floats, centres: Floats, spreads: Floats
) -> tuple[float, Floats]:
    """Give the negative log posterior of the length scales and the noise, and its gradient.

    ``centres`` and ``spreads``: the normal prior of each logarithm.
    """
    axes, count = len(squared), len(values)
    inverse = np.exp(-2.0 * logs[:axes])
    noise = math.exp(logs[axes])
    scaled = np.sqrt(5.0 * (inverse @ squared)).reshape(count, count)
    decay = np.exp(-scaled)
    kernel = (1.0 + scaled + scaled**2 / 3.0) * decay
    kernel[np.diag_indices(count)] += noise + _JITTER
    factor, failed = dpotrf(kernel, lower=1)
    if failed:
        return 1e10, np.zeros(axes + 1)
    lower, _ = dpotri(factor, lower=1)  # above its diagonal is what `dpotrf` left there: zeros
    precision = lower + lower.T
    precision[np.diag_indices(count)] /= 2.0
    weights = precision @ values
    loss = 0.5 * float(values @ weights) + float(np.log(np.diag(factor)).sum())
    slope = 0.5 * (precision - np.outer(weights, weights))  # of the loss by the kernel
    by_squared = (slope * (5.0 / 3.0) * (1.0 + scaled) * decay).ravel()
    gradient = np.append((squared @ by_squared) * inverse, np.trace(slope) * noise)
    away = (logs - centres) / spreads
    return loss + 0.5 * float(away @ away), gradient + away / spreads
