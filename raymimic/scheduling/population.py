"""Population training: which hopeless trial goes on from a better one's checkpoint, and whose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ray.tune import Checkpoint

from raymimic.advisor import Judgement, Leader, PastRedirect
from raymimic.curves import noise_of
from raymimic.scheduling.cases import Doubt, Search
from raymimic.scheduling.verdict import Verdict

_REST = 4  # a trial is cloned once in this part of a full training
_WAIT, _LEAST_WAIT = 20, 2  # the judge has this part of one, and so many epochs at least
_NOISES = 2.0  # a leader is better by more than so many standard deviations of the noise
_SENDINGS = 3  # of one clone whose checkpoint is gone each time


@dataclass
class _Standing:
    """Where a trial stands, ended or not; ``cost`` is its latest value, lower is better."""

    cost: float
    value: float
    epoch: int
    knobs: Mapping[str, float]
    config: Mapping[str, Any]


@dataclass
class Plan:
    """A trial that may be cloned: as it is put to the judge, its leader, the rules' verdict.

    Once it is cloned, what was decided, by whom, and how often the checkpoint was sent.
    """

    doubt: Doubt
    leader: Leader
    verdict: Verdict
    judgement: Judgement | None = None
    said: str = ""
    sent: int = 0


@dataclass
class Population:
    """Finds leaders, and keeps the plans that wait for the judge and those that were carried out.

    The leader is the trial with the best latest value of all that have a checkpoint, running or
    ended, whatever its epoch: what counts are the weights, and who has gone further lends more.
    It must be better than the hopeless trial's latest value by more than twice the latter's noise.
    """

    plans: dict[str, Plan] = field(default_factory=dict)
    sent: dict[str, Plan] = field(default_factory=dict)
    _standings: dict[str, _Standing] = field(default_factory=dict)

    def hear(
        self, search: Search, trial: Any, epoch: int, value: float, knobs: Mapping[str, float]
    ) -> None:
        """Take in a result; without knob values the trial can neither lead nor be cloned."""
        cost = value if search.goal[1] == "min" else -value
        before = self._standings.get(trial.trial_id)
        config = before.config if before is not None else search.config(trial)
        self._standings[trial.trial_id] = _Standing(cost, value, epoch, knobs, config)

    def may(self, search: Search, epoch: int, past: tuple[PastRedirect, ...]) -> bool:
        """Whether it is time: once in a quarter of a training, and with epochs left to gain by it.

        While nobody knows how long a training is, once.
        """
        length = search.length
        if length and length - epoch < _LEAST_WAIT:
            return False
        before = [one.epoch for one in past if one.cloned]
        return not before or (length > 0 and epoch - before[-1] >= length / _REST)

    def leader(self, search: Search, controller: Any, trial_id: str) -> Leader | None:
        """The best other trial whose checkpoint is worth going on from, None without any."""
        own = self._standings[trial_id]
        bar = math.inf
        if math.isfinite(own.cost):
            bar = own.cost - _NOISES * _noise(search, trial_id)
        trials = {trial.trial_id: trial for trial in controller.get_trials()}
        for other in self._better(bar):
            trial = trials.get(other)
            if trial is not None and other != trial_id and trial.checkpoint is not None:
                one = self._standings[other]
                return Leader(other, one.value, one.epoch, one.knobs, one.config)
        return None

    def late(self, search: Search, plan: Plan, epoch: int) -> bool:
        """Whether the judge has had its time."""
        return epoch - plan.doubt.epoch >= max(_LEAST_WAIT, search.length // _WAIT)

    def origin(self, controller: Any, plan: Plan) -> tuple[Leader, Checkpoint] | None:
        """The leader as it stands now, with its latest checkpoint; None if enough were sent."""
        found = plan.leader.trial_id
        trials = (one for one in controller.get_trials() if one.trial_id == found)
        checkpoint = next((one.checkpoint for one in trials), None)
        if checkpoint is None or plan.sent >= _SENDINGS:
            return None
        now = self._standings[found]
        return replace(plan.leader, value=now.value, epoch=now.epoch), checkpoint

    def end(self, trial_id: str) -> None:
        """The trial ended: nothing is planned for it any more; it may still lead."""
        self.plans.pop(trial_id, None)
        self.sent.pop(trial_id, None)

    def _better(self, bar: float) -> Iterator[str]:
        costs = [
            (one.cost, trial_id)
            for trial_id, one in self._standings.items()
            if one.knobs and math.isfinite(one.cost) and one.cost < bar
        ]
        return (trial_id for _, trial_id in sorted(costs))


def _noise(search: Search, trial_id: str) -> float:
    metric, curve = search.goal[0], search.curve(trial_id)
    if curve is None or metric not in curve.columns:
        return 0.0
    values = curve.column(metric)
    return noise_of(np.asarray(values[np.isfinite(values)])) or 0.0
