"""What is remembered of one modulated training: its curve, its adjustments, what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from raymimic.advisor import Adjustment, Operation, PastAdjustment
from raymimic.curves import Curve, CurveHistory
from raymimic.modulation.guard import Verdict
from raymimic.records import Mode

_RUN = "run"
CLASS_ACCURACY = "class_accuracy"


@dataclass
class Record:
    """Plain data. ``epoch`` counts the epochs that have ended, ``steps`` those since then.

    After a rollback (``undone_at``) nothing is adjusted before ``quiet_until``.
    """

    metric: str
    mode: Mode
    epoch: int = 0
    steps: int = 0
    steps_per_epoch: int | None = None
    quiet_until: int = 0
    undone_at: int = 0
    rollbacks: int = 0
    failures: int = 0
    best: float | None = None
    class_accuracy: tuple[float, ...] = ()
    history: list[PastAdjustment] = field(default_factory=list)
    curves: CurveHistory = field(default_factory=CurveHistory)

    @property
    def curve(self) -> Curve:
        """All epochs so far."""
        return self.curves.curve(_RUN)

    @property
    def open(self) -> PastAdjustment | None:
        """The adjustment that acted in the last interval and has no verdict yet."""
        last = self.history[-1] if self.history else None
        return last if last and last.ended is None else None

    def end_epoch(self, metrics: Mapping[str, Any]) -> bool:
        """Take in an epoch's metrics; returns whether the metric is the best so far.

        Raises ValueError where the metric is missing or a value is no number.
        """
        if self.metric not in metrics:
            raise ValueError(
                f"epoch_end() needs the metric {self.metric!r}, got {', '.join(metrics) or 'none'};"
                " report it, or name another one: Modulator(..., metric=...)"
            )
        numbers = {
            name: _number(name, value) for name, value in metrics.items() if name != CLASS_ACCURACY
        }
        by_class = metrics.get(CLASS_ACCURACY, ())
        self.class_accuracy = tuple(float(value) for value in by_class)
        self.epoch += 1
        self.curves.append(_RUN, self.epoch, numbers)
        self.steps_per_epoch, self.steps = self.steps or self.steps_per_epoch, 0
        value = numbers[self.metric]
        if not np.isfinite(value):
            return False
        sign = 1.0 if self.mode == "min" else -1.0
        if self.best is not None and sign * value >= sign * self.best:
            return False
        self.best = value
        return True

    def conclude(self, verdict: Verdict) -> None:
        """Write the verdict on the open adjustment."""
        last = self.history[-1]
        self.history[-1] = replace(
            last,
            verdict=verdict.kind,
            before=verdict.before,
            after=verdict.after,
            noise=verdict.noise,
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
        """Share of the judged adjustments after which the metric was better beyond its noise."""
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


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"metrics must be numbers, and {name!r} is {str(value)[:60]!r}; give epoch_end() one "
            f'number a metric (of each class only "{CLASS_ACCURACY}")'
        ) from None
