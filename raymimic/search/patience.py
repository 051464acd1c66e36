"""How long a free slot waits for a model: no longer than the search can spare."""

from __future__ import annotations

from statistics import median

from raymimic.search.question import Asking
from raymimic.search.session import Session
from raymimic.search.state import SearchState

PATIENCE_S = 30.0
"""The most, and what a local advisor is given."""

_SHARE = 0.05  # of what the search is expected to take
_RECENT = 32  # trials whose durations say how long the next ones take
_IDLE_S = 1.0  # Tune sleeps so long after an empty answer where no trial runs


def patience_for(asking: Asking, session: Session, state: SearchState) -> float:
    """Seconds since the question that a free slot waits for a model's answer.

    A model that has answered before: a twentieth of the search, as far as that can be told. One
    that has not: while the first trial since the question runs, which is started without it. How
    long trials take shows only then, and a search that waits with nothing running hears neither
    Ctrl-C nor its time budget.
    """
    if not asking.answered:
        first = bool(state.running) and len(state.ended) == asking.first_known
        return PATIENCE_S if first else 0.0
    expected = _expected_seconds(session, state)
    patience = PATIENCE_S if expected is None else min(PATIENCE_S, _SHARE * expected)
    return patience if state.running else patience - _IDLE_S


def _expected_seconds(session: Session, state: SearchState) -> float | None:
    """How long the search takes from first to last, None if there is no telling."""
    limits = [] if session.seconds_total is None else [session.seconds_total]
    recent = [record.seconds for record in state.ended[-_RECENT:] if record.seconds > 0]
    if recent and session.trials_total is not None:
        at_once = session.concurrency or len(state.running) or 1
        limits.append(session.trials_total * median(recent) / at_once)
    return min(limits, default=None)
