"""Advisers that know roughly where a table's optimum lies, and say so once or anew with each batch.

Stand-ins for a model whose belief is worth hearing, without a model: their first belief is the
truth with an error, their proposals are draws from what they believe at the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.common.tables import TableTask
from experiments.common.task import NotApplicable, Task
from raymimic import Advice, MixtureAdvisor, SearchEvidence
from raymimic.advisor.belief.axes import Axis, Floats, axes_of, units_of
from raymimic.advisor.belief.prior import Prior
from raymimic.records import Belief, Leaning, Place, Proposal
from raymimic.tune.domains import RaySpace

_TRUE = 10
"""The right place is the mean of so many of the table's best configurations."""

_BEST = 3
"""A belief that is said anew lies around so many of the search's best trials."""

_NARROW = 0.05
"""Its standard deviation in unit coordinates: as a mind did that saw a lucky early trial."""


def right_place(task: Task, axes: Sequence[Axis]) -> Floats:
    """Give the mean coordinates of a table's best; `NotApplicable` where no optimum is known."""
    if not isinstance(task, TableTask):
        raise NotApplicable(f"only of a table is the optimum known, {task.name} is none")
    return np.asarray(units_of(axes, task.best(_TRUE)).mean(axis=0))


class Believer:
    """Proposes draws from its belief; ``restates`` it narrowly around its best trials if told.

    ``error``: standard deviation of the first belief's centre from the truth, in unit coordinates;
    it is as wide as that.
    """

    name, remote = "believer", True

    def __init__(self, task: Task, seed: int, *, error: float, restates: bool) -> None:
        self._axes = axes_of(RaySpace.from_ray(task.param_space()).space)
        self._rng = np.random.default_rng([seed, len(task.name)])
        self._restates, self._width = restates, error
        errors = error * self._rng.normal(size=len(self._axes))
        self._centre = np.clip(right_place(task, self._axes) + errors, 0.0, 1.0)

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose ``n`` draws, with the belief that they come from."""
        centre, width = self._centre, self._width
        if self._restates and len(evidence.ranked()) >= _BEST:
            best = [trial.config for trial in evidence.ranked()[:_BEST]]
            centre, width = units_of(self._axes, best).mean(axis=0), _NARROW
        belief = _belief(self._axes, centre, width)
        rows = Prior(self._axes, belief).drawn(self._rng, n)
        configs = [
            {axis.name: axis.at(float(unit)) for axis, unit in zip(self._axes, row, strict=True)}
            for row in rows
        ]
        return Advice(
            tuple(Proposal(config, "as I believe", source="llm") for config in configs),
            belief=belief,
        )


def _belief(axes: Sequence[Axis], centre: Floats, width: float) -> Belief:
    places, leanings = {}, {}
    for axis, unit in zip(axes, centre, strict=True):
        if not axis.ordered:
            likeliest = axis.label(axis.at(float(unit)))
            weights = {label: 3.0 if label == likeliest else 1.0 for label in axis.labels}
            leanings[axis.name] = Leaning(weights, "the model")
            continue
        low, high = (float(axis.bent(end)) for end in axis.bounds)
        number = float(axis.at(float(unit)))
        places[axis.name] = (Place(number, width * (high - low), axis.scale, "the model"),)
    return Belief(places, leanings)


def believer(task: Task, seed: int, *, error: float, restates: bool) -> MixtureAdvisor:
    """What `LLMSearcher` would take for such a model: it shares the trials with the process."""
    return MixtureAdvisor(Believer(task, seed, error=error, restates=restates), seed)
