"""The statistical proposer: expected improvement times a belief whose weight decays with evidence.

Hvarfner et al. 2022, "piBO: Augmenting acquisition functions with user beliefs".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.belief.axes import Axis, Floats, axes_of, gaps_between, largest_gaps, units_of
from raymimic.advisor.belief.openings import openings, opinions
from raymimic.advisor.belief.practice import LENGTHS, USUAL_LENGTH
from raymimic.advisor.belief.prior import Priors
from raymimic.advisor.curve_text import number
from raymimic.advisor.propose.candidates import LISTED, candidates, every
from raymimic.advisor.propose.costs import Costs
from raymimic.advisor.propose.feasible import Feasibility
from raymimic.advisor.propose.gp import GaussianProcess, matern
from raymimic.advisor.propose.objective_values import (
    kept,
    places,
    standings,
    told_of_each,
    warped,
)
from raymimic.advisor.propose.trade_off import TradeOff
from raymimic.advisor.propose.within import Within, moved
from raymimic.feasibility import memory_failure
from raymimic.pareto import front
from raymimic.records import Advice, Config, Proposal

_BELIEF = 3.0
"""The belief's exponent with one result; it falls with 1 / results, as far as the model of the
scores explains them: what is noise overrules no belief."""

_OPENING = 10
"""First guesses that were not made yet are made while fewer configurations are known."""

_FITTED = 120
"""Only the best half and the latest half of so many trials are fitted, so that it stays fast."""

_PENDING = 100
"""So many of the latest running or waiting configurations are kept away from."""

_SPACING = 0.5
"""Of the mean spacing of the trials, were they spread evenly, a new one keeps this much away from
each in one parameter at least: nearer ones would tell the same, for the price of a whole trial."""

_EXPLAINED = 0.5
"""While the model explains less of the scores' variance, trials keep their spacing."""

_PARENTS = 3
_SHOWN = 3
_SAME = 0.01
"""A reason names so many of the changes that are larger than this in unit coordinates."""

_ROUNDS = 3
"""Candidates are drawn so often before a space counts as used up."""

_LAST = 1e6
"""Candidates that are too near wait until there are no others."""

_REACH = 0.6
"""Length scale, in unit coordinates, of what is taken for known before a model can say."""

_NEW = 0.7
"""Share of the variance from which on a place counts as new: what is farther away is no better."""


