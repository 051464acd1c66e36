"""What real Tune adds: short function trials under several searchers in turn, on a local Ray."""

from __future__ import annotations

import json
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.fake_tune import SPACE
from experiments.scale.meter import Row, load
from experiments.scale.world import METRIC, MODE

os.environ |= {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}

import optuna
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch

from raymimic import LLMScheduler, LLMSearcher

_HOOKS = ("suggest", "next_trial", "on_trial_add", "on_trial_result", "on_trial_complete")
CONCURRENT = 4

Arm = Callable[[int, str], tuple[Any, Any]]


def _ours(seed: int, folder: str) -> tuple[Any, Any]:
    searcher = LLMSearcher(llm="none", seed=seed, ledger=f"{folder}/{seed}.jsonl")
    return searcher, LLMScheduler(searcher=searcher)


def _ours_alone(seed: int, folder: str) -> tuple[Any, Any]:
    return LLMSearcher(llm="none", seed=seed, ledger=f"{folder}/{seed}.jsonl"), FIFOScheduler()


def _optuna(seed: int, _: str) -> tuple[Any, Any]:
    return OptunaSearch(seed=seed), ASHAScheduler()


def _optuna_alone(seed: int, _: str) -> tuple[Any, Any]:
    return OptunaSearch(seed=seed), FIFOScheduler()


def _random(seed: int, _: str) -> tuple[Any, Any]:
    return BasicVariantGenerator(max_concurrent=CONCURRENT, random_state=seed), FIFOScheduler()


ARMS: dict[str, Arm] = {
    "LLMSearcher(llm='none')": _ours_alone,
    "OptunaSearch": _optuna_alone,
    "LLMSearcher(llm='none') + LLMScheduler": _ours,
    "OptunaSearch + ASHA": _optuna,
    "random (BasicVariantGenerator)": _random,
}


def train(config: dict[str, Any]) -> None:
    """A training that takes no time."""
    rng = random.Random(config["lr"])
    for epoch in range(1, config["epochs"] + 1):
        tune.report({METRIC: config["dropout"] + 1 / epoch + rng.gauss(0, 0.01)})


class Spent:
    """CPU and wall seconds inside the searcher's and the scheduler's hooks."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0
        self.results = 0
        self._inside = False

    def wrap(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """The hook, timed; one that another calls counts once."""

        def timed(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return hook(*arguments, **named)
            self._inside = True
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return hook(*arguments, **named)
            finally:
                self.cpu += time.thread_time() - cpu
                self.wall += time.perf_counter() - wall
                self._inside = False

        return timed


@contextmanager
def _timed(*objects: Any) -> Iterator[Spent]:
    """Time the hooks of the objects' classes for a while."""
    spent, before = Spent(), []
    for owner in {type(one) for one in objects}:
        for name in _HOOKS:
            hook = getattr(owner, name, None)
            if hook is not None:
                before.append((owner, name, owner.__dict__.get(name)))
                setattr(owner, name, spent.wrap(hook))
    try:
        yield spent
    finally:
        for owner, name, own in before:
            delattr(owner, name) if own is None else setattr(owner, name, own)


class Results(tune.Callback):
    """Counts the results that the controller handled."""

    def __init__(self) -> None:
        self.count = 0

    def on_trial_result(self, **_: Any) -> None:
        """One more."""
        self.count += 1


def _run(name: str, seed: int, trials: int, epochs: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        searcher, scheduler = ARMS[name](seed, folder)
        counted = Results()
        limit = (
            {}
            if isinstance(searcher, BasicVariantGenerator)
            else {"max_concurrent_trials": CONCURRENT}
        )
        with _timed(searcher, scheduler) as spent:
            tuner = tune.Tuner(
                tune.with_resources(train, {"cpu": 1}),
                param_space={**SPACE, "epochs": epochs},
                tune_config=tune.TuneConfig(
                    metric=METRIC, mode=MODE, num_samples=trials, search_alg=searcher,
                    scheduler=scheduler, reuse_actors=True, **limit,
                ),
                run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[counted]),
            )  # fmt: skip
            wall, cpu, driver = time.perf_counter(), time.thread_time(), time.process_time()
            tuner.fit()
            cpu, driver = time.thread_time() - cpu, time.process_time() - driver
            wall = time.perf_counter() - wall
    results = max(1, counted.count)
    return {
        "arm": name, "seed": seed, "trials": trials, "epochs": epochs,
        "results": counted.count, "wall_s": wall,
        "controller_cpu_ms_per_result": 1e3 * cpu / results,
        "hooks_cpu_ms_per_result": 1e3 * spent.cpu / results,
        "hooks_wall_ms_per_result": 1e3 * spent.wall / results,
        "driver_cpu_s": driver, "load": load(),
    }  # fmt: skip


def side_by_side(trials: int, epochs: int, repeats: int, record: Path) -> list[Row]:
    """All arms in turn, ``repeats`` times; the first run of each arm is for warming up.

    Each run is written to ``record`` at once; those of this size that are there are not run again.
    """
    rows = json.loads(record.read_text()) if record.exists() else []
    rows = [row for row in rows if (row["trials"], row.get("epochs")) == (trials, epochs)]
    there = {(row["arm"], row["seed"]) for row in rows}
    due = [(name, seed) for seed in range(1, repeats + 1) for name in ARMS]
    due = [run for run in due if run not in there]
    if not due:
        return rows
    ray.init(num_cpus=CONCURRENT, include_dashboard=False, log_to_driver=False, address="local")
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        for name in dict.fromkeys(name for name, _ in due):
            _run(name, 0, 8, 2)
        for name, seed in due:
            rows.append(_run(name, seed, trials, epochs))
            record.write_text(json.dumps(rows, indent=1) + "\n")
            seconds, busy = rows[-1]["wall_s"], rows[-1]["load"]
            print(f"{name} {seed}: {seconds:.1f} s, load {busy:.1f}", flush=True)
    finally:
        ray.shutdown()
    return rows


def table(rows: list[Row]) -> str:
    """Medians and ranges by arm."""
    lines = [
        "| arm | wall s | results | controller CPU ms a result | of it hooks | hooks, wall ms "
        "| driver CPU s | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in ARMS:
        own = [row for row in rows if row["arm"] == name]
        cells = [
            _spread(own, key, digits)
            for key, digits in (
                ("wall_s", 1), ("results", 0), ("controller_cpu_ms_per_result", 2),
                ("hooks_cpu_ms_per_result", 3), ("hooks_wall_ms_per_result", 3),
                ("driver_cpu_s", 1), ("load", 1),
            )
        ]  # fmt: skip
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(rows: list[Row], key: str, digits: int) -> str:
    values = [row[key] for row in rows]
    median, low, high = float(np.median(values)), min(values), max(values)
    return f"{median:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
