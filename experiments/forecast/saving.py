"""What stopping trials saves: the same searchers under different schedulers.

    python -m experiments.forecast.saving --tables TABLES --out OUT [--seeds 20] [--samplers random]
    python -m experiments.forecast.saving --pool POOL --out OUT --budgets 5,10 --counts 30

Two kinds of runs, one trial at a time, under the schedulers as a user of Ray Tune would write them:

- timed: the run may spend 50 full trainings' worth of epochs (the last of ``--budgets``). The
  incumbent is the best *finished* trial; regret is (value - best) / (median - best) of the table.
  "match" is how much was spent when the incumbent was as good as that budget without stopping makes
  it (same seed).
- counted: the run has 30 or 100 trials. "spent" is in full trainings; "wrong": the trial that would
  have ended best of all was stopped, as the table knows; "lost" is the regret that this cost.

On TaskSet's tables, or on a pool of real trainings (`pool.py`) that come in a random order.
`LLMScheduler` is told by Tune which of the two it is in, and its numbers were chosen on the tables
named "developed on" alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from optuna.samplers import RandomSampler, TPESampler
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from experiments.common import estimates, tables
from experiments.common.quiet import silence
from experiments.common.replay import Replay, Row
from experiments.common.task import Task
from experiments.forecast import pool
from raymimic import LLMScheduler, LLMSearcher

DEVELOPED_ON = ("ts_gru", "ts_irnn", "ts_lstm_p128", "ts_lstm_avg_p128")
HELD_OUT = ("ts_lstm_e128", "ts_lstm", "ts_vrnn_relu", "ts_vrnn_tanh")
MOST_TRIALS = 1000
ARMS = ("none", "median", "hyperband", "asha3", "asha4", "raymimic")
SAMPLERS = {"random": RandomSampler, "tpe": TPESampler}


class Median(MedianStoppingRule):
    """Tune's rule, which asks the controller for the live trials; a replay has none besides."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        alone = SimpleNamespace(get_live_trials=list)
        return str(super().on_trial_result(tune_controller or alone, trial, result))


def scheduler(arm: str, epochs: int, folder: str) -> TrialScheduler | None:
    """What a user would write; "hyperband" is Tune's asynchronous one with three brackets."""
    if arm == "none":
        return None
    if arm == "median":
        return Median(time_attr="training_iteration", grace_period=1, min_samples_required=3)
    if arm == "hyperband":
        return ASHAScheduler(max_t=epochs, reduction_factor=3, brackets=3)
    if arm.startswith("asha"):
        return ASHAScheduler(max_t=epochs, reduction_factor=int(arm[4:]))
    return LLMScheduler(max_t=epochs, ledger=f"{folder}/stops.jsonl")


def searcher(task: Task, name: str, seed: int, folder: str) -> Searcher:
    """A searcher by name; a pool has its own random order."""
    if isinstance(task, pool.Pool):
        return pool.Shuffled(len(task), seed)
    if name == "raymimic":
        return LLMSearcher(llm="none", seed=seed, ledger=f"{folder}/ledger.jsonl", patience=900)
    return OptunaSearch(sampler=SAMPLERS[name](seed=seed))


def search(
    task: Task, sampler: str, arm: str, seed: int, trials: int, counted: bool
) -> pd.DataFrame:
    """One search, row by row."""
    np.random.seed(seed)  # Tune's brackets are drawn from it
    with tempfile.TemporaryDirectory() as folder:
        rows = Replay(
            task,
            searcher(task, sampler, seed, folder),
            method=arm,
            seed=seed,
            trials=trials,
            scheduler=scheduler(arm, task.epochs, folder),
            max_trials=len(task) if isinstance(task, pool.Pool) else MOST_TRIALS,
            counted=counted,
        ).run()
    frame = pd.DataFrame(rows)
    frame["whole"] = ~frame["stopped"] & frame["score"].notna()
    frame["spent"] = frame["epochs"].cumsum() / task.epochs
    return frame


def timed(frame: pd.DataFrame, budgets: list[int], bar: float) -> Row:
    """Regret at each budget, and what it took to reach ``bar``."""
    whole = frame[frame["whole"]]
    best = whole.loc[whole["score"].cummin() == whole["score"], ["spent", "regret"]]
    found: Row = {}
    for limit in budgets:
        usable = best.loc[best["spent"] <= limit + 1e-9, "regret"]
        found[f"@{limit}"] = usable.iloc[-1] if len(usable) else 1.0
    reached = best.loc[best["regret"] <= bar + 1e-9, "spent"]
    match = reached.iloc[0] if len(reached) else np.inf
    return {**found, "match": match, "trials": len(frame), "spent": frame["spent"].iloc[-1]}


