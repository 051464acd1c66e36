"""One trial as the model reads it: result, settings, reason and outcome, diagnosis, curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.curve_text import POINTS, curve_lines, number
from raymimic.feasibility import Measured, memory_failure
from raymimic.foreign import json_line, name_text, quote, told_of
from raymimic.records import Config
from raymimic.space import SearchSpace
from raymimic.summary import last_line

_RATIONALE_CHARS = 200
_OTHERS_CHARS = 90  # of a reason that is not the model's own: what comes after are its figures
_ERROR_CHARS = 300
_COPIES_SHOWN = 3
_FEW_POINTS = 5
_TAIL = 3  # epochs that "the end" averages over


def config_text(space: SearchSpace, config: Config) -> str:
    """The configuration as JSON, floats to four significant digits, more of them just below 1."""
    return json_line(_brief(space, config))


def trial_text(
    evidence: SearchEvidence,
    trial: TrialRecord,
    rank: str,
    *,
    best: TrialRecord,
    copies: Sequence[TrialRecord] = (),
    brief: bool = False,
) -> str:
    """Several lines about an ended trial; ``best`` is the trial to compare it with.

    ``copies`` are later trials with the very same curve. ``brief``: few epochs of its curve.
    """
    lines = [
        f"## trial {name_text(trial.trial_id)}: {rank}",
        f"config {config_text(evidence.space, trial.config)}",
    ]
    difference = _difference(evidence.space, best, trial)
    if difference:
        lines.append(f"differs from the best in: {difference}")
    lines += [f"limit {_limit_text(found)}" for found in evidence.readings(trial)]
    if trial.pace:
        lines.append(f"an epoch took {trial.pace:.2g} s")
    if trial.rationale:
        lines.append(_reason_text(evidence, trial))
    if trial.repairs:
        lines.append(f"repaired: {quote('; '.join(trial.repairs), _RATIONALE_CHARS)}")
    if trial.error:
        why = memory_failure(trial.error)
        lines += [f"it failed: {why}"] if why else []
        lines.append(f"error: {quote(last_line(trial.error), _ERROR_CHARS)}")
    lines += [_copy(evidence.space, trial, copy) for copy in copies[:_COPIES_SHOWN]]
    signals = trial.diagnosis.signals if trial.diagnosis else ()
    if signals:
        names = [evidence.metric, *(trial.curve.columns if trial.curve else ())]
        said = told_of(names, "; ".join(signal.text for signal in signals))
        lines.append(f"diagnosis: {said}")
    lines += _ending(trial, evidence)
    points = _FEW_POINTS if brief else POINTS
    return "\n".join(lines + curve_lines(trial, evidence.metric, points))


def _limit_text(found: Measured) -> str:
    """The limit and what came, the metric's name as data."""
    return found.text.replace(found.limit.metric, name_text(found.limit.metric), 1)


def score_text(evidence: SearchEvidence, trial: TrialRecord) -> str:
    """The trial's score; for a training cut short also what a full one is forecast to reach.

    Then the values of the other objectives, where there are several.
    """
    value = evidence.value(trial)
    text = number(trial.score)
    if value != trial.score:
        text += f" when stopped, forecast {number(value)}"
    for other in evidence.others:
        text += f", {name_text(other.name)} {number(trial.measured.get(other.name))}"
    return text


def running_text(evidence: SearchEvidence, trial: TrialRecord, best: TrialRecord | None) -> str:
    """A few lines about a running trial, beside the best one at the same epoch."""
    lines = [f"## trial {name_text(trial.trial_id)}: {config_text(evidence.space, trial.config)}"]
    if trial.rationale:
        lines.append(_reason_text(evidence, trial))
    lines += [f"limit {_limit_text(found)}" for found in evidence.readings(trial)]
    lines += curve_lines(trial, evidence.metric, _FEW_POINTS)
    then = _value_at(best, evidence.metric, trial)
    if then is not None:
        lines[-1] += f" (the best trial had {number(then)} at that epoch)"
    return "\n".join(lines)


def _reason_text(evidence: SearchEvidence, trial: TrialRecord) -> str:
    """Who proposed the trial and why, what was expected and what came."""
    who = "you" if trial.source == "llm" else trial.source
    own = trial.source in ("llm", "user")
    text = f"why ({who}): {quote(trial.rationale, _RATIONALE_CHARS if own else _OTHERS_CHARS)}"
    if trial.expected is not None:
        text += f" expected {number(trial.expected)}"
        if trial.status != "running":
            came = "stopped at" if evidence.is_cut(trial) else "got"
            text += f", {came} {number(trial.score)}"
    return text


def jitter(trial: TrialRecord, metric: str) -> float | None:
    """How far the last value lies from the mean of the last three: luck of the last epoch."""
    values = _finite(trial, metric)
    if values is None or values.size < 2 * _TAIL:
        return None
    return float(abs(values[-1] - values[-_TAIL:].mean()))


def _copy(space: SearchSpace, trial: TrialRecord, copy: TrialRecord) -> str:
    """Say that another trial came to the very same, and what therefore did not matter."""
    said = f"trial {name_text(copy.trial_id)} has the very same curve"
    changed = _changes(space, trial, copy)
    return f"{said}; what differs did not matter: {', '.join(changed)}" if changed else said


def _ending(trial: TrialRecord, evidence: SearchEvidence) -> list[str]:
    values = _finite(trial, evidence.metric)
    if values is None or values.size < 2 * _TAIL:
        return []
    best = values.min() if evidence.mode == "min" else values.max()
    mean = number(values[-_TAIL:].mean())
    return [f"its best epoch had {number(best)}, the mean of its last 3 is {mean}"]


def _finite(trial: TrialRecord, metric: str) -> np.ndarray | None:
    if trial.curve is None or metric not in trial.curve.columns:
        return None
    values = trial.curve.column(metric)
    return values[np.isfinite(values)]


def _value_at(best: TrialRecord | None, metric: str, trial: TrialRecord) -> float | None:
    if best is None or best.curve is None or trial.curve is None or not len(trial.curve):
        return None
    known = best.curve.columns.get(metric)
    (rows,) = np.nonzero(best.curve.epochs == trial.curve.epochs[-1])
    return None if known is None or not rows.size else float(known[rows[0]])


def _difference(space: SearchSpace, best: TrialRecord, trial: TrialRecord) -> str:
    """Each changed setting as "name best -> this"; empty where most changed or none."""
    changed = _changes(space, best, trial)
    return "" if len(changed) > max(3, len(space.dimensions) // 2) else ", ".join(changed)


def _changes(space: SearchSpace, one: TrialRecord, other: TrialRecord) -> list[str]:
    """Each setting in which two trials differ, as "name one -> other"."""
    before, after = _brief(space, one.config), _brief(space, other.config)
    return [
        f"{name_text(n)} {json_line(before[n]) if n in before else 'absent'} -> "
        f"{json_line(after[n])}"
        for n in after
        if n not in before or before[n] != after[n]
    ]


def _brief(space: SearchSpace, config: Config) -> dict[str, object]:
    return {
        name: _rounded(value) if isinstance(value, float) else value
        for name, value in space.show(config).items()
    }


def _rounded(value: float) -> float:
    """Give the value in few digits; 0.9999 and 0.999999 are worlds apart for a moment's decay."""
    return float(f"{value:.7g}" if 0.999 < value < 1.0 else f"{value:.4g}")
