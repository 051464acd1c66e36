"""Drives any Ray Tune searcher over a task through the calls that Tune makes, without a cluster.

The order of calls is Tune's own (`ray/tune/execution/tune_controller.py`): a result goes to the
scheduler first and to the searcher only if the trial goes on; its last result comes with
``on_trial_complete``; a failed trial is told with ``error=True`` and no result.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from experiments.common.fake_tune import FakeTrial
from experiments.common.task import Task, TrainingFailed
from raymimic.records import Config

Row = dict[str, Any]

_POLL_S, _LONGEST_POLL_S = 0.001, 0.2  # whoever took minutes so far is not asked each millisecond
_NO_ANSWER_S = 4000.0


@dataclass
class Running:
    """A trial under way and what the record will say of it."""

    trial_id: str
    number: int
    config: Config
    epochs: Iterator[dict[str, float]]
    row: Row
    stand_in: FakeTrial
    done: int = 0
    last: dict[str, Any] = field(default_factory=dict)

    def rest(self) -> list[dict[str, float]]:
        """Train on and return the metrics of all epochs to come, as far as the training gets."""
        metrics: list[dict[str, float]] = []
        with contextlib.suppress(TrainingFailed):
            for epoch in self.epochs:
                metrics.append(epoch)  # what came before a failure is kept
        return metrics


class Bill:
    """Tokens and money of a searcher with a ``tally`` since the last look; nothing for others."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._paid: Row = {"tokens_in": 0, "tokens_out": 0, "cost": 0.0}

    def since(self) -> Row:
        """What was added since the last call."""
        tally = getattr(self._searcher, "tally", None)
        now = {name: getattr(tally, name, self._paid[name]) for name in self._paid}
        spent = {name: now[name] - self._paid[name] for name in now}
        self._paid = now
        return spent


