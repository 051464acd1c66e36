"""Search and stopping under one budget of epochs: each pair, and each half alone.

    python -m experiments.forecast.together --tables TABLES --out rows.csv [--seeds 5]

One trial at a time (or ``--slots``) on tables of whole curves, without Tune, ledgers or threads:
the advisor is asked for one configuration when one is due, and the scheduler's decisions (or Tune's
own ASHA) are asked after each epoch. Two kinds of runs:

- timed: what may be spent is an amount of epochs. The incumbent is the best training that ended
  whole; regret is (value - best) / (median - best) of the table, 1 before any training was whole.
  "tried" is the least that any trial of the run would have ended with, stopped or not.
- counted: 30 trials; "spent" in full trainings, "wrong": the trial that would have ended best of
  all was stopped (and none as good ended whole), "lost" the regret that this cost.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
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
from experiments.forecast import seconds
from experiments.forecast.opponents import OptunaAdvisor
from raymimic.advisor import Advisor, HeuristicAdvisor, RandomAdvisor, SearchEvidence, TrialRecord
from raymimic.curves import Curve, CurveHistory
from raymimic.records import Advice, Budget, EpochReport, TrialStatus
from raymimic.scheduling.decisions import Decisions
from raymimic.scheduling.rank_rule import CAREFUL, EAGER
from raymimic.scheduling.worth import COUNTED, TIMED
from raymimic.tune.domains import RaySpace

DEVELOPED_ON = ("ts_gru", "ts_irnn", "ts_lstm_p128", "ts_lstm_avg_p128")
HELD_OUT = ("ts_lstm_e128", "ts_lstm", "ts_vrnn_relu", "ts_vrnn_tanh", "digits_noisy")
BUDGETS = (3, 5, 10, 20, 50)
COUNT = 30
NAMED = ("task", "searcher", "arm", "seed", "slots", "clock", "run")
ARMS = ("none", "asha4", "raymimic")
_MOST = 1000


class Stopper(Protocol):
    """What is asked after each epoch; ``value``: lower is better.

    ``left``: seconds until the run's end, where that is known.
    """

    def stops(
        self, trial_id: str, epoch: int, value: float, pace: float, left: float | None = None
    ) -> bool: ...
    def end(self, trial_id: str, epoch: int, value: float | None) -> None: ...


class Asha:
    """Tune's own; three brackets are its asynchronous HyperBand."""

    def __init__(self, epochs: int, factor: int, brackets: int = 1) -> None:
        self._rule = ASHAScheduler(max_t=epochs, reduction_factor=factor, brackets=brackets,
                                   metric="loss", mode="min")  # fmt: skip
        self._trials: dict[str, FakeTrial] = {}

    def stops(
        self, trial_id: str, epoch: int, value: float, pace: float, left: float | None = None
    ) -> bool:
        del pace, left
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

    def stops(
        self, trial_id: str, epoch: int, value: float, pace: float, left: float | None = None
    ) -> bool:
        report = EpochReport(trial_id, epoch, {"loss": value}, value, {}, pace=pace)
        verdict = self._decisions.by_rule(report, left)
        assert verdict is not None, "the report has a value"
        self._decisions.settle(report, verdict)
        return verdict.stop and verdict.kind != "whole"

    def end(self, trial_id: str, epoch: int, value: float | None) -> None:
        if value is None:
            self._decisions.fail(trial_id)
        else:
            self._decisions.complete(
                trial_id, EpochReport(trial_id, epoch, {"loss": value}, value, {})
            )


