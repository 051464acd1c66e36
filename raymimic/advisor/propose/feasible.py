"""How likely a configuration keeps to all limits: a Gaussian process for each of them.

Gardner et al. 2014, "Bayesian optimization with inequality constraints"; what ran out of memory has
no value to model, so whether trials do is a process over two labels (Gelbart et al. 2014, "Bayesian
optimization with unknown constraints", have a classifier there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.special import log_ndtr

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.belief.axes import Axis, Floats
from raymimic.advisor.propose.gp import GaussianProcess
from raymimic.advisor.propose.objective_values import kept
from raymimic.feasibility import Limit, memory_failure
from raymimic.records import Config

_FITTED = 120
"""Only the half nearest to the limit and the latest half of so many trials are fitted."""

_LARGER = frozenset({"batch_size", "width", "depth", "kernel_size", "num_leaves", "tree_depth"})
"""Roles of parameters that take more memory the larger they are."""

Encode = Callable[[Iterable[Config]], Floats]
Fit = Callable[[Floats, Floats], GaussianProcess]


class Feasibility:
    """What is learnt of the limits from the trials that have ended.

    A metric whose values and bound are all positive is modelled by its logarithm: memory, seconds
    and parameters are products. Limits that no trial has broken restrict nothing.
    """

    def __init__(
        self, evidence: SearchEvidence, axes: Sequence[Axis], encode: Encode, fit: Fit
    ) -> None:
        self._models: list[GaussianProcess] = []
        self._memory: GaussianProcess | None = None
        self._larger = [i for i, axis in enumerate(axes) if axis.role in _LARGER and axis.graded]
        for number, limit in enumerate(evidence.limits):
            rows = [(trial, evidence.readings(trial)[number]) for trial in evidence.trials]
            known = [(trial, row.value) for trial, row in rows if row.value is not None]
            if any(row.broken for _, row in rows):
                excess = _excess(limit, [value for _, value in known])
                near = kept(np.abs(excess).tolist(), _FITTED)
                points = encode(known[row][0].config for row in near)
                self._models.append(fit(points, np.array([excess[row] for row in near])))
        out = [t for t in evidence.trials if t.status == "failed" and memory_failure(t.error)]
        if out:
            fine = [trial for trial in evidence.trials if trial.status == "done"]
            self._memory = self._of_memory(out, fine, encode, fit)

    def _of_memory(
        self, out: Sequence[TrialRecord], fine: Sequence[TrialRecord], encode: Encode, fit: Fit
    ) -> GaussianProcess:
        """Model who runs out of memory (1) and who does not (-1), beside what sizes let expect."""
        trials = [*out[-_FITTED // 2 :], *fine[-_FITTED // 2 :]]
        points = encode(trial.config for trial in trials)
        labels = np.array([1.0 if trial.status == "failed" else -1.0 for trial in trials])
        return fit(points, labels - self._by_size(points))

    def _by_size(self, points: Floats) -> Floats:
        """Give what sizes alone let expect of memory: from -1 (the smallest) to 1 (the largest)."""
        if not self._larger:
            return np.zeros(len(points))
        sizes = np.nan_to_num(points[:, self._larger], nan=0.5)
        return np.asarray(2.0 * sizes.mean(axis=1) - 1.0)

    @property
    def known(self) -> bool:
        """Whether any trial broke a limit or ran out of memory."""
        return bool(self._models) or self._memory is not None

    def log_probability(self, units: Floats) -> Floats:
        """Give the log of the probability that a trial at each point keeps to all limits."""
        total = np.zeros(len(units))
        for model in self._models:
            mean, sd = model.predict(units)
            total += log_ndtr(-mean / sd)
        if self._memory is not None:
            mean, sd = self._memory.predict(units)
            total += log_ndtr(-(mean + self._by_size(units)) / sd)
        return total


def _excess(limit: Limit, values: Sequence[float]) -> list[float]:
    """Give how far values are beyond the limit, in logarithms where all are positive.

    Infinite ones count as twice as far as the farthest finite one.
    """
    given = np.array(values)
    finite = given[np.isfinite(given)]
    if limit.bound > 0 and (given > 0).all():
        with np.errstate(divide="ignore"):
            found = (1.0 if limit.below else -1.0) * np.log(given / limit.bound)
    else:
        found = np.array([limit.excess(value) for value in given])
    far = 2.0 * float(np.abs(found[np.isfinite(given)]).max(initial=0.5)) if len(finite) else 1.0
    return [float(value) for value in np.clip(found, -far, far)]
