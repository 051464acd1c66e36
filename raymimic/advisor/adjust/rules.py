"""How the keyless advisor steers a training: a few rules of practice, each with its source.

- A short training wants a larger learning rate: with few optimizer steps the limit is how far they
  reach, not their noise (L. Smith, "Super-convergence", 2018; Li, Yumer, Ramanan, "Budgeted
  training", 2020). It is raised only while validation improves, and every raise is judged.
- Whatever the budget, the learning rate falls to near zero towards its end (Budgeted training).
- Averaging late weights takes out what is left of the steps' noise (Polyak 1992; Izmailov et al.,
  "Averaging weights leads to wider optima", 2018).
- Overfitting: back toward the best weights, a lower learning rate, more dropout and weight decay.
- A move that made things worse is not made again.
"""

from __future__ import annotations

import numpy as np

from raymimic.advisor.adjust.evidence import Adjustment, Operation, RunEvidence

_ENOUGH_STEPS = 2000
"""Optimizer steps beyond which a training counts as long; below, the learning rate may be raised
by the square root of the shortfall."""

_MOST_RAISE = 10.0
_RAISE_A_TIME = 3.0

_ANNEAL_FROM = 0.6
"""Share of the epochs after which the learning rate falls, linearly, to `_LAST_LR`."""

_LAST_LR = 0.05

_AVERAGE_FROM = 0.8
_PULL = 0.5

_MORE_DROPOUT, _MOST_DROPOUT = 0.1, 0.5
_MORE_WEIGHT_DECAY, _LEAST_WEIGHT_DECAY, _MOST_WEIGHT_DECAY = 3.0, 1e-4, 0.1
_LOWER_LR = 0.5
_REGULARISERS = ("augment", "smoothing", "mixup", "cutmix")
_STEP = 0.25
"""Share of a regularising knob's range that it is turned up at a time."""

LR, DROPOUT, WEIGHT_DECAY = "lr", "dropout", "weight_decay"


def adjustment_of(evidence: RunEvidence) -> Adjustment:
    """Give the next interval's adjustment by rule; empty where no rule applies.

    Depends on the evidence alone.
    """
    for rule in (_broken, _overfits, _anneals, _oscillates, _short):
        found = rule(evidence)
        if found is not None:
            return found
    return Adjustment()


def _broken(evidence: RunEvidence) -> Adjustment | None:
    if "diverged" not in evidence.diagnosis:
        return None
    return _lower(evidence, 1 / _RAISE_A_TIME, "diverged: a much lower learning rate")


def _overfits(evidence: RunEvidence) -> Adjustment | None:
    """Validation has been getting worse since its best while training improves."""
    if "overfitting" not in evidence.diagnosis:
        return None
    knobs = {}
    dropout, decay = evidence.knob(DROPOUT), evidence.knob(WEIGHT_DECAY)
    if dropout is not None and dropout.value < _MOST_DROPOUT:
        knobs[DROPOUT] = min(dropout.value + _MORE_DROPOUT, _MOST_DROPOUT)
    if decay is not None and decay.value < _MOST_WEIGHT_DECAY:
        raised = max(decay.value * _MORE_WEIGHT_DECAY, _LEAST_WEIGHT_DECAY)
        knobs[WEIGHT_DECAY] = min(raised, _MOST_WEIGHT_DECAY)
    lr = evidence.knob(LR)
    if lr is not None:
        knobs[LR] = lr.value * _LOWER_LR
    for knob in evidence.knobs:  # the user's own, where the name says that it regularises
        if any(word in knob.name.lower() for word in _REGULARISERS):
            knobs[knob.name] = min(knob.value + _STEP * (knob.high - knob.low), knob.high)
    back = (Operation("pull", amount=_PULL, toward="best"),) if "best" in evidence.anchors else ()
    why = evidence.diagnosis.text
    return Adjustment(knobs, None, back, f"{why}: regularise and go back toward the best weights")


def _anneals(evidence: RunEvidence) -> Adjustment | None:
    """Toward the end of a known budget the learning rate falls and late weights are averaged."""
    total, lr = evidence.epochs_total, evidence.knob(LR)
    if total is None or lr is None or evidence.epoch < _ANNEAL_FROM * total:
        return None
    # The next interval's rate on the line from 1 at `_ANNEAL_FROM` to `_LAST_LR` in the last one.
    span = max(total - 1 - _ANNEAL_FROM * total, 1.0)
    share = max(0.0, total - 1 - evidence.epoch) / span
    before = max(0.0, total - evidence.epoch) / span
    line = _LAST_LR + (1 - _LAST_LR) * min(share, 1.0)
    last = _LAST_LR + (1 - _LAST_LR) * min(before, 1.0)
    average: tuple[Operation, ...] = ()
    late = evidence.epoch >= _AVERAGE_FROM * total
    if "ema" in evidence.anchors and late and "improving" not in evidence.diagnosis:
        average = (Operation("pull", amount=_PULL, toward="ema"),)
    why = f"epoch {evidence.epoch} of {total}: the learning rate falls toward the end"
    return Adjustment({LR: lr.value * line / last}, None, average, why)


def _oscillates(evidence: RunEvidence) -> Adjustment | None:
    if "oscillating" not in evidence.diagnosis:
        return None
    return _lower(evidence, _LOWER_LR, f"{evidence.diagnosis.text}: a lower learning rate")


def _short(evidence: RunEvidence) -> Adjustment | None:
    """A training of few steps that still improves gets a larger learning rate."""
    total, steps, lr = evidence.epochs_total, evidence.steps_per_epoch, evidence.knob(LR)
    if total is None or not steps or lr is None or _a_raise_failed(evidence):
        return None
    wanted = min((_ENOUGH_STEPS / (total * steps)) ** 0.5, _MOST_RAISE)
    raised = _raised_so_far(evidence)
    factor = min(wanted / raised, _RAISE_A_TIME)
    if factor <= 1.0 or not _improves(evidence):
        return None
    why = (
        f"{total * steps} steps in all are few and {evidence.metric} still improves: "
        f"learning rate x{factor:.2g}"
    )
    return Adjustment({LR: lr.value * factor}, None, (), why)


def _lower(evidence: RunEvidence, factor: float, why: str) -> Adjustment | None:
    lr = evidence.knob(LR)
    return None if lr is None else Adjustment({LR: lr.value * factor}, None, (), why)


def _improves(evidence: RunEvidence) -> bool:
    values = evidence.curve.columns[evidence.metric]
    values = values[np.isfinite(values)] * (1.0 if evidence.mode == "min" else -1.0)
    return values.size < 2 or bool(values[-1] <= values.min())


def _raised_so_far(evidence: RunEvidence) -> float:
    """Product of the raises that stand."""
    raised = 1.0
    for past in evidence.history:
        if not past.rolled_back and LR in past.changed:
            raised *= past.factor(LR)
    return max(raised, 1e-9)


def _a_raise_failed(evidence: RunEvidence) -> bool:
    return any(past.rolled_back and past.factor(LR) > 1.0 for past in evidence.history)
