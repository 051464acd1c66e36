"""Several objectives: a trial that could still be on the front is not hopeless."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from raymimic.records import EpochReport, Objective
from raymimic.scheduling.running import Run
from raymimic.scheduling.verdict import Verdict

_SPARED = ("hopeless", "overfitting")

_HOPE = 0.1
"""A trial may end below this quantile of its forecast, but one does not count on it."""


class Others:
    """What trials last reported of the objectives beside the first one, whose curves are judged.

    An objective without a curve, such as a latency, counts as its last value; of one that a trial
    has not reported yet nothing is known, so it may be the best of all there.
    """

    def __init__(self, objectives: Sequence[Objective] = ()) -> None:
        self.objectives = tuple(objectives)
        self._last: dict[str, dict[str, float]] = {}

    def hear(self, report: EpochReport) -> None:
        """Keep what a report says of them."""
        for one in self.objectives:
            if (value := report.metrics.get(one.name)) is not None:
                self._last.setdefault(report.trial_id, {})[one.name] = value

    def forget(self, trial_id: str) -> None:
        """A trial failed: it is on no front."""
        self._last.pop(trial_id, None)

    def spare(self, run: Run, report: EpochReport, verdict: Verdict) -> Verdict:
        """Let a trial go on that the rules would stop by the first objective, if it may be better.

        It is stopped only where another trial is no worse in every other objective, was better in
        the first one at the same epoch, and has reached what this one is not expected to.
        """
        if not self.objectives or verdict.kind not in _SPARED:
            return verdict
        rival = self.rival(run, report, verdict)
        if rival is not None:
            text = f"{verdict.text}; trial {rival} is no worse in {self._names}"
            return replace(verdict, text=text)
        text = (
            f"continue, as no trial that is as good in {self._names} is ahead in {run.metric}, "
            f"although {verdict.text}"
        )
        return replace(verdict, kind="continue", text=text)

    @property
    def _names(self) -> str:
        return ", ".join(one.name for one in self.objectives)

    def rival(self, run: Run, report: EpochReport, verdict: Verdict) -> str | None:
        """The trial that leaves this one no place on the front, None without one."""
        losses = self._losses(report.trial_id)
        if any(math.isnan(loss) for loss in losses) or report.value is None:
            return None
        now, hoped = run.sign * report.value, run.sign * report.value
        if verdict.reading is not None and verdict.reading.forecast is not None:
            hoped = min(hoped, verdict.reading.forecast.quantile(_HOPE))
        for other in self._last:
            no_worse = all(a <= b for a, b in zip(self._losses(other), losses, strict=True))
            if (
                other != report.trial_id
                and no_worse
                and not run.limits.broken(other)
                and _ahead(run, other, report.epoch, now, hoped)
            ):
                return other
        return None

    def _losses(self, trial_id: str) -> list[float]:
        known = self._last.get(trial_id, {})
        return [one.loss(known) for one in self.objectives]


def _ahead(run: Run, trial_id: str, epoch: int, now: float, hoped: float) -> bool:
    """Whether a trial was better than ``now`` at an epoch and has come to ``hoped`` at last."""
    curve = run.keeper.curve(trial_id)
    if curve is None:
        return False
    values = [run.sign * value for at, value in curve.reported(run.metric) if at <= epoch]
    last = curve.final(run.metric)
    return bool(values) and values[-1] < now and last is not None and run.sign * last <= hoped