class StatisticalAdvisor:
    """Bayesian optimisation with a prior over the optimum's place; no language model.

    The belief is the model's or the user's in the evidence, else that of lessons and of common
    practice. Sees scores alone: failed trials as a bad finite value, stopped ones as their
    forecast, running ones as pending. Where trials broke limits or ran out of memory, improvement
    on the best that did not counts by the probability of keeping to all (`Feasibility`); before any
    did, that probability alone. Where time limits the search, improvement counts by the second
    (`Costs`). Builds its model anew at each call, so proposals depend on
    ``seed`` and the evidence alone. Answers fewer than asked where a finite space is used up.

    >>> from raymimic import FloatRange, SearchEvidence, SearchSpace, StatisticalAdvisor
    >>> evidence = SearchEvidence(SearchSpace({"x": FloatRange(0.0, 1.0)}), "loss", "min")
    >>> len(StatisticalAdvisor(seed=0).propose(evidence, 2).proposals)
    2
    """

    name = "statistical"
    remote = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose up to ``n`` new configurations, each with its reason."""
        if not evidence.space.dimensions or n < 1:
            return Advice(())
        proposals = opening_proposals(evidence, n)
        evidence = evidence.with_pending(p.config for p in proposals)
        chosen = (
            _Search(evidence, self.seed).choose(n - len(proposals)) if n > len(proposals) else []
        )
        return Advice((*proposals, *chosen))


def opening_proposals(evidence: SearchEvidence, n: int) -> list[Proposal]:
    """Give the first guesses that are still to be made, at most ``n``."""
    space, taken = evidence.space, set()
    for config in evidence.known:
        taken.add(space.key(config))
        if len(taken) >= _OPENING:
            return []
    due = {space.key(guess.config): guess for guess in moved(openings(evidence), space)}
    new = [guess for key, guess in due.items() if key not in taken]
    return [Proposal(guess.config, guess.reason, source="heuristic") for guess in new[:n]]


@dataclass
class _Chosen:
    config: Config
    units: Floats
    log_improvement: float | None
    log_feasible: float


class _Search:
    """One call: what is known in unit coordinates, the model of the scores, the belief."""

    def __init__(self, evidence: SearchEvidence, seed: int) -> None:
        self._evidence, self._space = evidence, evidence.space
        self._axes = axes_of(evidence.space)
        found = opinions(evidence)
        self._prior = Priors(self._axes, [opinion.belief for opinion in found])
        named = dict.fromkeys(name for one in found if one.says for name in one.whose)
        self._sources = " and ".join(named)
        pending = evidence.pending
        self._within = Within(self._space, self._axes, seed + len(evidence.known))
        self._rng = np.random.default_rng([seed % 2**32, len(evidence.trials), len(pending)])
        self._taken = {self._space.key(config) for config in evidence.known}
        self._feasible = Feasibility(evidence, self._axes, self._encoded, self._process)
        ended, rows = evidence.trials, kept(standings(evidence), _FITTED)
        lost = {row for row in rows if memory_failure(ended[row].error)}
        self._lost = self._encoded(ended[row].config for row in sorted(lost))
        rows = [row for row in rows if row not in lost]  # what a lost score would be is not known
        self._trials = [ended[row] for row in rows]
        values = places(evidence)
        self._values = warped([values[row] for row in rows])
        self._told = told_of_each(evidence)[rows]
        self._ended = self._encoded(trial.config for trial in self._trials)
        self._standings = [evidence.standing(trial) for trial in self._trials]
        self._eligible = np.array([not broken for broken, _ in self._standings], dtype=bool)
        self._pending = self._encoded(pending[-_PENDING:])
        self._costs = Costs(evidence, self._axes)
        self._model = self._fitted()
        self._weight = self._believed()

    def _encoded(self, configs: Iterable[Config]) -> Floats:
        return units_of(self._axes, configs)

    def _process(
        self,
        points: Floats,
        values: Floats,
        eligible: npt.NDArray[np.bool_] | None = None,
        usual: Floats | None = None,
    ) -> GaussianProcess:
        unordered = np.array([not axis.graded for axis in self._axes], dtype=bool)
        conditional = np.array([axis.parent is not None for axis in self._axes], dtype=bool)
        return GaussianProcess(points, values, unordered, conditional, eligible, usual)

    def _fitted(self) -> GaussianProcess | TradeOff | None:
        """Give the model of the scores; None without two different ones."""
        told = self._told
        if len(told) < 2 or not np.ptp(told, axis=0).any():
            return None
        model: GaussianProcess | TradeOff
        some = self._eligible.any() and not self._eligible.all()
        fit = partial(self._process, eligible=self._eligible if some else None)
        if self._evidence.others:
            columns = np.column_stack([warped(column.tolist()) for column in told.T])
            model = TradeOff(self._ended, columns, fit)
        else:
            model = fit(self._ended, self._values, usual=self._lengths)
        model.expect(self._pending)
        return model

    @property
    def _lengths(self) -> Floats | None:
        """How far a change of each parameter usually goes on mattering, once it can be of use.

        With no more results than parameters it is left open: the model must not extrapolate. So it
        is with several objectives: practice speaks of scores, not of what else is measured.
        """
        if len(self._trials) <= self._width:
            return None
        return np.array([LENGTHS.get(axis.role or "", USUAL_LENGTH) for axis in self._axes])

    def _believed(self) -> float:
        """Weigh the beliefs by the results; give the exponent of what is believed then.

        Where all results are the same, nothing is: what was believed in leads nowhere. Nor before
        any trial keeps to the limits: where the best scores lie is not asked yet.
        """
        if self._searching:
            return 0.0
        if self._model is None:
            return _BELIEF if len(self._values) < 2 else 0.0
        self._prior.learn(self._ended, self._values)
        return _BELIEF / max(1.0, self._model.explained * len(self._evidence.trials))

    @property
    def _searching(self) -> bool:
        """Whether what is looked for is a first trial that keeps to the limits."""
        return self._feasible.known and not self._eligible.any()

    def choose(self, n: int) -> list[Proposal]:
        """Choose ``n`` configurations one after the other, each as if those before it ran."""
        found: list[Proposal] = []
        for _ in range(n):
            chosen = self._next()
            if chosen is None:
                break
            found.append(Proposal(chosen.config, self._reason(chosen), source="statistical"))
            self._taken.add(self._space.key(chosen.config))
            self._pending = np.vstack([self._pending, chosen.units])
            if self._model is not None:
                self._model.expect(chosen.units[None])
        return found

    def _next(self) -> _Chosen | None:
        size = self._space.size
        listed = size is not None and size <= LISTED
        best = self._ended[self._parents()]
        if self._searching:
            best = np.vstack([best, self._lost[-_PARENTS:]])
        for _ in range(1 if listed else _ROUNDS):
            units = (
                every(self._axes)
                if listed
                else self._within.more(candidates(self._axes, self._prior, best, self._rng))
            )
            gains = self._gains(units)
            likely = self._feasible.log_probability(units)
            worth = gains + likely + self._weight * self._prior.log_density(units)
            if self._costs.known:
                worth -= self._costs.weight * np.log(self._costs.seconds(units))
                worth[self._costs.late(units)] -= _LAST
            if self._model is not None and self._coarse:
                worth[self._crowded(units)] -= _LAST
            for row in np.argsort(-worth, kind="stable"):
                config = self._config(units[row])
                new = self._space.key(config) not in self._taken
                if new and not self._space.refusal(config):
                    gain = None if self._model is None else float(gains[row])
                    return _Chosen(config, units[row], gain, float(likely[row]))
        return None

    def _parents(self) -> npt.NDArray[np.intp]:
        """Give the rows of the best trials to step from: of several objectives the front."""
        (counted,) = np.nonzero(self._eligible)
        if self._evidence.others and len(counted):
            return np.asarray(counted[front(self._told[counted])])
        broken, excess = np.array(self._standings).reshape(-1, 2).T
        return np.asarray(np.lexsort((self._values, excess, broken))[:_PARENTS])

    @property
    def _coarse(self) -> bool:
        """Whether small steps teach nothing: too few results, two of them the very same, or noise.

        With fewer results than parameters no model can tell which way is down. Equal scores of
        different configurations say that what differs between them is not seen, and so does a
        model to which most differences are noise: as after trials in one place, that of a belief
        which is sure and wrong.
        """
        if self._model is not None and self._model.explained < _EXPLAINED:
            return True
        scores = [
            tuple(told)
            for told, trial in zip(self._told.tolist(), self._trials, strict=True)
            if trial.score is not None
        ]
        return len(scores) < self._width or len(set(scores)) < len(scores)

    @property
    def _width(self) -> int:
        """How many parameters exist at once, at most, in what was tried."""
        existing = ~np.isnan(self._known)
        return int(existing.sum(axis=1).max(initial=1))

    def _crowded(self, units: Floats) -> npt.NDArray[np.bool_]:
        """Say which candidates lie too near to a known configuration to tell something new."""
        known = self._known
        spacing = _SPACING * len(known) ** (-1.0 / self._width)
        return np.asarray(largest_gaps(units, known).min(axis=1) < spacing)

    @property
    def _known(self) -> Floats:
        """The coordinates of all configurations that ended, run or wait."""
        return np.vstack([self._ended, self._lost, self._pending])

    def _config(self, units: Floats) -> Config:
        return {
            axis.name: axis.at(float(unit))
            for axis, unit in zip(self._axes, units, strict=True)
            if not math.isnan(unit)
        }

    def _gains(self, units: Floats) -> Floats:
        """Give the log of what each candidate promises: without a model, how new it is."""
        if self._searching:
            return np.zeros(len(units))  # there is nothing to improve on before a trial counts
        if self._model is not None:
            return self._model.log_improvement(units)
        known = self._known
        if not len(known):
            return np.zeros(len(units))
        near = np.sqrt(5.0 * (gaps_between(units, known) ** 2).sum(axis=0)) / _REACH
        new = 1.0 - matern(near).max(axis=1)
        return np.asarray(np.log(np.clip(new, 1e-9, _NEW)))

    def _reason(self, chosen: _Chosen) -> str:
        """Say what is new against the best trial first, then what speaks for it."""
        best = next(iter(self._evidence.ranked()), None)
        parts = [self._values_of(chosen) if best is None else self._changes(best, chosen)]
        if self._searching:
            parts.append("no trial kept to the limits yet, so what is likely to counts")
        elif chosen.log_improvement is None:
            why = "fewer than 2 results" if len(self._values) < 2 else "all results are alike"
            parts.append(f"{why}, so distance from what is known counts")
        else:
            gain = math.exp(chosen.log_improvement)
            text = f"expected improvement {gain:.2g} sd over the best predicted so far"
            if self._evidence.others:  # while one trial is all the front, the box is small
                text = f"expected to add {min(gain, 1.0):.2g} of the volume before the front"
            parts.append(text)
        if self._feasible.known:
            chance = math.exp(chosen.log_feasible)
            parts.append(f"{chance:.0%} likely to keep to the limits")
        if self._weight > 0 and self._sources:
            parts.append(f"belief from {self._sources}, to the power {self._weight:.2g}")
        if self._costs.known:
            against = None if best is None else self._encoded([best.config])[0]
            parts.append(self._costs.said(chosen.units, against))
        return "; ".join(parts)

    def _values_of(self, chosen: _Chosen) -> str:
        here = [axis for axis in self._axes if axis.name in chosen.config]
        order = sorted(here, key=lambda axis: axis.role != "learning_rate")
        shown = [f"{axis.name} {axis.show(chosen.config[axis.name])}" for axis in order[:_SHOWN]]
        more = f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
        return f"{', '.join(shown)}{more}"

    def _changes(self, best: TrialRecord, chosen: _Chosen) -> str:
        """Say in words what is new against the best trial, the largest differences first."""
        (before,) = self._encoded([best.config])
        gaps = gaps_between(chosen.units[None], before[None]).ravel()
        gaps[np.isnan(chosen.units)] = 0.0  # what went with its branch
        order = [i for i in np.argsort(-gaps, kind="stable") if gaps[i] > _SAME]
        order.sort(key=lambda i: (np.isnan(before[i]), -gaps[i]))
        shown = [_change(self._axes[i], best.config, chosen.config) for i in order[:_SHOWN]]
        more = f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
        what = f"{', '.join(shown) or 'nearly the same'}{more}"
        which = "the nearest to the limits" if self._evidence.broken(best) else "the best"
        return f"{what} from {which}, trial {best.trial_id} ({number(self._evidence.value(best))})"


def _change(axis: Axis, before: Config, after: Config) -> str:
    """Say a change of one parameter; one that comes with a branch has no value before."""
    value = axis.show(after[axis.name])
    if axis.name not in before:
        return f"with {axis.name} {value}"
    return f"{axis.name} {axis.show(before[axis.name])} -> {value}"
