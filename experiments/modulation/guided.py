"""The arms that train through the Modulator."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.modulation.adjusters import (
    KnobsOnly,
    RandomDeltas,
    RandomKnobs,
    Weights,
    WeightsOnly,
)
from experiments.modulation.arms import EMA, Arm
from experiments.modulation.task import Trainee
from raymimic import HeuristicAdvisor, Knob, Modulator

logging.getLogger("raymimic").setLevel(logging.WARNING)  # not a line for every training

_PATIENCE_S = 600.0  # for a model's answer; training waits, so that no answer comes late

_CONTROLS = {
    "knobs_only": KnobsOnly,
    "weights_only": WeightsOnly,
    "random_knobs": RandomKnobs,
}


class Guided(Arm):
    """Advised by the heuristic (``advice`` "guided"), one of its controls, or a named model."""

    def __init__(
        self, trainee: Trainee, seed: int, advice: str, ledger: Path | None = None
    ) -> None:
        super().__init__(trainee, seed)
        self._weights: Weights | None = None
        self.modulator = Modulator(
            trainee.model,
            self.optimizer,
            llm=self._advisor(advice),
            metric=trainee.metric,
            mode=trainee.mode,
            epochs=trainee.epochs,
            steps_per_epoch=trainee.steps_per_epoch,
            knobs={
                name: Knob(knob.low, knob.high, knob.meaning, start=knob.start)
                for name, knob in trainee.knobs.items()
            },
            ema=EMA,
            wait=True,
            timeout=_PATIENCE_S,
            seed=seed,
            ledger=ledger,
        )

    def _advisor(self, advice: str) -> Any:
        if advice == "guided":
            return "none"
        if advice in _CONTROLS:
            return _CONTROLS[advice](HeuristicAdvisor(self.seed))
        if advice == "random_deltas":
            self._weights = Weights(self.trainee.model, EMA)
            return RandomDeltas(HeuristicAdvisor(self.seed), self._weights)
        return advice

    @property
    def knobs(self) -> Mapping[str, float]:
        return self.modulator.knobs

    @property
    def lr(self) -> float:
        return float(self.modulator.knobs["lr"])  # the groups hold the schedule's, without factor

    def step(self) -> None:
        self.modulator.step()
        if self._weights:
            self._weights.after_step()

    def epoch_end(self, metrics: Mapping[str, Any]) -> None:
        if self._weights:
            self._weights.after_epoch(float(metrics[self.trainee.metric]), self.trainee.mode)
        self.modulator.epoch_end(metrics)
        if self._weights:
            self._weights.begin_interval()  # after it: the run may have been put back

    def told(self) -> dict[str, Any]:
        return {"modulator": dict(self.modulator.metrics())}

    def summary(self) -> dict[str, Any]:
        past = [
            {
                "epoch": one.epoch,
                "knobs": dict(one.adjustment.knobs),
                "alpha": one.adjustment.alpha,
                "operations": [
                    f"{did.kind} {did.params} {did.amount:g}"
                    + (f" toward {did.toward}" if did.kind == "pull" else "")
                    for did in one.adjustment.operations
                ],
                "why": one.adjustment.rationale,
                "review": one.adjustment.review,
                "applied": list(one.applied),
                "dropped": list(one.dropped),
                "verdict": one.verdict,
                "before": one.before,
                "after": one.after,
                "expected": one.expected,
                "margin": one.margin,
                "rolled_back": one.rolled_back,
            }
            for one in self.modulator.history
        ]
        return {"history": past, "hit_rate": self.modulator.hit_rate}
