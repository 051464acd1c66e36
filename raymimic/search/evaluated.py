"""Makes a trial record of a point that was evaluated outside the search."""

from __future__ import annotations

import math

from raymimic.advisor import TrialRecord
from raymimic.curves import Curve, diagnose
from raymimic.records import Config
from raymimic.search.state import SearchState


def evaluated_record(
    state: SearchState,
    config: Config,
    *,
    value: float | None,
    error: bool,
    pruned: bool,
    intermediate_values: list[float] | None,
) -> TrialRecord:
    """Return the record of a trial that ran elsewhere; its curve also joins the history.

    A failed or non-finite value leaves the trial without a score. A pruned trial keeps its value,
    and the rationale says that it was stopped early.
    """
    trial_id = f"given_{len(state.ended):04d}"
    for epoch, metric in enumerate(intermediate_values or (), start=1):
        state.history.append(trial_id, epoch, {state.metric: metric})
    curve: Curve | None = state.history.curve(trial_id) if intermediate_values else None
    usable = value is not None and math.isfinite(value) and not error
    return TrialRecord(
        trial_id=trial_id,
        config=config,
        status="failed" if error else "done",
        source="user",
        rationale="evaluated elsewhere" + (", stopped early" if pruned else ""),
        score=value if usable else None,
        stopped=pruned,
        curve=curve,
        diagnosis=diagnose(curve, state.metric, state.mode) if curve is not None else None,
    )
