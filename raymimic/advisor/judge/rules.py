"""How the keyless advisor judges a running trial: it never stops one, and turns knobs by diagnosis.

- Overfitting: weight decay times three, dropout up by 0.1, augmentation and its like by a quarter
  of their range.
- Oscillating, diverging, or on a plateau: the learning rate divided by three (He et al., "Deep
  residual learning", 2016, divide it when the error plateaus; so does every "reduce on plateau").
- At most once in a quarter of a training, and not again what made things worse.
- A trial with a leader, which the rules would stop: the leader's weights, and its knobs each times
  1.2 or 0.8 (Jaderberg et al., "Population based training", 2017), by a coin of the case's own.
"""

from __future__ import annotations

import hashlib
import math

from raymimic.advisor.adjust.evidence import KnobState
from raymimic.advisor.judge.evidence import Case, JudgeEvidence, Judgement, Leader
from raymimic.advisor.roles import assign_roles

_LOWER_LR = 1 / 3
_MORE_WEIGHT_DECAY, _LEAST_WEIGHT_DECAY = 3.0, 1e-4
_MORE_DROPOUT = 0.1
_REGULARISERS = ("augment", "smoothing", "mixup", "cutmix")
_STEP = 0.25
_UP, _DOWN = 1.2, 0.8
_PAUSE = 0.25
"""Share of a full training between two redirects of one trial."""


def judgement_by_rule(case: Case, evidence: JudgeEvidence) -> Judgement:
    """Judge one case; it depends on nothing else."""
    if case.leader is not None:
        return _cloned(case, case.leader)
    why = _resting(case, evidence)
    if why:
        return Judgement(case.trial_id, "continue", why)
    roles, _ = assign_roles(knob.name for knob in case.knobs)
    found = case.diagnosis
    if "diverged" in found or "oscillating" in found:
        wanted = _lower_lr(case, roles)
    elif "overfitting" in found:
        wanted = _regularised(case, roles)
    elif "plateau" in found:
        wanted = _lower_lr(case, roles)
    else:
        return Judgement(case.trial_id, "continue", f"no rule applies: {found.text}")
    knobs = _new(case, wanted)
    if not knobs or _made_worse(case, knobs):
        return Judgement(case.trial_id, "continue", f"no knob is left to turn: {found.text}")
    return Judgement(case.trial_id, "redirect", found.text, knobs)


def _resting(case: Case, evidence: JudgeEvidence) -> str:
    """Why nothing may be turned now, empty if it may."""
    if not case.knobs:
        return "no knob can be turned now"
    if case.redirects:
        pause = _PAUSE * (evidence.length or 4 * case.epoch)  # of unknown length: once
        since = case.epoch - case.redirects[-1].epoch
        if since < pause:
            return f"redirected {since} epochs ago, next after {math.ceil(pause)}"
    return ""


def _cloned(case: Case, leader: Leader) -> Judgement:
    """The leader's values, each a little up or down, but not where that was worse before."""
    wanted: dict[str, float] = {}
    for knob in case.knobs:
        value = leader.knobs.get(knob.name, knob.value)
        factors = [_UP, _DOWN] if _heads(case, knob.name) else [_DOWN, _UP]
        moved = (value * factor for factor in factors)
        fit = (new for new in moved if not _was_worse(case, knob.name, new > value))
        wanted[knob.name] = _bounded(knob, next(fit, value))
    reason = f"the weights of trial {leader.trial_id}, knobs near its values"
    return Judgement(case.trial_id, "clone", reason, wanted)


def _heads(case: Case, name: str) -> bool:
    drawn = hashlib.sha256(f"{case.trial_id}/{case.epoch}/{name}".encode()).digest()
    return drawn[0] % 2 == 0


def _was_worse(case: Case, name: str, up: bool) -> bool:
    """Whether turning this knob that way was judged worse; a clone changed the weights, too."""
    turns = (
        past.changed[name]
        for past in case.redirects
        if past.verdict == "worse" and not past.cloned and name in past.changed
    )
    return any((after > before) == up for before, after in turns)


def _lower_lr(case: Case, roles: dict[str, str | None]) -> dict[str, float]:
    lrs = [knob for knob in case.knobs if roles[knob.name] == "learning_rate"]
    return {knob.name: knob.value * _LOWER_LR for knob in lrs}


def _regularised(case: Case, roles: dict[str, str | None]) -> dict[str, float]:
    wanted: dict[str, float] = {}
    for knob in case.knobs:
        role = roles[knob.name]
        if role == "weight_decay":
            wanted[knob.name] = max(knob.value * _MORE_WEIGHT_DECAY, _LEAST_WEIGHT_DECAY)
        elif role == "dropout":
            wanted[knob.name] = knob.value + _MORE_DROPOUT
        elif any(word in knob.name.lower() for word in _REGULARISERS):
            wanted[knob.name] = knob.value + _STEP * (knob.high - knob.low)
    return wanted


def _new(case: Case, wanted: dict[str, float]) -> dict[str, float]:
    """The wanted values within their bounds, without those that change nothing."""
    bounded = {name: _bounded(case.knob(name), value) for name, value in wanted.items()}
    return {
        name: value
        for name, value in bounded.items()
        if (knob := case.knob(name)) is not None and not math.isclose(value, knob.value)
    }


def _bounded(knob: KnobState | None, value: float) -> float:
    return value if knob is None else min(max(value, knob.low), knob.high)


def _made_worse(case: Case, knobs: dict[str, float]) -> bool:
    """Whether the last turn of these knobs in the same direction was judged worse."""
    turned = [(knob, knobs[knob.name]) for knob in case.knobs if knob.name in knobs]
    return any(_was_worse(case, knob.name, new > knob.value) for knob, new in turned)
