"""Search and stopping by time: real trainings on real Ray Tune, two at once.

    python -m experiments.forecast.by_clock --data-dir DIR --out rows.csv [--clock processor]
        [--task mnist_cnn] [--seconds 60] [--arms pair alone optuna+default+asha]

The demo's CNN on 2,000 MNIST images, 20 epochs, or the 14-parameter CNN, 5 epochs, on MNIST or
CIFAR-10; ``num_samples=-1``. The arms of a seed run one after the other, each seed beginning with
another one. Rows that are in the file already are not made again, so a run that was cut off goes on
with the same command; the table comes at the end, or at once with ``--seeds 0``. Of each run: the
best validation loss of the trials that ended whole, and of all that exist at the end ("any"),
epochs trained, seconds of the clock that an epoch took.

Two clocks. *wall*: Tune's time budget of ``--seconds``, which a busy machine shortens for whoever
runs then. *processor*: the run ends when its trainings and its driver (so every proposal, too) have
used ``--seconds`` of processor time on each of the two slots. It does not depend on the machine's
load, but a slot that waits for a proposal costs nothing ("busy" says how much of the slots was
used), and searcher and scheduler are told no end, as Tune knows of none.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from experiments.common.quiet import silence
from experiments.common.real.cnn_training import settings_of
from experiments.forecast.clock_tasks import NAMES, Task, task_of
from raymimic import LLMScheduler, LLMSearcher

SLOTS = 2
ARMS = ("pair", "pair+default", "alone", "raymimic+asha", "optuna+asha", "optuna+default+asha")


class Setting(NamedTuple):
    """What a run is given: which clock, so many seconds of it, images and epochs of a training."""

    task: str
    clock: str
    seconds: float
    images: int
    epochs_full: int


def parts_of(arm: str, seed: int, task: Task, folder: str) -> tuple[Any, Any]:
    """Searcher and scheduler as a user would write them."""
    epochs = task.epochs
    asha = ASHAScheduler(max_t=epochs, reduction_factor=4)
    first = [task.default] if "default" in arm else None
    if arm.startswith("optuna"):
        return OptunaSearch(seed=seed, points_to_evaluate=first), asha
    ledger = f"{folder}/ledger.jsonl"
    searcher = LLMSearcher(llm="none", seed=seed, ledger=ledger, points_to_evaluate=first)
    if arm == "raymimic+asha":
        return searcher, asha
    if arm == "alone":
        return searcher, None
    return searcher, LLMScheduler(searcher=searcher, max_t=epochs, llm="none")


class Seen(tune.Callback):
    """Every result: a time budget cuts trials off without telling searchers."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, float]] = {}
        self.processor: dict[int, float] = {}

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Keep epoch, loss, and what the trial's process has used."""
        del iteration, trials, info
        self.last[trial.trial_id] = int(result["training_iteration"]), float(result["val_loss"])
        self.processor[result["pid"]] = float(result["processor_s"])


class ProcessorTime(tune.Stopper):
    """Ends a run once trainings and driver have used so many seconds of processor time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.process_time() + seconds  # of the driver alone
        self._used: dict[int, float] = {}  # Tune has a copy of this: no other object tells it

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Learn what a trial's process has used; no trial ends by itself."""
        del trial_id
        self._used[result["pid"]] = float(result["processor_s"])
        return False

    def stop_all(self) -> bool:
        """Whether the time is used up."""
        return sum(self._used.values()) + time.process_time() >= self._end


def train(config: dict[str, Any], *, task: Task, seed: int) -> None:
    """Train one configuration; reports hold the processor time that the process has used."""
    for metrics in task.train(config, seed):
        tune.report({**metrics, "processor_s": time.process_time()})
        if not math.isfinite(metrics["val_loss"]):
            return


