"""How the keyless advisor steers a training: a few rules of practice, each with its source.

- A short training wants a larger learning rate: with few optimizer steps the limit is how far they
  reach, not their noise (L. Smith, "Super-convergence", 2018; Li, Yumer, Ramanan, "Budgeted
  training", 2020). It is raised only while validation improves, and every raise is judged.
- Whatever the budget, the learning rate falls to near zero towards its end (Budgeted training).
- Averaging late weights takes out what is left of the steps' noise (Polyak 1992; Izmailov et al.,
  "Averaging weights leads to wider optima", 2018).
- What each diagnosis calls for stands in `cures` (``adjust`` and ``pull``).
- A move that made things worse is not made again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymimic.advisor.adjust.evidence import Adjustment, Operation, RunEvidence
from raymimic.advisor.cures import CURES, turned
from raymimic.advisor.curve_text import number

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
    """Toward the end of a known budget the learning rate falls and late weights are averaged."""
    total, lr = evidence.epochs_total, evidence.knob(LR)
    if total is None or lr is None or evidence.epoch < _ANNEAL_FROM * total:
        return None
    # From the rate's place on the line, where it was last asked for, to that of the next interval.
    # It is asked for after the epochs that have a value of the metric.
    reported = np.isfinite(evidence.curve.columns[evidence.metric])
    asked = [int(e) for e in evidence.curve.epochs[reported] if e < evidence.epoch]
    line = _on_the_line(evidence.epoch, total)
    last = _on_the_line(asked[-1], total) if asked else 1.0
    average: tuple[Operation, ...] = ()
    late = evidence.epoch >= _AVERAGE_FROM * total
    if "ema" in evidence.anchors and late and "improving" not in evidence.diagnosis:
        average = (Operation("pull", amount=_PULL, toward="ema"),)
    why = f"epoch {evidence.epoch} of {total}: the learning rate falls toward the end"
    return Adjustment({LR: lr.value * line / last}, None, average, why)


def _on_the_line(epoch: int, total: int) -> float:
    """The share of the learning rate for the interval after ``epoch``: 1 up to `_ANNEAL_FROM`."""
    share = max(0.0, total - 1 - epoch) / max(total - 1 - _ANNEAL_FROM * total, 1.0)
    return _LAST_LR + (1 - _LAST_LR) * min(share, 1.0)


def _short(evidence: RunEvidence) -> Adjustment | None:
    """A training of few steps that still improves gets a larger learning rate."""
    total, steps, lr = evidence.epochs_total, evidence.steps_per_epoch, evidence.knob(LR)
    if total is None or not steps or lr is None or _a_raise_failed(evidence):
        return None
    wanted = min((_ENOUGH_STEPS / (total * steps)) ** 0.5, _MOST_RAISE)
    raised = _raised_so_far(evidence)
    higher = min(lr.value * min(wanted / raised, _RAISE_A_TIME), lr.high)
    if higher <= lr.value or not _improves(evidence):
        return None
    values = evidence.curve.columns[evidence.metric]
    known = np.isfinite(values).sum()
    stands = f"no {evidence.metric} yet" if not known else f"{evidence.metric} is at its best"
    why = (
        f"{total * steps} steps in all are few and {stands}: learning rate x{higher / lr.value:.2g}"
    )
    return Adjustment({LR: higher}, None, (), why)


def _improves(evidence: RunEvidence) -> bool:
    values = evidence.curve.columns[evidence.metric]
    values = values[np.isfinite(values)] * (1.0 if evidence.mode == "min" else -1.0)
    return not values.size or bool(values[-1] <= values.min())


def _raised_so_far(evidence: RunEvidence) -> float:
    """Product of the raises that stand."""
    raised = 1.0
    for past in evidence.history:
        if not past.rolled_back:
            raised *= past.factor(LR)
    return max(raised, 1e-9)


def _a_raise_failed(evidence: RunEvidence) -> bool:
    return any(past.rolled_back and past.factor(LR) > 1.0 for past in evidence.history)
