"""Two objectives on tables against Optuna's samplers: one search a file, then the tables.

``python -m experiments.objectives.run --tables DIR --out OUT``; a method's file holds, trial by
trial, the share of the true front's volume that is found by then. ``OUT/shares.json`` has those
after 5, 10, 20 and 50 trials.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from experiments.common.estimates import interval
from experiments.common.jobs import Outcome, run_all
from experiments.common.quiet import silence
from experiments.common.record import whole
from experiments.objectives.tasks import APART, SECOND, TwoObjectives
from raymimic import LLMSearcher

AT = (5, 10, 20, 50)
METHODS = ("raymimic", "motpe", "gp", "nsga2", "random")
_SAMPLERS = {
    "motpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "random": optuna.samplers.RandomSampler,
}


class Job(NamedTuple):
    task: str
    method: str
    seed: int
    trials: int
    tables: str
    out: str


@lru_cache
def _task(name: str, tables: Path) -> TwoObjectives:
    """A process's own copy: reading a table takes a second."""
    return TwoObjectives(name, tables)


def searcher_of(job: Job, task: TwoObjectives) -> Searcher:
    """The search; Optuna's samplers but random search are told the default first."""
    table = task.table
    goal: dict[str, Any] = {
        "metric": [table.metric, task.second.name],
        "mode": [table.mode, "min"],
    }
    if job.method == "raymimic":
        ledger = Path(job.out) / "ledgers" / f"{job.task}-{job.seed}.jsonl"
        ledger.unlink(missing_ok=True)
        return LLMSearcher(
            table.param_space(), **goal, llm="none", seed=job.seed, ledger=ledger, patience=900.0
        )
    points = None if job.method == "random" else [table.default()]
    sampler = _SAMPLERS[job.method](seed=job.seed)
    return OptunaSearch(table.param_space(), **goal, sampler=sampler, points_to_evaluate=points)


def shares_of(job: Job) -> list[float]:
    """The share found after each trial of one search."""
    task = _task(job.task, Path(job.tables))
    searcher = searcher_of(job, task)
    rows: list[int] = []
    shares = []
    for number in range(job.trials):
        config = None
        while config is None:
            config = searcher.suggest(f"t{number}")
            time.sleep(0.0 if config else 0.002)
        rows.append(task.table.row(config))
        shares.append(task.share(rows))
        result = task.train(config, job.seed, number)
        if result is None:
            searcher.on_trial_complete(f"t{number}", None, error=True)
        else:
            searcher.on_trial_complete(f"t{number}", {**result, "training_iteration": 1})
    return shares


def work(job: Job) -> Outcome:
    """Run a job whose record is not there yet."""
    began = time.monotonic()
    path = Path(job.out) / "raw" / job.task / job.method / f"{job.seed}.json"
    if not path.exists():
        silence()
        random.seed(job.seed)
        with whole(path) as draft:
            draft.write_text(json.dumps([round(share, 5) for share in shares_of(job)]))
    return Outcome(job[:3], time.monotonic() - began)


def read(out: Path, task: str, method: str, seeds: int, trials: int) -> np.ndarray:
    """One method's shares on a task, seeds x trials."""
    raw = out / "raw" / task / method
    found = [json.loads((raw / f"{seed}.json").read_text()) for seed in range(seeds)]
    return np.array([told[:trials] for told in found])


def table(out: Path, tasks: list[str], methods: list[str], seeds: int, trials: int) -> str:
    """Mean share over tasks and seeds with its 95% interval, and ours less each other's."""
    found = {
        method: np.concatenate([read(out, task, method, seeds, trials) for task in tasks])
        for method in methods
    }
    strata = np.repeat(np.arange(len(tasks)), seeds)
    head, known = f"{', '.join(tasks)} ({seeds} seeds)", [at for at in AT if at <= trials]
    lines = [f"| {head} | " + " | ".join(map(str, known)) + " |", "|---" * (len(known) + 1) + "|"]

    def row(name: str, shares: np.ndarray, form: str) -> str:
        cells = []
        for at in known:
            low, high = interval(shares[:, at - 1], strata, lambda drawn: drawn.mean(axis=-1))
            cells.append(f"{shares[:, at - 1].mean():{form}} [{low:{form}}, {high:{form}}]")
        return f"| {name} | " + " | ".join(cells) + " |"

    lines += [row(method, shares, ".3f") for method, shares in found.items()]
    first = methods[0]
    lines += [
        row(f"{first} less {other}", found[first] - found[other], "+.3f") for other in methods[1:]
    ]
    return "\n".join(lines)


def collect(out: Path) -> None:
    """Put the shares after `AT` trials of all records into one file."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for path in sorted((out / "raw").glob("*/*/*.json")):
        task, method, seed = path.parts[-3], path.parts[-2], path.stem
        told = json.loads(path.read_text())
        shares = [round(told[at - 1], 3) for at in AT if at <= len(told)]
        found.setdefault(task, {}).setdefault(method, {})[seed] = shares
    (out / "shares.json").write_text(json.dumps(found) + "\n")


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, help="folder of the tables")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--tasks", default=",".join(SECOND))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    methods, tasks, out = given.methods.split(","), given.tasks.split(","), Path(given.out)
    jobs = [
        Job(task, method, seed, given.trials, given.tables, given.out)
        for seed in range(given.seeds)
        for method in methods
        for task in tasks
    ]
    good = run_all(jobs, work, given.workers, noun="searches")
    for some in ([task] for task in tasks):
        print(table(out, some, methods, given.seeds, given.trials) + "\n")
    apart = [task for task in tasks if task in APART]
    for some in (apart, tasks):
        if len(some) > 1:
            print(table(out, some, methods, given.seeds, given.trials) + "\n")
    collect(out)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
