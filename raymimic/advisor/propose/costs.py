"""Seconds that a training of a configuration takes, learnt from the trials of this search.

Snoek et al. 2012, "Practical Bayesian optimization of machine learning algorithms", section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.belief.axes import Axis, Floats, level_of, units_of
from raymimic.records import Budget

_FITTED = 60
"""The latest so many trials are fitted: seconds an epoch are known after one, with little noise."""

_TIES = 0.01
"""The exponent of cost where the number of trials is the limit: it breaks ties, no more."""

_POWERS = {"width": 0.7, "depth": 0.7, "batch_size": -0.3}
"""Before any result the seconds of an epoch grow with these powers of a parameter of such a role.

The work of a layer grows at least with its width and that of a net with its layers; larger batches
take fewer steps; and some of the time is the same for all. The figures are our own choice.
"""

_BESIDE = 10.0
"""Variance of a coefficient beside its power, over that of what the model does not explain."""

_LEVEL = 1e4
"""The same of the level of all: next to nothing is known of it."""


class Costs:
    """What a full training costs by configuration, in seconds of wall time.

    The logarithm of the seconds an epoch takes is linear in the coordinates, as a product of powers
    is (ridge regression around `_POWERS`); start-up is what the quickest trial took beside its
    epochs. ``epochs`` of a full training are those of the longest one known.
    """

    def __init__(self, evidence: SearchEvidence, axes: Sequence[Axis]) -> None:
        self._axes = axes
        known = [t for t in (*evidence.trials, *evidence.running) if t.pace > 0]
        self.epochs = max((_epochs(t) for t in known), default=0)
        self._startup = min((max(0.0, t.seconds - t.pace * _epochs(t))
                             for t in known if t.status != "running"), default=0.0)  # fmt: skip
        self._left = evidence.budget.seconds_left
        latest = known[-_FITTED:]
        self._slopes = np.empty(0)
        if latest:
            units = units_of(axes, (trial.config for trial in latest))
            self._slopes = self._fitted(units, np.log([trial.pace for trial in latest]))
        self.weight = _weight(evidence.budget) if self.known else 0.0

    @property
    def known(self) -> bool:
        """Whether any trial's seconds are."""
        return self.epochs > 0

    def pace(self, units: Floats) -> Floats:
        """Give the seconds that an epoch of each row takes."""
        return np.asarray(np.exp(self._columns(units) @ self._slopes))

    def _columns(self, units: Floats) -> Floats:
        """Give what the logarithm of a pace is linear in: 1, coordinates, and levels of choices."""
        columns = [np.ones(len(units))]
        for number, axis in enumerate(self._axes):
            if axis.graded:
                columns.append(np.nan_to_num(units[:, number] - 0.5))
            else:
                levels = level_of(axis, units[:, number])
                columns += [
                    (levels == level).astype(np.float64) for level in range(len(axis.labels))
                ]
        return np.column_stack(columns)

    def _fitted(self, units: Floats, paces: Floats) -> Floats:
        expected = [0.0]
        for axis in self._axes:
            expected += [_slope(axis)] if axis.graded else [0.0] * len(axis.labels)
        columns, around = self._columns(units), np.array(expected)
        variances = np.array([_LEVEL, *[_BESIDE] * (len(around) - 1)])
        covariance = (columns * variances) @ columns.T + np.eye(len(paces))
        rest = np.linalg.solve(covariance, paces - columns @ around)
        return np.asarray(around + variances * (columns.T @ rest))

    def seconds(self, units: Floats) -> Floats:
        """Give the seconds that a full training of each row takes, start-up included."""
        return self._startup + self.epochs * self.pace(units)

    def late(self, units: Floats) -> npt.NDArray[np.bool_]:
        """Say which rows cannot finish a full training in the time that is left."""
        if self._left is None or not self.known:
            return np.zeros(len(units), dtype=bool)
        return np.asarray(self.seconds(units) > self._left)

    def said(self, units: Floats, best: Floats | None) -> str:
        """Say what a configuration costs beside the best trial, and what time is left for it."""
        text = f"about {self.pace(units[None])[0]:.2g} s an epoch"
        if best is not None:
            ratio = float(self.seconds(units[None])[0] / self.seconds(best[None])[0])
            text += f", {ratio:.2g} x the time of the best"
        if self._left is not None and self.late(units[None])[0]:
            reached = max(0.0, self._left - self._startup) / float(self.pace(units[None])[0])
            text += f", and time is left for {int(reached)} of {self.epochs} epochs"
        return text


def _epochs(trial: TrialRecord) -> int:
    return int(trial.curve.epochs[-1]) if trial.curve is not None and len(trial.curve) else 0


def _slope(axis: Axis) -> float:
    """Give the change of a pace's logarithm over the whole axis that is expected before results."""
    if not axis.ordered or axis.role not in _POWERS:
        return 0.0
    low, high = axis.bounds
    return _POWERS[axis.role] * math.log(high / low) if low > 0 and high < math.inf else 0.0


def _weight(budget: Budget) -> float:
    """Give the exponent of cost in the acquisition.

    Where time limits the search it falls from 1 with the time left, for at the end nothing is saved
    for later (cost-cooling, Lee et al. 2020, "Cost-aware Bayesian optimization").
    """
    if not budget.timed:
        return _TIES
    if budget.seconds_left is None or not budget.seconds_total:
        return 1.0
    return budget.seconds_left / budget.seconds_total
