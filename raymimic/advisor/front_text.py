"""Several objectives in words: what they are, and the front that was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.curve_text import number
from raymimic.advisor.propose.trial_text import config_text
from raymimic.foreign import name_text
from raymimic.pareto import volumes
from raymimic.records import Objective

_SEVERAL = """ \
There are several objectives: {objectives}. No trial need be the best in all: the front \
holds those that no other beats in one without losing in another; ranks go by front, then by \
{metric}. Propose what extends it: into its widest gaps, beyond its ends, or better in all than a \
trial on it. Where the user says what matters more, or names a limit, look in that part of it."""


def several_question(evidence: SearchEvidence) -> str:
    """What a system prompt says of several objectives; nothing of a single one."""
    if not evidence.others:
        return ""
    metric = name_text(evidence.metric)
    return _SEVERAL.format(objectives=objectives_text(evidence.objectives), metric=metric)


def objectives_text(objectives: Sequence[Objective]) -> str:
    """Name each objective and its direction: "loss (lower is better), ..."."""
    better = {"min": "lower", "max": "higher"}
    return ", ".join(f"{name_text(one.name)} ({better[one.mode]} is better)" for one in objectives)


def values_text(evidence: SearchEvidence, trial: TrialRecord) -> str:
    """A trial's value of each objective: "loss 0.31, latency 4.2"."""
    first = evidence.value(trial)
    known = {evidence.metric: first, **trial.measured}
    return ", ".join(
        f"{name_text(one.name)} {number(known.get(one.name))}" for one in evidence.objectives
    )


def front_lines(evidence: SearchEvidence) -> list[str]:
    """One line a trial of the front, by the first objective, best first; then what is open."""
    front = evidence.front()
    lines = [
        f"trial {name_text(trial.trial_id)}: {values_text(evidence, trial)}: "
        f"{config_text(evidence.space, trial.config)}"
        for trial in front
    ]
    return [*lines, *_gap(evidence, front)] if lines else ["No trial has all objectives yet."]


def volume_text(evidence: SearchEvidence) -> str:
    """How much of the box around the front is dominated, now and half the trials ago."""
    found = volumes(evidence.losses)
    half = found[(len(found) - 1) // 2]
    return f"{found[-1]:.0%} of the box around it is dominated, {half:.0%} after half the trials"


def _gap(evidence: SearchEvidence, front: list[TrialRecord]) -> list[str]:
    """Name the two neighbours on the front that lie farthest apart."""
    if len(front) < 3:
        return []
    rows = {trial.trial_id: row for row, trial in enumerate(evidence.trials)}
    losses = evidence.losses[[rows[trial.trial_id] for trial in front]]
    span = np.ptp(losses, axis=0)
    steps = np.abs(np.diff(losses / np.where(span > 0, span, 1.0), axis=0)).max(axis=1)
    at = int(np.argmax(steps))
    pair = " and ".join(name_text(trial.trial_id) for trial in front[at : at + 2])
    return [f"Its widest gap lies between trials {pair}."]
