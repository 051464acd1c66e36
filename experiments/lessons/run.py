"""What lessons of one search are worth to the next: tables of one family, each learnt from another.

    python -m experiments.lessons.run --tables DIR --seeds 20 --out experiments/lessons/results

For every ordered pair of tables of a family and every seed: a search of 50 trials on the first
writes its lessons, a search of 20 trials on the second starts from them. Beside it, the same search
without lessons, with those of another search on the same table, and with harmful ones, whose best
configurations are the table's worst. Everything goes through `LLMSearcher` as Tune drives it
(`../head_to_head/replay.py`). The families: HPOBench's MLP on five data sets, HPOLib's network on
three, TaskSet's RNNs on eight text tasks in very wide ranges; the first and the last also nameless,
with their parameters called x1, x2, ... Writes results.csv and table.md into --out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.common import tables
from experiments.common.replay import Replay
from raymimic import HeuristicAdvisor, LLMSearcher

BUDGETS = (1, 3, 5, 10, 20)
LEARNT_FROM = 50
HPOBENCH = ("hb_car", "hb_vehicle", "hb_segment", "hb_australian", "hb_blood")
HPOLIB = tuple(name for name in tables.SOURCES if name.startswith("hl_"))
TASKSET = tuple(name for name in tables.SOURCES if name.startswith("ts_"))


class Nameless:
    """A task whose parameters are called x1, x2, ..., as where names say nothing."""

    def __init__(self, task: tables.TableTask) -> None:
        self._task = task
        self._names = {f"x{i}": name for i, name in enumerate(task.param_space(), start=1)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def _named(self, config: dict[str, Any]) -> dict[str, Any]:
        return {name: config[x] for x, name in self._names.items()}

    def param_space(self) -> dict[str, Any]:
        domains = self._task.param_space()
        return {x: domains[name] for x, name in self._names.items()}

    def train(self, config: dict[str, Any], seed: int, trial: int) -> Iterator[dict[str, float]]:
        return self._task.train(self._named(config), seed, trial)

    def train_seconds(self, config: dict[str, Any], seed: int) -> list[float]:
        return self._task.train_seconds(config, seed)

    def value(self, config: dict[str, Any]) -> float:
        return self._task.value(self._named(config))

    def regret(self, config: dict[str, Any]) -> float:
        return self._task.regret(self._named(config))

    def test(self, config: dict[str, Any]) -> float:
        return self._task.test(self._named(config))

    def worst(self, n: int) -> list[dict[str, Any]]:
        worst = self._task.worst(n)
        return [{x: config[name] for x, name in self._names.items()} for config in worst]


def search(
    task: Any, seed: int, trials: int, lessons: str | None = None
) -> tuple[list[dict[str, Any]], str]:
    """Run one search; return the record's rows and what the search learnt."""
    with tempfile.TemporaryDirectory() as folder:
        searcher = LLMSearcher(
            llm=HeuristicAdvisor(seed),
            seed=seed,
            lessons=lessons,
            ledger=str(Path(folder) / "ledger.jsonl"),
        )
        rows = Replay(task, searcher, method="", seed=seed, trials=trials).run()
        learnt = Path(folder) / "lessons.md"
        searcher.write_lessons(learnt)
        return rows, learnt.read_text()


def regrets(rows: list[dict[str, Any]], mode: str) -> dict[str, float]:
    """True regret of the trial with the best score so far; 1, the table's median, before any."""
    found: dict[str, float] = {}
    best, regret = math.inf, 1.0
    for count, row in enumerate(rows, start=1):
        cost = row["score"] if mode == "min" else -row["score"]
        if math.isfinite(cost) and cost < best:
            best, regret = cost, row["regret"]
        if count in BUDGETS:
            found[f"@{count}"] = regret
    return found


def harmful(lessons: str, task: Any) -> str:
    """The same lessons, but their best configurations are the worst ones of ``task``."""
    head, title, rest = lessons.partition("## Best configurations\n\n")
    tail = rest.partition("\n\n")[2]
    worst = "\n".join(f"- {i}: {json.dumps(config)}" for i, config in enumerate(task.worst(5)))
    return f"{head}{title}{worst}\n\n{tail}"


def study(group: str, tasks: dict[str, Any], seeds: int) -> Iterator[dict[str, Any]]:
    """All runs of one family."""
    for seed in range(seeds):
        learnt = {n: search(task, 1000 + seed, LEARNT_FROM)[1] for n, task in tasks.items()}
        for target, task in tasks.items():
            sources = {name: text for name, text in learnt.items() if name != target}
            runs: dict[tuple[str, str], str | None] = {("", "without"): None}
            runs |= {(name, "with"): text for name, text in sources.items()}
            runs[target, "same table"] = learnt[target]
            runs["", "harmful"] = harmful(next(iter(sources.values())), task)
            for (source, lessons), text in runs.items():
                rows, _ = search(task, seed, max(BUDGETS), text)
                case = {"group": group, "target": target, "source": source, "lessons": lessons}
                yield {**case, "seed": seed, **regrets(rows, task.mode)}
        print(f"{group}: seed {seed} of {seeds}", file=sys.stderr, flush=True)


def table(results: pd.DataFrame, seeds: int) -> str:
    """Mean regret by family; the change is paired by target and seed, a unit of the interval."""
    columns = [f"@{count}" for count in BUDGETS]
    lines = [
        f"Mean normalised regret after k trials (0 the best of the table, 1 its median), "
        f"{seeds} seeds.",
        "",
        f"| tables | lessons | {' | '.join(columns)} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    for group, mine in results.groupby("group", sort=False):
        for lessons in ("without", "with", "same table", "harmful"):
            means = mine[mine["lessons"] == lessons].groupby("target")[columns].mean().mean()
            cells = " | ".join(brief(value) for value in means)
            lines.append(f"| {group} | {lessons} | {cells} |")
        runs = mine.groupby(["lessons", "target", "seed"])[columns].mean()  # over the sources
        change = runs.loc["with"] - runs.loc["without"]
        cells = " | ".join(interval(change[column].to_numpy()) for column in columns)
        lines.append(f"| {group} | with − without [95 %] | {cells} |")
    return "\n".join(lines) + "\n"


def interval(values: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    means = rng.choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{brief(values.mean(), '+')} [{brief(low, '+')}, {brief(high, '+')}]"


def brief(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if abs(value) < 100 else f"{value:{sign}.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.getLogger("raymimic").setLevel(logging.WARNING)
    loaded = {n: tables.load(n, options.tables) for n in (*HPOBENCH, *HPOLIB, *TASKSET)}
    groups: dict[str, dict[str, Any]] = {
        "HPOBench": {name: loaded[name] for name in HPOBENCH},
        "HPOBench, nameless": {name: Nameless(loaded[name]) for name in HPOBENCH},
        "HPOLib": {name: loaded[name] for name in HPOLIB},
        "TaskSet": {name: loaded[name] for name in TASKSET},
        "TaskSet, nameless": {name: Nameless(loaded[name]) for name in TASKSET},
    }
    runs = [study(group, tasks, options.seeds) for group, tasks in groups.items()]
    results = pd.DataFrame(itertools.chain.from_iterable(runs))
    options.out.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.out / "results.csv", index=False, float_format="%.4g")
    text = table(results, options.seeds)
    (options.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
