"""How the keyless advisor steers a training: a few rules of practice, each with its source.

- A short training wants a larger learning rate: with few optimizer steps the limit is how far they
  reach, not their noise (L. Smith, "Super-convergence", 2018; Li, Yumer, Ramanan, "Budgeted
  training", 2020). It is raised only while validation improves, and every raise is judged.
- Whatever the budget, the learning rate falls to near zero towards its end (Budgeted training).
- Wrong labels are learnt last, and with large steps (Arpit et al., "A closer look at memorization",
  2017): where training lags behind validation the rate falls early.
- Averaging late weights takes out what is left of the steps' noise (Polyak 1992; Izmailov et al.,
  "Averaging weights leads to wider optima", 2018).
- What each diagnosis calls for stands in `cures` (``adjust`` and ``pull``).
- A move that made things worse is not made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raymimic.advisor.adjust.evidence import Adjustment, Operation, RunEvidence
from raymimic.advisor.cures import CURES, turned
from raymimic.advisor.curve_text import number
from raymimic.curves import find_pair

_ENOUGH_STEPS = 2000
"""Optimizer steps beyond which a training counts as long; below, the learning rate may be raised
by the square root of the shortfall."""

_MOST_RAISE = 10.0
_FIRST_RAISE = 3.0
_RAISE_A_TIME = 1.3
"""After the first one: at ten steps in all, three times as much again was too much."""

_FALL = (0.6, 0.05)
"""Share of the epochs after which the learning rate falls, linearly, and to what share of it."""

_FEW_STEPS, _SHORT_FALL = 100, (0.7, 0.4)
"""With fewer steps in all, reach is missing to the end: later and less far (MNIST subsets of 10 and
100 images, held-out training images)."""

_AVERAGE_FROM = 0.8
_PULL = 0.5

LR = "lr"

_AT_ONCE = ("diverged", "overfitting")
"""Diagnoses that come before the falling learning rate of a training's end."""


def adjustment_of(evidence: RunEvidence) -> Adjustment:
    """Give the next interval's adjustment by rule; empty where no rule applies.

    Depends on the evidence alone.
    """
    for rule in (_urgent, _anneals, _other, _short):
        found = rule(evidence)
        if found is not None:
            return found
    return Adjustment()


def _urgent(evidence: RunEvidence) -> Adjustment | None:
    return _cured(evidence, [kind for kind in CURES if kind in _AT_ONCE])


def _other(evidence: RunEvidence) -> Adjustment | None:
    return _cured(evidence, [kind for kind in CURES if kind not in _AT_ONCE])


def _cured(evidence: RunEvidence, kinds: Sequence[str]) -> Adjustment | None:
    """The cure of the first of ``kinds`` that is diagnosed and has one that can be done."""
    for kind in kinds:
        if kind not in evidence.diagnosis:
            continue
        cure = CURES[kind]
        knobs = turned(evidence.knobs, cure.adjust)
        pulled = cure.pull > 0.0 and "best" in evidence.anchors
        back = (Operation("pull", amount=cure.pull, toward="best"),) if pulled else ()
        if knobs or back:
            told = [f"{name} {number(knobs[name])}" for name in knobs]
            told += ["back toward the best weights"] if back else []
            return Adjustment(knobs, None, back, f"{evidence.diagnosis.text}: {', '.join(told)}")
    return None


