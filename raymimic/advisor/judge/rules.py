"""How the keyless advisor judges a running trial: it never stops one, and turns knobs by diagnosis.

- What each diagnosis calls for stands in `cures` (``redirect``); the first that is there decides.
- At most once in a quarter of a training, and not again what made things worse.
- A trial with a leader, which the rules would stop: the leader's weights, and its knobs each times
  1.2 or 0.8 (Jaderberg et al., "Population based training", 2017), which first depends on trial,
  epoch and knob alone.
"""

from __future__ import annotations

import hashlib
import math

from raymimic.advisor.base import KnobState
from raymimic.advisor.cures import CURES, turned
from raymimic.advisor.judge.evidence import Case, JudgeEvidence, Judgement, Leader

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
    text = case.diagnosis.text
    kinds = (kind for kind, cure in CURES.items() if cure.redirect and kind in case.diagnosis)
    found = next(kinds, None)
    if found is None:
        return Judgement(case.trial_id, "continue", f"no rule applies: {text}")
    knobs = turned(case.knobs, CURES[found].redirect)
    if not knobs:
        return Judgement(case.trial_id, "continue", f"no knob is left to turn: {text}")
    if _made_worse(case, knobs):
        why = f"the same turn made it worse before: {text}"
        return Judgement(case.trial_id, "continue", why)
    return Judgement(case.trial_id, "redirect", text, knobs)


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
        factors = [_UP, _DOWN] if _up_first(case, knob.name) else [_DOWN, _UP]
        moved = (value * factor for factor in factors)
        fit = (new for new in moved if not _was_worse(case, knob.name, new > value))
        wanted[knob.name] = _bounded(knob, next(fit, value))
    reason = f"the weights of trial {leader.trial_id}, knobs near its values"
    return Judgement(case.trial_id, "clone", reason, wanted)


def _up_first(case: Case, name: str) -> bool:
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


def _bounded(knob: KnobState, value: float) -> float:
    return min(max(value, knob.low), knob.high)


def _made_worse(case: Case, knobs: dict[str, float]) -> bool:
    """Whether the last turn of these knobs in the same direction was judged worse."""
    turned = [(knob, knobs[knob.name]) for knob in case.knobs if knob.name in knobs]
    return any(_was_worse(case, knob.name, new > knob.value) for knob, new in turned)
