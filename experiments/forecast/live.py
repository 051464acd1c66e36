"""Search and stopping by time on real trainings, in one process: what waits costs nothing.

    python -m experiments.forecast.live --data-dir DIR --out rows.csv [--first 300 --seeds 6]
        [--tasks digits mnist_noisy cifar_gray] [--arms pair raymimic+asha ...]

Two slots on a simulated clock: an epoch takes the processor time that its training took here, so
the machine's load matters little, and searcher and scheduler are told what time is left, as under
Tune's time budget. Starting a trial takes .02 s, a proposal nothing. Trainings of 5 epochs, of
networks that differ up to tenfold in their seconds. Shown: the best validation loss of the trials
that ended whole after a quarter of the time, half of it and all. Rows that are in the file already
are not made again.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.common.quiet import silence
from experiments.common.real import cnn, images
from experiments.common.real.cnn_training import CNNRun
from experiments.forecast.live_tasks import TASKS, LiveTask
from experiments.forecast.opponents import OptunaAdvisor
from experiments.forecast.together import Asha, Ours, Stopper
from raymimic.advisor import Advisor, HeuristicAdvisor, SearchEvidence, TrialRecord
from raymimic.curves import CurveHistory
from raymimic.records import Budget, Config
from raymimic.tune.domains import RaySpace

SLOTS = 2
START_S = 0.02
ARMS = ("pair", "alone", "raymimic+asha", "optuna+default+asha")
PARTS = {"quarter": 0.25, "half": 0.5, "all": 1.0}


class Trainings:
    """The trainings of one seed: each epoch is trained once, however often it is asked for."""

    def __init__(self, task: LiveTask, data: images.Images, seed: int) -> None:
        self.task, self._data, self._seed = task, data, seed
        self._known: dict[str, list[tuple[float, float]]] = {}
        self._runs: dict[str, CNNRun] = {}

    def epoch(self, config: Config, number: int) -> tuple[float, float]:
        """Validation loss, NaN for what cannot be built, and seconds of an epoch, 1 the first."""
        key = json.dumps(config, sort_keys=True, default=float)
        known = self._known.setdefault(key, [])
        while len(known) < number:
            known.append(self._trained(key, config))
        return known[number - 1]

    def _trained(self, key: str, config: Config) -> tuple[float, float]:
        settings, begun = self.task.settings, time.process_time()
        needed = cnn.multiply_adds(config, self._data.shape, images.CLASSES, settings.width)
        if needed > (settings.most_multiply_adds or math.inf):
            return math.nan, START_S
        if key not in self._runs:
            self._runs[key] = CNNRun(config, self._data, settings, self._seed, "cpu")
        loss = self._runs[key].epoch()["val_loss"]
        return loss, time.process_time() - begun


@dataclass
class Running:
    """A trial under way: the clock when it began, and the seconds that it trained."""

    record: TrialRecord
    begun: float
    epoch: int = 0
    trained: float = 0.0


@dataclass
class LiveSearch:
    """One run; ``now`` is the simulated clock."""

    trainings: Trainings
    advisor: Advisor
    stopper: Stopper | None
    history: CurveHistory
    seconds: float
    now: float = 0.0
    started: int = 0
    epochs: int = 0
    ended: list[TrialRecord] = field(default_factory=list)
    rows: list[tuple[float, bool, float]] = field(default_factory=list)
    _running: dict[str, Running] = field(default_factory=dict)
    _due: list[tuple[float, str, float, float]] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Search until the time is over; the losses and what was trained."""
        for _ in range(SLOTS):
            self._start()
        while self._due[0][0] <= self.seconds:
            self.now, name, loss, took = heapq.heappop(self._due)
            self._hear(name, loss, took)
        whole = pd.DataFrame([row for row in self.rows if row[1]], columns=["at", "whole", "loss"])
        found = {
            name: whole.loc[whole["at"] <= part * self.seconds, "loss"].min()
            for name, part in PARTS.items()
        }
        counts = {"trials": len(self.rows), "wholes": len(whole), "epochs": self.epochs}
        return {**found, **counts}

    def _start(self) -> None:
        budget = Budget(None, self.started, seconds_total=self.seconds, seconds_used=self.now,
                        concurrency=SLOTS)  # fmt: skip
        space = RaySpace.from_ray(cnn.param_space()).space
        running = tuple(self._now(trial) for trial in self._running.values())
        evidence = SearchEvidence(space, "loss", "min", tuple(self.ended), running, budget=budget)
        (proposal,) = self.advisor.propose(evidence, 1).proposals
        name = f"t{self.started}"
        self.started += 1
        self._running[name] = Running(TrialRecord.begun(name, proposal), self.now)
        self._train(name, self.now + START_S)

    def _train(self, name: str, begin: float) -> None:
        trial = self._running[name]
        loss, took = self.trainings.epoch(trial.record.config, trial.epoch + 1)
        heapq.heappush(self._due, (begin + took, name, loss, took))

    def _now(self, trial: Running) -> TrialRecord:
        if not trial.epoch:
            return trial.record
        curve = self.history.curve(trial.record.trial_id)
        return replace(trial.record, curve=curve, pace=trial.trained / trial.epoch)

    def _hear(self, name: str, loss: float, took: float) -> None:
        """Take in an epoch's end; what ends makes room for the next."""
        trial = self._running[name]
        trial.epoch, trial.trained = trial.epoch + 1, trial.trained + took
        self.epochs += 1
        self.history.append(name, trial.epoch, {"loss": loss})
        failed = not math.isfinite(loss)
        whole = not failed and trial.epoch == self.trainings.task.settings.epochs
        pace, stopped = trial.trained / trial.epoch, False
        if self.stopper is not None and not whole:
            left = self.seconds - self.now
            stopped = self.stopper.stops(name, trial.epoch, loss, pace, left)
        if not (whole or failed or stopped):
            self._train(name, self.now)
            return
        if self.stopper is not None:
            self.stopper.end(name, trial.epoch, None if failed else loss)
        record = self._now(self._running.pop(name))
        score = None if failed else loss
        self.ended.append(
            replace(record, status="failed" if failed else "done", score=score, stopped=stopped,
                    seconds=self.now - trial.begun)
        )  # fmt: skip
        self.rows.append((self.now, whole, loss))
        self._start()


