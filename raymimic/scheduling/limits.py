"""Limits of a result's metrics, as the decisions on running trials know them.

No trial is stopped for being beyond a limit: what it reports may come back. While it is beyond, its
value counts as the worst there is, so that it is no trial's bar, leads nobody, and is stopped once
too many are ahead of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from raymimic.feasibility import Limit, Measured
from raymimic.records import EpochReport


class Limits:
    """What trials last reported of the limited metrics; what was not reported counts as kept."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self.limits = tuple(limits)
        self._last: dict[str, dict[str, float]] = {}

    def hear(self, report: EpochReport) -> None:
        """Keep what a report says of them; NaN says nothing."""
        for limit in self.limits:
            value = report.metrics.get(limit.metric)
            if value is not None and value == value:
                self._last.setdefault(report.trial_id, {})[limit.metric] = value

    def forget(self, trial_id: str) -> None:
        """A trial failed, and may come again."""
        self._last.pop(trial_id, None)

    def broken(self, trial_id: str) -> str:
        """Say which limits a trial is beyond, "" where none."""
        last = self._last.get(trial_id)
        if last is None:
            return ""
        found = (Measured(limit, last.get(limit.metric)) for limit in self.limits)
        return "; ".join(one.text for one in found if one.broken)
