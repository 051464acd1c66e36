"""What is remembered of one modulated training: its curve, its adjustments, what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from raymimic.advisor import Adjustment, Operation, PastAdjustment
from raymimic.curves import Curve, CurveHistory
from raymimic.modulation.guard import Verdict
from raymimic.modulation.readings import Readings
from raymimic.records import Mode

_RUN = "run"

_LONGEST_INTERVAL = 10
"""Epochs for which an adjustment waits for a metric to judge it by."""


@dataclass
class Record:
    """Plain data. ``epoch`` counts the epochs that have ended, ``steps`` those since then.

    ``asked_at_start``: the advisor was asked before the first step. After a rollback
    (``undone_at``) nothing is adjusted before ``quiet_until``. ``reported``: the last epoch had a
    value of the metric; ``losses_undone`` counts the epochs in a row that were undone for their
    training loss alone.
    """

    metric: str
    mode: Mode
    epoch: int = 0
    steps: int = 0
    steps_per_epoch: int | None = None
    quiet_until: int = 0
    undone_at: int = 0
    rollbacks: int = 0
    losses_undone: int = 0
    asked_at_start: bool = False
    failures: int = 0
    reported: bool = False
    best: float | None = None
    class_accuracy: tuple[float, ...] = ()
    history: list[PastAdjustment] = field(default_factory=list)
    curves: CurveHistory = field(default_factory=CurveHistory)

    @property
    def curve(self) -> Curve:
        """All epochs so far."""
        if not self.epoch:
            return Curve(np.empty(0, dtype=np.int64), {})
        return self.curves.curve(_RUN)

    @property
    def open(self) -> PastAdjustment | None:
        """The adjustment that acted in the last interval and has no verdict yet."""
        last = self.history[-1] if self.history else None
        return last if last and last.ended is None else None

    def end_epoch(self, readings: Readings, *, broken: bool) -> bool:
        """Take in an epoch's metrics; returns whether the metric is the best so far.

        Where the run is ``broken``, what is no number is kept as NaN: it tells of the breakdown.
        Otherwise it is a gap of the curve.
        """
        numbers = dict(readings.numbers)
        if broken:
            numbers |= dict.fromkeys(readings.gaps, float("nan"))
        self.class_accuracy = readings.by_class
        self.epoch += 1
        self.curves.append(_RUN, self.epoch, numbers)
        self.steps_per_epoch, self.steps = self.steps or self.steps_per_epoch, 0
        self.reported = self.metric in readings.numbers
        value = readings.numbers.get(self.metric)
        if broken or value is None or not np.isfinite(value):
            return False
        sign = 1.0 if self.mode == "min" else -1.0
        if self.best is not None and sign * value >= sign * self.best:
            return False
        self.best = value
        return True

    @property
    def awaited(self) -> bool:
        """Whether the interval goes on: its adjustment has no verdict, and no metric came.

        For so long at most: a metric that is never reported again would leave it open for ever.
        """
        return (
            self.open is not None
            and not self.reported
            and self.epoch - self.open.epoch < _LONGEST_INTERVAL
        )

    def conclude(self, verdict: Verdict) -> None:
        """Write the verdict on the open adjustment."""
        last = self.history[-1]
        self.history[-1] = replace(
            last,
            verdict=verdict.kind,
            before=verdict.before,
            after=verdict.after,
            expected=verdict.expected,
            margin=verdict.margin,
            ended=self.epoch,
        )

    def reviewed(self, sentence: str) -> None:
        """Keep the advisor's sentence on its last move."""
        if sentence and self.history:
            self.history[-1] = replace(self.history[-1], review=sentence)

    def undone(self, cooldown: int) -> None:
        """The run was put back to the start of the interval; a while of rest follows."""
        self.rollbacks += 1
        self.undone_at, self.quiet_until = self.epoch, self.epoch + cooldown
        if self.history and self.history[-1].ended == self.epoch:
            self.history[-1] = replace(self.history[-1], rolled_back=True)

    @property
    def hit_rate(self) -> float | None:
        """Share of the judged adjustments after which the metric was better than its own pace."""
        judged = [past for past in self.history if past.ended and past.verdict != "unknown"]
        return sum(p.verdict == "better" for p in judged) / len(judged) if judged else None

    def state_dict(self) -> dict[str, Any]:
        """Plain data, as JSON could hold it."""
        plain = {name: value for name, value in self.__dict__.items() if name not in _OBJECTS}
        curve = self.curve.to_json() if self.epoch else None
        return {**plain, "history": [asdict(past) for past in self.history], "curve": curve}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        for name, value in state.items():
            if name not in ("history", "curve"):
                setattr(self, name, value)
        self.class_accuracy = tuple(self.class_accuracy)
        self.history = [_past(data) for data in state["history"]]
        self.curves = CurveHistory()
        if state["curve"] is not None:
            for epoch, metrics in Curve.from_json(state["curve"]).rows():
                self.curves.append(_RUN, epoch, metrics)


_OBJECTS = ("history", "curves")


def _past(data: Mapping[str, Any]) -> PastAdjustment:
    adjustment = dict(data["adjustment"])
    adjustment["operations"] = tuple(Operation(**o) for o in adjustment["operations"])
    lists: dict[str, Any] = {"applied": tuple(data["applied"]), "dropped": tuple(data["dropped"])}
    lists["changed"] = {name: tuple(pair) for name, pair in data["changed"].items()}
    return PastAdjustment(**{**data, **lists, "adjustment": Adjustment(**adjustment)})
