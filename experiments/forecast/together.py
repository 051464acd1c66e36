"""Search and stopping under one budget of epochs: each pair, and each half alone.

    python -m experiments.forecast.together --tables TABLES --out rows.csv [--seeds 5]

One trial at a time on tables of whole curves, without Tune, ledgers or threads: the advisor is
asked for one configuration when one is due, and the scheduler's decisions (or Tune's own ASHA) are
asked after each epoch. Two kinds of runs:

- timed: what may be spent is an amount of epochs. The incumbent is the best training that ended
  whole; regret is (value - best) / (median - best) of the table, 1 before any training was whole.
- counted: 30 trials; "spent" in full trainings, "wrong": the trial that would have ended best of
  all was stopped (and none as good ended whole), "lost" the regret that this cost.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from experiments.common import tables
from experiments.common.fake_tune import FakeTrial
from experiments.common.quiet import silence
from experiments.common.task import TrainingFailed
from raymimic.advisor import Advisor, HeuristicAdvisor, RandomAdvisor, SearchEvidence, TrialRecord
from raymimic.curves import Curve, CurveHistory
from raymimic.records import Budget, EpochReport, Proposal
from raymimic.scheduling.decisions import Decisions
from raymimic.scheduling.rank_rule import CAREFUL, EAGER
from raymimic.scheduling.worth import COUNTED, TIMED
from raymimic.tune.domains import RaySpace

DEVELOPED_ON = ("ts_gru", "ts_irnn", "ts_lstm_p128", "ts_lstm_avg_p128")
HELD_OUT = ("ts_lstm_e128", "ts_lstm", "ts_vrnn_relu", "ts_vrnn_tanh", "digits_noisy")
BUDGETS = (3, 5, 10, 20, 50)
COUNT = 30
SEARCHERS = {"raymimic": HeuristicAdvisor, "random": RandomAdvisor}
ARMS = ("none", "asha4", "raymimic")
_MOST = 1000


class Stopper(Protocol):
    """What is asked after each epoch; ``value``: lower is better."""

    def stops(self, trial_id: str, epoch: int, value: float) -> bool: ...
    def end(self, trial_id: str, epoch: int, value: float | None) -> None: ...


class Asha:
    """Tune's own, one bracket."""

    def __init__(self, epochs: int, factor: int) -> None:
        self._rule = ASHAScheduler(max_t=epochs, reduction_factor=factor, metric="loss", mode="min")
        self._trials: dict[str, FakeTrial] = {}

    def stops(self, trial_id: str, epoch: int, value: float) -> bool:
        if trial_id not in self._trials:
            self._trials[trial_id] = FakeTrial(trial_id)
            self._rule.on_trial_add(None, self._trials[trial_id])
        result = {"training_iteration": epoch, "loss": value}
        said = self._rule.on_trial_result(None, self._trials[trial_id], result)
        return bool(said == TrialScheduler.STOP)

    def end(self, trial_id: str, epoch: int, value: float | None) -> None:
        if value is not None:
            result = {"training_iteration": epoch, "loss": value}
            self._rule.on_trial_complete(None, self._trials[trial_id], result)


class Ours:
    """`LLMScheduler`'s decisions, keyless."""

    def __init__(
        self, epochs: int, history: CurveHistory, *, counted: bool, searcher: bool
    ) -> None:
        self._history = history
        self._decisions = Decisions(self, max_t=epochs)
        race = not counted and not searcher
        price = None if race else COUNTED if counted else TIMED
        self._decisions.begin("loss", "min", EAGER if race else CAREFUL, price)

    def curve(self, trial_id: str) -> Curve | None:
        return self._history.curve(trial_id) if trial_id in self._history else None

    def note(self, event: str, /, **fields: Any) -> None:
        pass

    def stops(self, trial_id: str, epoch: int, value: float) -> bool:
        report = EpochReport(trial_id, epoch, {"loss": value}, value, {})
        verdict = self._decisions.by_rule(report)
        assert verdict is not None, "the report has a value"
        self._decisions.settle(report, verdict)
        return verdict.stop and verdict.kind != "whole"

    def end(self, trial_id: str, epoch: int, value: float | None) -> None:
        if value is None:
            self._decisions.end(trial_id, whole=False)
        else:
            self._decisions.complete(
                trial_id, EpochReport(trial_id, epoch, {"loss": value}, value, {})
            )


