"""From a model's text to judgements. A bad one costs only itself; a bad text is a `BadReply`."""

from __future__ import annotations

import math
from typing import Any, get_args

from raymimic.advisor.judge.evidence import Action, Case, JudgeEvidence, Judgement
from raymimic.advisor.text import Fault, capped, sentence, show_value
from raymimic.errors import BadReply
from raymimic.llm import read_reply

ACTIONS: tuple[Action, ...] = get_args(Action)

_REASON_CHARS = 240
_SAME = 1e-9


def read_judgements(
    text: str, evidence: JudgeEvidence, repairs: list[str] | None = None
) -> tuple[tuple[Judgement, ...], tuple[str, ...]]:
    """Return at most one judgement a case, and what was dropped, in words.

    A stop is of a case that may be stopped, a clone of one with a leader. Knobs can be turned in
    that case, are finite and within their bounds, and a redirect's are new. What had to be
    mended in the reply is added to ``repairs``. Raises `BadReply` if no JSON object with a list of
    judgements can be made out in the text.
    """
    reply, mended = read_reply(text, ("judgements",), listed="judgements")
    if repairs is not None:
        repairs += mended
    items = reply.get("judgements")
    if not isinstance(items, list):
        raise BadReply('the reply must be {"judgements": [...]}', status="no_judgements")
    found: dict[str, Judgement] = {}
    drops: list[str] = []
    for index, item in enumerate(items, start=1):
        try:
            judgement = _judgement(item, evidence, drops)
        except Fault as fault:
            drops.append(f"judgement {index}: {fault}")
            continue
        if judgement.trial_id in found:
            drops.append(f"judgement {index}: a second one for trial {judgement.trial_id}")
        else:
            found[judgement.trial_id] = judgement
    drops += [
        f"trial {case.trial_id}: no usable judgement"
        for case in evidence.cases
        if case.trial_id not in found
    ]
    return tuple(found.values()), capped(drops)


def _judgement(item: Any, evidence: JudgeEvidence, drops: list[str]) -> Judgement:
    if not isinstance(item, dict):
        raise Fault(f"must be an object, got {show_value(item)}")
    trial_id = item.get("trial_id")
    case = evidence.case(trial_id) if isinstance(trial_id, str) else None
    if case is None:
        raise Fault(f"trial_id must be one of those shown, got {show_value(trial_id)}")
    action = next((known for known in ACTIONS if known == item.get("action")), None)
    if action is None:
        raise Fault(
            f"action must be one of {', '.join(ACTIONS)}, got {show_value(item.get('action'))}"
        )
    if action == "stop" and not case.may_stop:
        raise Fault(f"trial {case.trial_id} may not be stopped")
    if action == "clone" and case.leader is None:
        raise Fault(f"trial {case.trial_id} has no leader to be cloned from")
    knobs: dict[str, float] = {}
    if action in ("redirect", "clone"):
        knobs = _knobs(item.get("knobs"), case, drops, new=action == "redirect")
    if action == "redirect" and not knobs:
        raise Fault(f"a redirect of trial {case.trial_id} must turn a knob that can be turned")
    return Judgement(
        case.trial_id, action, sentence(item.get("reason"), _REASON_CHARS), knobs, "llm"
    )


def _knobs(given: Any, case: Case, drops: list[str], *, new: bool) -> dict[str, float]:
    if not isinstance(given, dict):
        raise Fault(f"knobs must be an object, got {show_value(given)}")
    found: dict[str, float] = {}
    for name, value in given.items():
        if value is None:  # null leaves a knob as it is
            continue
        try:
            found |= _knob(name, value, case, new)
        except Fault as fault:
            drops.append(f"trial {case.trial_id}, knob {show_value(name)}: {fault}")
    return found


def _knob(name: str, value: Any, case: Case, new: bool) -> dict[str, float]:
    knob = case.knob(name)
    if knob is None:
        raise Fault("it cannot be turned now, or there is no such knob")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Fault(f"must be a number, got {show_value(value)}")
    if not knob.low <= value <= knob.high:
        raise Fault(f"must be {knob.low:g} to {knob.high:g}, got {show_value(value)}")
    if new and math.isclose(value, knob.value, rel_tol=_SAME):
        raise Fault(f"stands at {knob.value:g} already")
    return {name: float(value)}