class Unread(HeuristicAdvisor):
    """The keyless advisor that reads no curve: for an ablation.

    Told of a stopped trial is its last value, as other searchers are told ("last"), or nothing but
    that it was tried ("finals").
    """

    def __init__(self, seed: int, told: str) -> None:
        super().__init__(seed)
        self._told = told

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose from the scores alone."""
        trials = tuple(replace(trial, curve=None) for trial in evidence.trials)
        tried = tuple(t.config for t in trials if t.stopped) if self._told == "finals" else ()
        if tried:
            trials = tuple(trial for trial in trials if not trial.stopped)
        return super().propose(replace(evidence, trials=trials, queued=tried), n)


@dataclass
class Running:
    """A trial under way."""

    record: TrialRecord
    epochs: Iterator[dict[str, float]]
    cost: float = 1.0
    epoch: int = 0
    value: float = math.nan


@dataclass
class Search:
    """One run; ``limit`` in full trainings, or in trials if it is counted; ``slots`` at once.

    ``clock``: spent are seconds as `seconds` has them (in trainings of a usual net), which searcher
    and scheduler are told ("told"), or not ("untold"); "" for epochs.
    """

    task: tables.TableTask
    advisor: Advisor
    limit: int
    seed: int
    counted: bool = False
    arm: str = "none"
    slots: int = 1
    clock: str = ""
    history: CurveHistory = field(default_factory=CurveHistory)
    ended: list[TrialRecord] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    spent: float = 0.0
    started: int = 0

    def run(self) -> pd.DataFrame:
        stopper, running = self._stopper(), list[Running]()
        while running or self._may_start():
            while len(running) < self.slots and self._may_start():
                running.append(self._start(running))
            running = [trial for trial in running if not self._step(trial, stopper)]
        return pd.DataFrame(self.rows)

    def _stopper(self) -> Stopper | None:
        if self.arm == "none":
            return None
        if self.arm.startswith("asha"):
            return Asha(self.task.epochs, int(self.arm[4:]))
        if self.arm == "hyperband":
            return Asha(self.task.epochs, 3, brackets=3)
        own = isinstance(self.advisor, HeuristicAdvisor)
        return Ours(self.task.epochs, self.history, counted=self.counted, searcher=own)

    def _may_start(self) -> bool:
        if self.counted:
            return self.started < self.limit
        return self.spent < self.limit * self.task.epochs and self.started < _MOST

    def _start(self, running: list[Running]) -> Running:
        total = self.limit if self.counted else None
        budget = Budget(total, self.started, concurrency=self.slots)
        space = RaySpace.from_ray(self.task.param_space()).space
        ended, going = tuple(self.ended), tuple(self._now(trial) for trial in running)
        evidence = SearchEvidence(space, "loss", "min", ended, going, budget=budget)
        (proposal,) = self.advisor.propose(evidence, 1).proposals
        epochs = self.task.train(proposal.config, self.seed, self.started)
        record = TrialRecord.begun(f"t{self.started}", proposal)
        pace = seconds.pace(proposal.config) if self.clock else 0.0
        if self.clock == "told":
            record = replace(record, pace=pace)
        trial = Running(record, iter(epochs), pace / seconds.USUAL if self.clock else 1.0)
        self.started += 1
        return trial

    def _now(self, trial: Running) -> TrialRecord:
        name = trial.record.trial_id
        return replace(trial.record, curve=self.history.curve(name) if trial.epoch else None)

    def _step(self, trial: Running, stopper: Stopper | None) -> bool:
        """Train one epoch; whether the trial has ended."""
        task, name = self.task, trial.record.trial_id
        try:
            metrics = next(trial.epochs)
        except TrainingFailed:
            self.spent += 0.0 if trial.epoch else trial.cost  # a failure is not free
            self._end(trial, stopper, failed=True)
            return True
        trial.epoch += 1
        self.spent += trial.cost
        trial.value = (1.0 if task.mode == "min" else -1.0) * metrics[task.metric]
        self.history.append(name, trial.epoch, {"loss": trial.value})
        whole = trial.epoch == task.epochs
        pace = trial.record.pace
        stopped = (
            stopper is not None
            and not whole
            and stopper.stops(name, trial.epoch, trial.value, pace)
        )
        if whole or stopped:
            self._end(trial, stopper, stopped=stopped)
        return whole or stopped

    def _end(
        self,
        trial: Running,
        stopper: Stopper | None,
        *,
        stopped: bool = False,
        failed: bool = False,
    ) -> None:
        if stopper is not None and trial.epoch:
            stopper.end(trial.record.trial_id, trial.epoch, None if failed else trial.value)
        status: TrialStatus = "failed" if failed else "done"
        score = None if failed else trial.value
        self.ended.append(replace(self._now(trial), status=status, score=score, stopped=stopped))
        self.rows.append(
            {
                "spent": self.spent / self.task.epochs,
                "epochs": trial.epoch,
                "stopped": stopped,
                "whole": not stopped and not failed,
                "regret": self.task.regret(trial.record.config),
            }
        )


def searcher_of(name: str, task: tables.TableTask, seed: int) -> Advisor:
    """Whom the name means; "tpe" and "gp" are Tune's OptunaSearch, told the default first.

    "raymimic:last" and "raymimic:finals" are the keyless advisor as `Unread` has it.
    """
    if name == "raymimic":
        return HeuristicAdvisor(seed)
    if name.startswith("raymimic:"):
        return Unread(seed, name.partition(":")[2])
    if name == "random":
        return RandomAdvisor(seed)
    return OptunaAdvisor(task, name, seed)


def timed(frame: pd.DataFrame, budgets: list[int]) -> dict[str, float]:
    """Regret of the best whole training at each budget; of all that were tried, at the last one."""
    whole = frame[frame["whole"]]
    found = {}
    for limit in budgets:
        some = whole.loc[whole["spent"] <= limit + 1e-9, "regret"]
        found[f"@{limit}"] = float(some.min()) if len(some) else 1.0
    tried = float(frame.loc[frame["spent"] <= max(budgets) + 1e-9, "regret"].min())
    counts = {"trials": len(frame), "whole": int(frame["whole"].sum())}
    return {**found, "tried": tried, **counts}


def counted(frame: pd.DataFrame) -> dict[str, float]:
    """What a number of trials took, and whether the best of them was lost."""
    lost = float(frame.loc[frame["whole"], "regret"].min() - frame["regret"].min())
    return {"spent": float(frame["spent"].iloc[-1]), "wrong": float(lost > 0), "lost": lost}


def one(
    task: tables.TableTask,
    searcher: str,
    arm: str,
    seed: int,
    budgets: list[int],
    count: int,
    slots: int,
    clock: str,
) -> list[dict[str, Any]]:
    """The timed and, with a ``count``, the counted run of one pair."""
    named = {"task": task.name, "searcher": searcher, "arm": arm, "seed": seed, "slots": slots}
    named["clock"] = clock or "epochs"
    np.random.seed(seed)  # Tune's brackets are drawn from it
    made = searcher_of(searcher, task, seed)
    frame = Search(task, made, max(budgets), seed, arm=arm, slots=slots, clock=clock).run()
    rows = [{**named, "run": "timed", **timed(frame, budgets)}]
    if count and arm != "none":
        made = searcher_of(searcher, task, seed)
        frame = Search(task, made, count, seed, counted=True, arm=arm, slots=slots).run()
        rows.append({**named, "run": f"{count} trials", **counted(frame)})
    return rows


def report(frame: pd.DataFrame) -> str:
    """Means over tables and seeds as Markdown."""
    parts = []
    for run, part in frame.groupby("run", sort=False):
        names = [name for name in part if name not in NAMED]
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
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--tasks", type=_names, default=list(DEVELOPED_ON))
    parser.add_argument("--searchers", type=_names, default=["raymimic", "random"])
    parser.add_argument("--arms", type=_names, default=list(ARMS))
    parser.add_argument("--budgets", type=lambda text: [*map(int, text.split(","))],
                        default=list(BUDGETS))  # fmt: skip
    parser.add_argument("--clock", choices=("", "told", "untold"), default="",
                        help="spend modelled seconds (digits_noisy only)")  # fmt: skip
    parser.add_argument("--slots", type=int, default=1, help="trials at once")
    parser.add_argument("--count", type=int, default=COUNT, help="0: no counted runs")
    arguments = parser.parse_args()
    silence()
    begun, rows = time.process_time(), []
    for name in arguments.tasks:
        task = tables.load(name, arguments.tables)
        for searcher in arguments.searchers:
            for arm in arguments.arms:
                for seed in range(arguments.first, arguments.first + arguments.seeds):
                    rows += one(task, searcher, arm, seed, arguments.budgets, arguments.count,
                                arguments.slots, arguments.clock)  # fmt: skip
        print(f"{name} {time.process_time() - begun:.0f} CPU s", file=sys.stderr, flush=True)
        frame = pd.DataFrame(rows)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(arguments.out, index=False, float_format="%.5g")
    print(report(frame))


if __name__ == "__main__":
    main()