@dataclass
class Search:
    """One run; ``limit`` in full trainings, or in trials if it is counted."""

    task: tables.TableTask
    advisor: Advisor
    limit: int
    seed: int
    counted: bool = False
    arm: str = "none"
    history: CurveHistory = field(default_factory=CurveHistory)
    ended: list[TrialRecord] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    spent: int = 0

    def run(self) -> pd.DataFrame:
        space = RaySpace.from_ray(self.task.param_space()).space
        stopper = self._stopper()
        while self._goes_on():
            total = self.limit if self.counted or stopper is None else None
            budget = Budget(trials_total=total, trials_started=len(self.ended), concurrency=1)
            evidence = SearchEvidence(space, "loss", "min", tuple(self.ended), budget=budget)
            (proposal,) = self.advisor.propose(evidence, 1).proposals
            self._train(f"t{len(self.ended)}", proposal, stopper)
        return pd.DataFrame(self.rows)

    def _stopper(self) -> Stopper | None:
        if self.arm == "none":
            return None
        if self.arm.startswith("asha"):
            return Asha(self.task.epochs, int(self.arm[4:]))
        own = not isinstance(self.advisor, RandomAdvisor)
        return Ours(self.task.epochs, self.history, counted=self.counted, searcher=own)

    def _goes_on(self) -> bool:
        if self.counted:
            return len(self.rows) < self.limit
        return self.spent < self.limit * self.task.epochs and len(self.rows) < _MOST

    def _train(self, trial_id: str, proposal: Proposal, stopper: Stopper | None) -> None:
        task, sign = self.task, 1.0 if self.task.mode == "min" else -1.0
        epoch, value, stopped, failed = 0, math.nan, False, False
        try:
            for metrics in task.train(proposal.config, self.seed, len(self.ended)):
                epoch, value = epoch + 1, sign * metrics[task.metric]
                self.history.append(trial_id, epoch, {"loss": value})
                last = epoch == task.epochs
                if stopper is not None and not last and stopper.stops(trial_id, epoch, value):
                    stopped = True
                    break
        except TrainingFailed:
            failed = True
        if stopper is not None and epoch:
            stopper.end(trial_id, epoch, None if failed else value)
        self.spent += max(1, epoch)
        curve = self.history.curve(trial_id) if epoch else None
        begun = TrialRecord.begun(trial_id, proposal)
        status = "failed" if failed else "done"
        score = None if failed else value
        self.ended.append(replace(begun, status=status, score=score, curve=curve, stopped=stopped))
        self.rows.append(
            {
                "spent": self.spent / task.epochs,
                "epochs": epoch,
                "stopped": stopped,
                "whole": not stopped and not failed,
                "regret": task.regret(proposal.config),
            }
        )


def timed(frame: pd.DataFrame, budgets: list[int]) -> dict[str, float]:
    """Regret of the best whole training at each budget."""
    whole = frame[frame["whole"]]
    found = {}
    for limit in budgets:
        some = whole.loc[whole["spent"] <= limit + 1e-9, "regret"]
        found[f"@{limit}"] = float(some.min()) if len(some) else 1.0
    return {**found, "trials": len(frame), "whole": int(frame["whole"].sum())}


def counted(frame: pd.DataFrame) -> dict[str, float]:
    """What a number of trials took, and whether the best of them was lost."""
    lost = float(frame.loc[frame["whole"], "regret"].min() - frame["regret"].min())
    return {"spent": float(frame["spent"].iloc[-1]), "wrong": float(lost > 0), "lost": lost}


def one(
    task: tables.TableTask, searcher: str, arm: str, seed: int, budgets: list[int], count: int
) -> list[dict[str, Any]]:
    """The timed and, with a ``count``, the counted run of one pair."""
    named = {"task": task.name, "searcher": searcher, "arm": arm, "seed": seed}
    make = SEARCHERS[searcher]
    frame = Search(task, make(seed), max(budgets), seed, arm=arm).run()
    rows = [{**named, "run": "timed", **timed(frame, budgets)}]
    if count and arm != "none":
        frame = Search(task, make(seed), count, seed, counted=True, arm=arm).run()
        rows.append({**named, "run": f"{count} trials", **counted(frame)})
    return rows


def report(frame: pd.DataFrame) -> str:
    """Means over tables and seeds as Markdown."""
    parts = []
    for run, part in frame.groupby("run", sort=False):
        names = [name for name in part if name not in ("task", "searcher", "arm", "seed", "run")]
        names = [name for name in names if part[name].notna().any()]
        lines = [f"| {run} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for (searcher, arm), some in part.groupby(["searcher", "arm"], sort=False):
            cells = " | ".join(f"{some[name].mean():.3f}" for name in names)
            lines.append(f"| {searcher} + {arm} | {cells} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _names(text: str) -> list[str]:
    return text.split(",")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where the raw rows go")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", type=_names, default=list(DEVELOPED_ON))
    parser.add_argument("--searchers", type=_names, default=list(SEARCHERS))
    parser.add_argument("--arms", type=_names, default=list(ARMS))
    parser.add_argument("--budgets", type=lambda text: [*map(int, text.split(","))],
                        default=list(BUDGETS))  # fmt: skip
    parser.add_argument("--count", type=int, default=COUNT, help="0: no counted runs")
    arguments = parser.parse_args()
    silence()
    np.random.seed(0)
    begun, rows = time.process_time(), []
    for name in arguments.tasks:
        task = tables.load(name, arguments.tables)
        for searcher in arguments.searchers:
            for arm in arguments.arms:
                for seed in range(arguments.seeds):
                    rows += one(task, searcher, arm, seed, arguments.budgets, arguments.count)
        print(f"{name} {time.process_time() - begun:.0f} CPU s", file=sys.stderr, flush=True)
        frame = pd.DataFrame(rows)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(arguments.out, index=False, float_format="%.5g")
    print(report(frame))


if __name__ == "__main__":
    main()
