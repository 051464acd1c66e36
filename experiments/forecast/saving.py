"""What stopping trials saves: the same searchers under different schedulers, on TaskSet's tables.

    python experiments/forecast/saving.py --tables TABLES --out OUT [--seeds 20] [--tasks a,b]

A run may spend 50 full trainings' worth of epochs on at most 500 trials, one at a time, under the
schedulers as a user of Ray Tune would write them. The incumbent is the best *finished* trial; its
regret is (value - best) / (median - best) of the table. A mistake: the trial that would have ended
best of all that were started (or of the first 30) was stopped, as the table knows.
The defaults of `LLMScheduler` were chosen on the tables named "developed on" alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from optuna.samplers import RandomSampler, TPESampler
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "head_to_head"))

import methods
import tables
from replay import Replay

from raymimic import LLMScheduler

BUDGETS = (10, 20, 50)
DEVELOPED_ON = ("ts_gru", "ts_irnn", "ts_lstm_p128", "ts_lstm_avg_p128")
HELD_OUT = ("ts_lstm_e128", "ts_lstm", "ts_vrnn_relu", "ts_vrnn_tanh")
MOST_TRIALS = 500
PRICES = {"raymimic": 0.2, "raymimic .03": 0.03}
ARMS = ("none", "median", "asha3", "asha4", *PRICES)
SAMPLERS = {"random": RandomSampler, "tpe": TPESampler}


class Median(MedianStoppingRule):
    """Tune's rule, which asks the controller for the live trials; a replay has none besides."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        alone = SimpleNamespace(get_live_trials=list)
        return str(super().on_trial_result(tune_controller or alone, trial, result))


def scheduler(arm: str, epochs: int, ledger: str) -> TrialScheduler | None:
    """What a user would write."""
    if arm == "none":
        return None
    if arm == "median":
        return Median(time_attr="training_iteration", grace_period=1, min_samples_required=3)
    if arm.startswith("asha"):
        return ASHAScheduler(max_t=epochs, reduction_factor=int(arm[4:]))
    return LLMScheduler(max_t=epochs, price=PRICES[arm], ledger=ledger)


def run(task: tables.TableTask, sampler: str, arm: str, seed: int, trials: int) -> dict[str, Any]:
    """One search: regret at each budget, mistakes, and what was spent."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Replay(
            task,
            OptunaSearch(sampler=SAMPLERS[sampler](seed=seed)),
            method=arm,
            seed=seed,
            trials=trials,
            scheduler=scheduler(arm, task.epochs, f"{folder}/ledger.jsonl"),
            max_trials=MOST_TRIALS,
        ).run()
    frame = pd.DataFrame(rows)
    whole = ~frame["stopped"] & frame["score"].notna()
    spent = frame["epochs"].cumsum() / task.epochs
    found: dict[str, Any] = {"task": task.name, "sampler": sampler, "arm": arm, "seed": seed}
    for budget in (budget for budget in BUDGETS if budget <= trials):
        usable = frame[whole & (spent <= budget + 1e-9)]
        found[f"@{budget}"] = usable.loc[usable["score"].idxmin(), "regret"] if len(usable) else 1.0
    for name, part in (("wrong of 30", frame.head(30)), ("wrong of all", frame)):
        best = part["value"].idxmin()
        found[name] = float(frame.loc[best, "stopped"])
        if name == "wrong of 30":  # what the mistake cost among these
            kept = part.loc[whole[: len(part)], "regret"].min()
            found["lost"] = max(0.0, kept - part.loc[best, "regret"])
            found["for 30"] = float(spent.iloc[len(part) - 1])
    return {**found, "trials": len(frame), "spent": float(spent.iloc[-1])}


def report(frame: pd.DataFrame) -> str:
    """One Markdown table: means over seeds and tables."""
    columns = [name for name in frame.columns if name not in ("task", "sampler", "arm", "seed")]
    header = " | ".join(["searcher", "scheduler", *columns])
    lines = [f"| {header} |", "|---" * (len(columns) + 2) + "|"]
    for (sampler, arm), part in frame.groupby(["sampler", "arm"], sort=False):
        cells = [f"{part[name].mean():.3f}" for name in columns]
        lines.append(f"| {sampler} | {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--out", type=Path, required=True, help="where the raw rows go")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tasks", default=",".join(DEVELOPED_ON + HELD_OUT))
    parser.add_argument("--samplers", default="random,tpe")
    parser.add_argument("--tpe-trials", type=int, default=50, help="budget of TPE, which is slow")
    arguments = parser.parse_args()
    methods.silence()
    begun = time.process_time()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for sampler in arguments.samplers.split(","):
        trials = arguments.tpe_trials if sampler == "tpe" else max(BUDGETS)
        for name in arguments.tasks.split(","):
            task = tables.load(name, arguments.tables)
            for arm in ARMS:
                for seed in range(arguments.seeds):
                    rows.append(run(task, sampler, arm, seed, trials))
            frame = pd.DataFrame(rows)  # kept as it grows
            frame.to_csv(arguments.out / "saving.csv", index=False, float_format="%.6g")
    parts = []
    for title, group in (("Developed on", DEVELOPED_ON), ("Held out", HELD_OUT)):
        some = frame[frame["task"].isin(group)]
        if len(some):
            parts += [f"## {title}: {', '.join(some['task'].unique())}", report(some)]
    head = f"# What stopping saves: {arguments.seeds} seeds"
    text = "\n\n".join([head, *parts]) + "\n"
    (arguments.out / "saving.md").write_text(text)
    print(text)
    print(f"({time.process_time() - begun:.0f} CPU seconds)", file=sys.stderr)


if __name__ == "__main__":
    main()