def _anneals(evidence: RunEvidence) -> Adjustment | None:
    """Toward the end of a known budget the learning rate falls and late weights are averaged.

    Where training lags behind validation it falls from then on, and what it was raised is taken
    back.
    """
    total, lr = evidence.epochs_total, evidence.knob(LR)
    if total is None or lr is None:
        return None
    begins, lowest = _FALL
    if evidence.steps_per_epoch and total * evidence.steps_per_epoch < _FEW_STEPS:
        begins, lowest = _SHORT_FALL
    fall, why = _Fall(begins * total, total, lowest), "the learning rate falls toward the end"
    lagging, back = _lagging_since(evidence), 1.0
    if lagging is not None and lagging - 1 < fall.begins:
        fall = _Fall(lagging - 1, total, lowest)
        back = max(_raised_so_far(evidence), 1.0)
        why = "training lags behind validation (wrong labels?), so the learning rate falls"
    if evidence.epoch < fall.begins or not _costs(evidence).size:
        return None
    # From the rate's place on the line, where it was last asked for, to that of the next interval.
    # It is asked for after the epochs that have a value of the metric.
    reported = np.isfinite(evidence.curve.columns[evidence.metric])
    asked = [int(e) for e in evidence.curve.epochs[reported] if e < evidence.epoch]
    share = fall.at(evidence.epoch) / (fall.at(asked[-1]) if asked else 1.0)
    average: tuple[Operation, ...] = ()
    late = evidence.epoch >= _AVERAGE_FROM * total
    if "ema" in evidence.anchors and late and "improving" not in evidence.diagnosis:
        average = (Operation("pull", amount=_PULL, toward="ema"),)
    why = f"epoch {evidence.epoch} of {total}: {why}"
    return Adjustment({LR: lr.value * share / back}, None, average, why)


@dataclass(frozen=True)
class _Fall:
    """A learning rate that falls linearly from an epoch to the last, to a share of itself."""

    begins: float
    total: int
    lowest: float

    def at(self, epoch: int) -> float:
        """Its share for the interval after ``epoch``."""
        last = self.total - 1
        left = max(0.0, last - epoch) / max(last - self.begins, 1.0)
        return self.lowest + (1 - self.lowest) * min(left, 1.0)


def _lagging_since(evidence: RunEvidence) -> int | None:
    """The epoch since which training fits its targets worse than it predicts validation's.

    Twice in a row its metric, a mean over the epoch, was worse than validation's at both ends of
    the epoch. So it is with wrong labels (MNIST with 20% and 40% flipped: every run, in the third
    or fourth epoch; with right ones none to 2 of 10); then large steps fit what is wrong.
    """
    pair = find_pair(tuple(evidence.curve.columns), evidence.metric)
    if pair is None:
        return None
    lower = (evidence.mode == "min") if pair.lower_is_better is None else pair.lower_is_better
    sign = 1.0 if lower else -1.0
    train, held_out = (sign * evidence.curve.columns[n] for n in (pair.train, pair.held_out))
    behind = train[1:] > np.maximum(held_out[:-1], held_out[1:])  # not where one is missing
    twice = np.flatnonzero(behind[1:] & behind[:-1])
    return int(evidence.curve.epochs[twice[0] + 2]) if twice.size else None


def _short(evidence: RunEvidence) -> Adjustment | None:
    """A training of few steps that still improves gets a larger learning rate."""
    total, steps, lr = evidence.epochs_total, evidence.steps_per_epoch, evidence.knob(LR)
    if total is None or not steps or lr is None or _a_raise_failed(evidence):
        return None
    wanted = min((_ENOUGH_STEPS / (total * steps)) ** 0.5, _MOST_RAISE)
    raised = _raised_so_far(evidence)
    most = _RAISE_A_TIME if raised > 1.0 else _FIRST_RAISE
    higher = min(lr.value * min(wanted / raised, most), lr.high)
    if higher <= lr.value or not _improves(evidence):
        return None
    known = _costs(evidence).size
    stands = f"{evidence.metric} is at its best" if known else f"no {evidence.metric} yet"
    why = (
        f"{total * steps} steps in all are few and {stands}: learning rate x{higher / lr.value:.2g}"
    )
    return Adjustment({LR: higher}, None, (), why)


def _improves(evidence: RunEvidence) -> bool:
    costs = _costs(evidence)
    return not costs.size or bool(costs[-1] <= costs.min())


def _costs(evidence: RunEvidence) -> npt.NDArray[np.float64]:
    """The metric's finite values, lower is better; none before the first step."""
    values = evidence.curve.columns.get(evidence.metric, np.empty(0))
    return values[np.isfinite(values)] * (1.0 if evidence.mode == "min" else -1.0)


def _raised_so_far(evidence: RunEvidence) -> float:
    """Product of the raises that stand."""
    raised = 1.0
    for past in evidence.history:
        if not past.rolled_back:
            raised *= past.factor(LR)
    return max(raised, 1e-9)


def _a_raise_failed(evidence: RunEvidence) -> bool:
    return any(past.rolled_back and past.factor(LR) > 1.0 for past in evidence.history)
