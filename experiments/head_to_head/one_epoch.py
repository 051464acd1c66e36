"""One epoch for all, then the best to the end: early screening without a model of anything.

After Egele et al. 2023, "Is One Epoch All You Need For Multi-Fidelity Hyperparameter Optimization?"
(arXiv 2307.15422). Made anytime, so that one run is good for every budget: a full training's worth
of epochs screens configurations, the next trains on the best of all that were only screened.
"""

from __future__ import annotations

import math
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from experiments.common.replay import Replay, Row, Running


class StopAtOnce(FIFOScheduler):
    """Stops every trial after its first epoch."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Any) -> str:
        del tune_controller, trial, result
        return str(TrialScheduler.STOP)


class OneEpoch(Replay):
    """The searcher (random search) proposes; a continued trial has a second row of its own."""

    def run(self) -> list[Row]:
        """Screen and continue in turns until no full training fits the budget any more."""
        waiting: list[Running] = []
        while (left := self._epochs_left()) >= self.task.epochs:
            for _ in range(min(self.task.epochs, left - self.task.epochs + 1)):
                trial = self._start()
                while not self._step(trial):
                    pass
                if math.isfinite(trial.row["score"]):
                    waiting.append(trial)
            if waiting:
                best = min(waiting, key=self._loss)
                waiting.remove(best)
                self._continue(best)
        return self._rows

    def _epochs_left(self) -> int:
        return self.trials * self.task.epochs - sum(row["epochs"] for row in self._rows)

    def _loss(self, trial: Running) -> float:
        score: float = trial.row["score"]
        return score if self.task.mode == "min" else -score

    def _continue(self, screened: Running) -> None:
        """Train a screened trial to its end; the searcher has had its result and hears no more."""
        row = {**screened.row, "trial": len(self._rows), "ask_seconds": 0.0, "stopped": False}
        rest = [metrics[self.task.metric] for metrics in screened.rest()]
        whole = len(rest) == self.task.epochs - 1 and math.isfinite(rest[-1])
        row["epochs"] = max(1, len(rest))
        row["score"] = rest[-1] if whole else math.nan
        self._rows.append(row)
        self._judge(row, screened.config, slice(1, None))