def counted(frame: pd.DataFrame) -> Row:
    """What a number of trials took, and whether the best of them was lost."""
    best = frame["value"].idxmin()
    kept = frame.loc[frame["whole"], "regret"].min()
    return {
        "spent": frame["spent"].iloc[-1],
        "regret": kept,
        "wrong": float(frame.loc[best, "stopped"]),
        "lost": max(0.0, kept - frame.loc[best, "regret"]),
    }


def study(task: Task, sampler: str, seed: int, budgets: list[int], counts: list[int]) -> list[Row]:
    """All runs of one task, searcher and seed."""
    rows, bar = [], np.nan
    for arm in ARMS:
        named = {"task": task.name, "sampler": sampler, "arm": arm, "seed": seed}
        frame = search(task, sampler, arm, seed, max(budgets), counted=False)
        if arm == "none":
            bar = timed(frame, budgets, bar)[f"@{max(budgets)}"]
        rows.append({**named, "run": "timed", **timed(frame, budgets, bar)})
        for count in counts:
            frame = search(task, sampler, arm, seed, count, counted=True)
            rows.append({**named, "run": f"{count} trials", **counted(frame)})
    return rows


def report(frame: pd.DataFrame) -> str:
    """Markdown tables: means over seeds and tables, "match" as a median; differences to ASHA."""
    parts = []
    for run, part in frame.groupby("run", sort=False):
        columns = [name for name in part.columns if name not in ("task", "sampler", "arm", "seed")]
        columns = [name for name in columns if name != "run" and part[name].notna().any()]
        lines = [f"| {' | '.join(['searcher', 'scheduler', *columns])} |"]
        lines.append("|---" * (len(columns) + 2) + "|")
        for (sampler, arm), some in part.groupby(["sampler", "arm"], sort=False):
            cells = [f"{_middle(some[name], name):.3f}" for name in columns]
            lines.append(f"| {sampler} | {arm} | " + " | ".join(cells) + " |")
        parts.append(f"### {run}\n\n" + "\n".join(lines))
    parts.append("### raymimic less ASHA, same searcher, same seeds [95% t]\n\n" + _pairs(frame))
    return "\n\n".join(parts)


def _middle(values: pd.Series, name: str) -> float:
    return float(values.median() if name == "match" else values.mean())


def _pairs(frame: pd.DataFrame) -> str:
    """Paired differences of regret, of the means over a seed's tables."""
    lines = []
    runs = frame[frame["run"] == "timed"]
    for sampler, part in runs.groupby("sampler", sort=False):
        for name in (name for name in part if name.startswith("@")):
            wide = part.pivot_table(index="seed", columns="arm", values=name)
            for other in ("asha3", "asha4"):
                apart = wide["raymimic"] - wide[other]
                low, high = estimates.student(apart.to_numpy())
                text = f"{apart.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
                lines.append(f"- {sampler} {name} against {other}: {text}")
    return "\n".join(lines)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tables", type=Path, help="the folder of the tables")
    source.add_argument("--pool", type=Path, help="the folder of pools of real trainings")
    parser.add_argument("--out", type=Path, required=True, help="where the raw rows go")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tasks", default=",".join(DEVELOPED_ON + HELD_OUT))
    parser.add_argument("--samplers", default="random")
    parser.add_argument("--budgets", type=_numbers, default=[10, 20, 50])
    parser.add_argument("--counts", type=_numbers, default=[30, 100])
    arguments = parser.parse_args()
    silence()
    begun = time.process_time()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    tasks: list[Task] = [*pool.load(arguments.pool)] if arguments.pool else []
    if arguments.tables:
        tasks = [tables.load(name, arguments.tables) for name in arguments.tasks.split(",")]
    for sampler in arguments.samplers.split(","):
        for seed in range(arguments.seeds):
            for task in tasks:
                rows += study(task, sampler, seed, arguments.budgets, arguments.counts)
            frame = pd.DataFrame(rows)  # kept as it grows
            frame.to_csv(arguments.out / "saving.csv", index=False, float_format="%.6g")
            print(f"{sampler}: {seed + 1} of {arguments.seeds} seeds", file=sys.stderr, flush=True)
    parts = []
    real = tuple(task.name for task in tasks if isinstance(task, pool.Pool))
    groups = {"Developed on": DEVELOPED_ON, "Held out": HELD_OUT, "Real trainings": real}
    for title, group in groups.items():
        some = frame[frame["task"].isin(group)]
        if len(some):
            parts += [f"## {title}: {', '.join(some['task'].unique())}", report(some)]
    text = "\n\n".join([f"# What stopping saves: {arguments.seeds} seeds", *parts]) + "\n"
    (arguments.out / "saving.md").write_text(text)
    print(text)
    print(f"({time.process_time() - begun:.0f} CPU seconds)", file=sys.stderr)


if __name__ == "__main__":
    main()