def search_of(arm: str, trainings: Trainings, seed: int, seconds: float) -> LiveSearch:
    """Whom the name means."""
    history, epochs = CurveHistory(), trainings.task.settings.epochs
    rival = arm.startswith("optuna")
    advisor: Advisor = OptunaAdvisor(cnn, "tpe", seed) if rival else HeuristicAdvisor(seed)
    stopper: Stopper | None = None
    if arm.endswith("asha"):
        stopper = Asha(epochs, 4)
    elif arm == "pair":
        stopper = Ours(epochs, history, counted=False, searcher=True)
    return LiveSearch(trainings, advisor, stopper, history, seconds)


def table(rows: pd.DataFrame) -> str:
    """Means over seeds as Markdown."""
    names = [*PARTS, "trials", "wholes", "epochs"]
    lines = [f"| task, arm | seeds | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for (task, arm), some in rows.groupby(["task", "arm"], sort=False):
        cells = " | ".join(f"{some[name].mean():.3g}" for name in names)
        lines.append(f"| {task}: {arm} | {len(some)} | {cells} |")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the raw rows; goes on from them")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--first", type=int, default=300, help="the first seed")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--seconds", type=float, help="of each slot; by default the task's")
    arguments = parser.parse_args(given)
    silence()
    rows = pd.read_csv(arguments.out) if arguments.out.exists() else pd.DataFrame()
    done = set() if rows.empty else set(zip(rows["task"], rows["arm"], rows["seed"], strict=True))
    for name in arguments.tasks:
        task, data = TASKS[name], TASKS[name].load(arguments.data_dir)
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            trainings = Trainings(task, data, seed)
            for arm in arguments.arms:
                if (name, arm, seed) in done:
                    continue
                search = search_of(arm, trainings, seed, arguments.seconds or task.seconds)
                made = {"task": name, "arm": arm, "seed": seed, **search.run()}
                rows = pd.concat([rows, pd.DataFrame([made])])
                rows.to_csv(arguments.out, index=False, float_format="%.5g")
                print(made, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
