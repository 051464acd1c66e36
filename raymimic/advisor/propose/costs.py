"""Seconds that a training of a configuration takes, learnt from the trials of this search.

Snoek et al. 2012, "Practical Bayesian optimization of machine learning algorithms", section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.belief.axes import Floats
from raymimic.advisor.propose.gp import GaussianProcess
from raymimic.records import Budget, Config

_FITTED = 60
"""The latest so many trials are fitted: seconds an epoch are known after one, with little noise."""

_TIES = 0.01
"""The exponent of cost where the number of trials is the limit: it breaks ties, no more."""

Encode = Callable[[Iterable[Config]], Floats]
Fit = Callable[[Floats, Floats], GaussianProcess]


class Costs:
    """What a full training costs by configuration, in seconds of wall time.

    The logarithm of the seconds an epoch takes is a Gaussian process over the unit box; start-up is
    what the quickest trial took beside its epochs. ``epochs`` of a full training are those of the
    longest one known.
    """

    def __init__(
        self,
        evidence: SearchEvidence,
        encode: Encode,
        fit: Fit,
    ) -> None:
        known = [t for t in (*evidence.trials, *evidence.running) if t.pace > 0]
        self.epochs = max((_epochs(t) for t in known), default=0)
        self._startup = min((max(0.0, t.seconds - t.pace * _epochs(t))
                             for t in known if t.status != "running"), default=0.0)  # fmt: skip
        self._left = evidence.budget.seconds_left
        latest = known[-_FITTED:]
        paces = np.log([t.pace for t in latest])
        self._usual = float(np.median(paces)) if latest else 0.0
        self._model: GaussianProcess | None = None
        if np.unique(paces).size > 1:
            self._model = fit(encode(t.config for t in latest), paces)
        self.weight = _weight(evidence.budget) if self.known else 0.0

    @property
    def known(self) -> bool:
        """Whether any trial's seconds are."""
        return self.epochs > 0

    def pace(self, units: Floats) -> Floats:
        """Give the seconds that an epoch of each row takes."""
        if self._model is None:
            return np.full(len(units), np.exp(self._usual))
        return np.exp(self._model.predict(units)[0])

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