def run(arm: str, seed: int, setting: Setting, data_dir: Path) -> dict[str, Any]:
    """One search."""
    epochs, wall = setting.epochs_full, setting.clock == "wall"
    task = task_of(setting.task, seed, data_dir=data_dir, count=setting.images, epochs=epochs)
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        searcher, scheduler = parts_of(arm, seed, task, folder)
        training = tune.with_parameters(train, task=task, seed=seed)
        begun, used = time.monotonic(), time.process_time()
        tuner = tune.Tuner(
            tune.with_resources(training, {"cpu": 1}),
            param_space=task.space,
            tune_config=tune.TuneConfig(
                metric="val_loss", mode="min", num_samples=-1, search_alg=searcher,
                scheduler=scheduler, max_concurrent_trials=SLOTS, reuse_actors=True,
                time_budget_s=setting.seconds if wall else None,
            ),
            run_config=tune.RunConfig(
                storage_path=folder, name="run", verbose=0, callbacks=[seen],
                stop=None if wall else ProcessorTime(SLOTS * setting.seconds),
            ),
        )  # fmt: skip
        tuner.fit()
    took = time.monotonic() - begun
    trained, driver = sum(seen.processor.values()), time.process_time() - used
    ends = pd.DataFrame(seen.last.values(), columns=["epoch", "loss"])
    finite = ends[ends["loss"].map(math.isfinite)]
    total = int(ends["epoch"].sum())
    return {
        **setting._asdict(),
        "arm": arm,
        "seed": seed,
        "whole": finite.loc[finite["epoch"] == epochs, "loss"].min(),
        "any": finite["loss"].min(),
        "any_epoch": int(finite.loc[finite["loss"].idxmin(), "epoch"]) if len(finite) else 0,
        "trials": len(ends),
        "wholes": int((ends["epoch"] == epochs).sum()),
        "epochs": total,
        "seconds_an_epoch": (SLOTS * took if wall else trained) / max(1, total),
        "driver_s": driver,
        "busy": (trained + driver) / (SLOTS * took),
        "wall": took,
    }


def table(rows: pd.DataFrame) -> str:
    """Means by arm and the losses seed by seed, of the seeds that all arms have, as Markdown."""
    counts = rows.groupby("seed")["arm"].nunique()
    common = rows[rows["seed"].isin(counts[counts == rows["arm"].nunique()].index)]
    if common.empty:
        return "no seed is there of all arms"
    lines = [
        "| arm | seeds | whole | any | trials | whole trials | epochs | s an epoch | busy |",
        "|---" * 9 + "|",
    ]
    for arm, some in common.groupby("arm", sort=False):
        mean = some.mean(numeric_only=True)
        each = " / ".join(f"{loss:.3f}" for loss in some.sort_values("seed")["whole"])
        lines.append(
            f"| {arm} | {len(some)} | {mean['whole']:.3f} ({each}) | {mean['any']:.3f} "
            f"| {mean['trials']:.0f} | {mean['wholes']:.0f} | {mean['epochs']:.0f} "
            f"| {mean['seconds_an_epoch']:.2f} | {mean['busy']:.2f} |"
        )
    return "\n".join(lines)


def missing(
    rows: pd.DataFrame, setting: Setting, seeds: int, arms: Sequence[str] = ARMS
) -> list[tuple[str, int]]:
    """Arm and seed of the runs still to be made, in their order."""
    same = rows
    for name, value in setting._asdict().items():
        same = same[same[name] == value]
    done = set(zip(same["arm"], same["seed"], strict=True))
    turns = [
        (arm, seed)
        for seed in range(seeds)
        for arm in (*arms[seed % len(arms) :], *arms[: seed % len(arms)])
    ]
    return [turn for turn in turns if turn not in done]


def _setting(arguments: argparse.Namespace) -> Setting:
    count, epochs = arguments.images, arguments.epochs
    if arguments.task != "demo":
        preset = settings_of("cpu")
        count, epochs = preset.train_images, preset.epochs
    return Setting(arguments.task, arguments.clock, arguments.seconds, count, epochs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the raw rows; goes on from them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--task", choices=NAMES, default="demo")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--seconds", type=float, default=110.0)
    parser.add_argument("--images", type=int, default=2000, help="the demo's")
    parser.add_argument("--epochs", type=int, default=20, help="the demo's")
    arguments = parser.parse_args()
    setting = _setting(arguments)
    names = [*Setting._fields, "arm", "seed"]
    rows = pd.read_csv(arguments.out) if arguments.out.exists() else pd.DataFrame(columns=names)
    silence()
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    turns = missing(rows, setting, arguments.seeds, arguments.arms)
    if turns:
        ray.init(
            num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level="error"
        )
    for arm, seed in turns:
        made = run(arm, seed, setting, arguments.data_dir)
        rows = pd.concat([rows, pd.DataFrame([made])]) if len(rows) else pd.DataFrame([made])
        rows.to_csv(arguments.out, index=False, float_format="%.5g")
        print(made, flush=True)
    for name, value in setting._asdict().items():
        rows = rows[rows[name] == value]
    print(table(rows[rows["arm"].isin(arguments.arms)]))


if __name__ == "__main__":
    main()
