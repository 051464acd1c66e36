"""Trials that ran elsewhere, taken in as evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from raymimic import events
from raymimic.advisor import TrialRecord
from raymimic.curves import diagnose
from raymimic.errors import ConfigError
from raymimic.records import Config
from raymimic.search.session import Session
from raymimic.space.reading import brief


def add_evaluated(
    session: Session,
    config: Config,
    *,
    value: Any,
    error: bool,
    pruned: bool,
    intermediate_values: list[float] | None,
) -> None:
    """Take in a trial that ran elsewhere; raises `ConfigError` if it does not fit.

    With several objectives ``value`` is a list with one number for each, in their order;
    ``intermediate_values`` are the first one's. A failed or non-finite value leaves the trial
    without a score. A pruned one keeps its value, and the rationale says that it was stopped early.
    """
    state, config = session.state, session.check(config)
    values, curve_values = _numbers(value, intermediate_values, 1 + len(state.others))
    trial_id = f"given_{len(state.ended):04d}"
    for epoch, metric in enumerate(curve_values or (), start=1):
        state.history.append(trial_id, epoch, {state.metric: metric})
    curve = state.history.curve(trial_id) if curve_values else None
    first, *rest = [found if found is not None and math.isfinite(found) and not error else None
                    for found in values]  # fmt: skip
    record = TrialRecord(
        trial_id=trial_id,
        config=config,
        status="failed" if error else "done",
        source="user",
        rationale="evaluated elsewhere" + (", stopped early" if pruned else ""),
        score=first,
        measured={
            other.name: found
            for other, found in zip(state.others, rest, strict=True)
            if found is not None
        },
        stopped=pruned,
        curve=curve,
        diagnosis=diagnose(curve, state.metric, state.mode) if curve is not None else None,
    )
    state.add_evaluated(record)
    events.evaluated(
        session.journal.append,
        trial_id=trial_id,
        status=record.status,
        score=record.score,
        measured=record.measured,
        config=state.space.show(config),
        rationale=record.rationale,
        stopped=pruned,
        curve=None if curve is None else curve.to_json,
    )


def _numbers(
    value: Any, intermediate_values: Any, objectives: int
) -> tuple[list[float | None], list[float] | None]:
    """What a user says of a trial, as floats; raises `ConfigError` for what is no number.

    NaN and infinities stay, and an integer beyond the largest float is one.
    """
    values = [value] if objectives == 1 else value
    if value is None:
        values = [None] * objectives
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != objectives:
        raise ConfigError(
            [f"value must be a list of {objectives} numbers, one for each objective in their "
             f"order, got {brief(value)}"]
        )  # fmt: skip
    try:
        floats = [_float(number) for number in intermediate_values or ()]
        return [None if one is None else _float(one) for one in values], floats or None
    except (TypeError, ValueError):
        raise ConfigError(
            [f"value and intermediate_values must be numbers, got {brief(value)} and "
             f"{brief(intermediate_values)}"]
        ) from None  # fmt: skip


def _float(value: Any) -> float:
    if isinstance(value, str):
        raise TypeError
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
