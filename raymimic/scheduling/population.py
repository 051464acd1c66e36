"""Population training: which hopeless trial may go on from a better one's checkpoint, and whose."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from raymimic.advisor import Leader
from raymimic.curves import noise_of
from raymimic.curves.effect import NOISES
from raymimic.scheduling.running import Exploit, Run, RunningTrial

_REST = 4  # a trial is cloned once in this part of a full training
_WAIT, _LEAST_WAIT = 20, 2  # the judge has this part of one, and so many epochs at least
_SENDINGS = 3  # of one clone whose checkpoint is gone each time

Checkpoints = Callable[[str], Any]
"""A trial's latest checkpoint, None without any."""


def may_be_cloned(run: Run, trial: RunningTrial, epoch: int) -> bool:
    """Whether it is time: once in a quarter of a training, and with epochs left to gain by it.

    While nobody knows how long a training is, once.
    """
    length = run.length
    if length and length - epoch < _LEAST_WAIT:
        return False
    before = [past.epoch for past in trial.past if past.cloned]
    return not before or (length > 0 and epoch - before[-1] >= length / _REST)


def leader_for(run: Run, trial: RunningTrial, checkpoint_of: Checkpoints) -> Leader | None:
    """The best other trial whose checkpoint is worth going on from, None without any.

    The one with the best latest value of all that have a checkpoint and knobs, running or ended,
    whatever its epoch: what counts are the weights, and who has gone further lends more. It must be
    better than the trial's latest value by more than twice the latter's noise.
    """
    bar, own = math.inf, _cost(run, trial)
    if math.isfinite(own):
        bar = own - NOISES * _noise(run, trial.trial_id)
    for other in _better(run, bar):
        if other != trial.trial_id and checkpoint_of(other) is not None:
            return _as_leader(run, run.trials[other])
    return None


def origin_of(run: Run, exploit: Exploit, checkpoint_of: Checkpoints) -> tuple[Leader, Any] | None:
    """The leader as it stands now, with its latest checkpoint; None if enough were sent."""
    leader = exploit.case.leader
    assert leader is not None, "an exploit has one"
    checkpoint = checkpoint_of(leader.trial_id)
    if checkpoint is None or exploit.sent >= _SENDINGS:
        return None
    now = _as_leader(run, run.trials[leader.trial_id])
    return replace(leader, value=now.value, epoch=now.epoch), checkpoint


def is_late(run: Run, exploit: Exploit, epoch: int) -> bool:
    """Whether the judge has had its time."""
    return epoch - exploit.case.epoch >= max(_LEAST_WAIT, run.length // _WAIT)


def _better(run: Run, bar: float) -> Iterator[str]:
    costs = [
        (cost, trial.trial_id)
        for trial in run.trials.values()
        if trial.report is not None
        and run.knob_values(trial.report)  # without any it was not trained as the others are
        and math.isfinite(cost := _cost(run, trial))
        and cost < bar
    ]
    return (trial_id for _, trial_id in sorted(costs))


def _as_leader(run: Run, trial: RunningTrial) -> Leader:
    report = trial.report
    assert report is not None, "only a trial that has reported leads"
    value = math.nan if report.value is None else report.value
    return Leader(trial.trial_id, value, report.epoch, run.knob_values(report), trial.config)


def _cost(run: Run, trial: RunningTrial) -> float:
    value = trial.report.value if trial.report is not None else None
    return math.nan if value is None else run.cost(trial.trial_id, value)


def _noise(run: Run, trial_id: str) -> float:
    curve = run.keeper.curve(trial_id)
    if curve is None or run.metric not in curve.columns:
        return 0.0
    values = curve.column(run.metric)
    return noise_of(np.asarray(values[np.isfinite(values)])) or 0.0