class Replay:
    """One search. ``trials`` is the budget: in trainings started, or with a scheduler in full
    trainings' worth of epochs (``max_trials`` then bounds the trials), unless it is ``counted``.
    """

    def __init__(
        self,
        task: Task,
        searcher: Searcher,
        *,
        method: str,
        seed: int,
        trials: int,
        scheduler: TrialScheduler | None = None,
        concurrency: int = 1,
        max_trials: int | None = None,
        counted: bool = False,
    ) -> None:
        self.task, self.searcher, self.scheduler = task, searcher, scheduler
        self.method, self.seed, self.trials = method, seed, trials
        self.concurrency, self.max_trials = concurrency, max_trials or trials
        self.counted = counted or scheduler is None
        self._rows: list[Row] = []
        self._bill = Bill(searcher)
        told = searcher.set_search_properties(
            task.metric, task.mode, task.param_space(), **self._spec()
        )
        if not told:
            raise RuntimeError(f"{method} took no search space: give the factory none")
        if scheduler is not None:
            limit = {"num_samples": trials if self.counted else -1}
            scheduler.set_search_properties(task.metric, task.mode, **limit)
        searcher.set_max_concurrency(concurrency)

    def _spec(self) -> Row:
        """What Tune says of the budget: with a scheduler, users let the clock end the search."""
        return {"num_samples": self.trials} if self.counted else {}

    def run(self) -> list[Row]:
        """Search until the budget is spent; returns the record's rows in the order of starts."""
        running: list[Running] = []
        while running or self._may_start(0):
            while len(running) < self.concurrency and self._may_start(len(running)):
                running.append(self._start())
            running = [trial for trial in running if not self._step(trial)]
        if self._rows:
            for name, spent in self._bill.since().items():
                self._rows[-1][name] += spent
        return self._rows

    def _may_start(self, running: int) -> bool:
        """Whether the budget has room, the running trials counted as full trainings."""
        started = len(self._rows)
        if self.counted:
            return started < self.trials
        spent = sum(row["epochs"] for row in self._rows[: started - running])
        left = self.trials * self.task.epochs - spent - running * self.task.epochs
        return left > 0 and started < self.max_trials

    # -- one trial ---------------------------------------------------------------------------------

    def _start(self) -> Running:
        number = len(self._rows)
        trial_id = f"{self.seed:04d}{number:05d}"
        begun, before = time.perf_counter(), _fallbacks(self.searcher)
        config = self._ask(trial_id)
        row = {
            "task": self.task.name,
            "method": self.method,
            "seed": self.seed,
            "trial": number,
            "source": _source(self.searcher, trial_id),
            "fallback": _fallbacks(self.searcher) > before,
            "score": math.nan,
            "epochs": 0,
            "epochs_full": self.task.epochs,
            "ask_seconds": time.perf_counter() - begun,
            **self._bill.since(),
            "config": json.dumps(config),
            "stopped": False,
            "mode": self.task.mode,
        }
        self._rows.append(row)
        epochs = iter(self.task.train(config, self.seed, number))
        trial = Running(trial_id, number, config, epochs, row, FakeTrial(trial_id, config))
        if self.scheduler is not None:
            self.scheduler.on_trial_add(None, trial.stand_in)
        return trial

    def _ask(self, trial_id: str) -> Config:
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < _NO_ANSWER_S:
            config = self.searcher.suggest(trial_id)
            if config == Searcher.FINISHED:
                raise RuntimeError(f"{self.method} ended the search at trial {trial_id}")
            if config is not None:
                return dict(config)
            time.sleep(min(_POLL_S + waited / 20, _LONGEST_POLL_S))
        raise RuntimeError(f"{self.method} gave no configuration within {_NO_ANSWER_S:g} s")

    def _step(self, trial: Running) -> bool:
        """Train one epoch and tell of it; whether the trial has ended."""
        try:
            metrics = next(trial.epochs)
        except (TrainingFailed, StopIteration):
            self._fail(trial)
            return True
        trial.done += 1
        trial.row["epochs"] = trial.done
        trial.last = {
            **metrics,
            "training_iteration": trial.done,
            "trial_id": trial.trial_id,
            "config": trial.config,
        }
        diverged = not math.isfinite(metrics[self.task.metric])  # told; the next epoch fails
        last = trial.done >= self.task.epochs
        if not diverged and (last or self._stops(trial)):
            trial.row["stopped"] = not last
            self._complete(trial)
            return True
        self.searcher.on_trial_result(trial.trial_id, trial.last)
        return False

    def _stops(self, trial: Running) -> bool:
        if self.scheduler is None:
            return False
        action = self.scheduler.on_trial_result(None, trial.stand_in, trial.last)
        return bool(action == TrialScheduler.STOP)

    def _complete(self, trial: Running) -> None:
        result = {**trial.last, "done": True}
        if self.scheduler is not None:
            self.scheduler.on_trial_complete(None, trial.stand_in, result)
        self.searcher.on_trial_complete(trial.trial_id, result=result)
        trial.row["score"] = float(result[self.task.metric])
        self._judge(trial.row, trial.config, slice(trial.done))

    def _fail(self, trial: Running) -> None:
        trial.row["epochs"] = max(1, trial.done)  # a failure is not free
        if self.scheduler is not None:
            self.scheduler.on_trial_error(None, trial.stand_in)
        self.searcher.on_trial_complete(trial.trial_id, error=True)
        self._judge(trial.row, trial.config, slice(trial.done))

    def _judge(self, row: Row, config: Config, epochs: slice) -> None:
        """Add the truth, which nothing that decides has seen, and what these epochs took."""
        task = self.task
        row["train_seconds"] = sum(task.train_seconds(config, self.seed)[epochs])
        row["value"] = task.value(config)
        row["regret"] = task.regret(config)
        row["test"] = task.test(config)


def _source(searcher: Searcher, trial_id: str) -> str:
    """Who proposed a trial, where the searcher can say."""
    ask = getattr(searcher, "trial", None)
    record = ask(trial_id) if ask else None
    return "" if record is None else record.source


def _fallbacks(searcher: Searcher) -> int:
    """How many slots others have filled for the advisor, where the searcher counts them."""
    tally = getattr(searcher, "tally", None)
    return sum(tally.fallbacks.values()) if tally else 0
