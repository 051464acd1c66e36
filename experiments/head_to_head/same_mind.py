"""The same mind in three searches: `LLMSearcher`, the mind alone (`LLMAdvisor`), neuropt's loop.

    python -m experiments.head_to_head.same_mind run --task ts_lstm --seeds 2 --tables DIR --out OUT
    python -m experiments.head_to_head.same_mind show OUT

The mind is whatever answers at OPENAI_BASE_URL. All searches of a task run side by side, each with
one open question, so no arm comes earlier in what a mind remembers; its first question may come in
any order. Nobody is told of the task more than its parameters' names and ranges and the curves.
Each training takes a table's nearest row that its search has not used. The keyless search runs
beside them.
"""

from __future__ import annotations

import argparse
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from ray.tune.search import Searcher

from experiments.common import tables
from experiments.common.distinct import Distinct
from experiments.common.quiet import silence
from experiments.common.replay import Replay
from experiments.head_to_head import record
from experiments.head_to_head.neuropt import NeuroptSearcher
from experiments.head_to_head.runs import Study, read_raw
from raymimic import LLMAdvisor, LLMSearcher, OpenAILLM

_WAIT_S = 3600.0  # a mind may be slow
BATCH, BUDGETS = 4, (5, 10, 20)


def _searcher(llm: object, seed: int, ledger: Path) -> Searcher:
    return LLMSearcher(
        llm=llm, seed=seed, ledger=str(ledger), batch_size=BATCH, timeout=_WAIT_S, patience=_WAIT_S
    )  # type: ignore[arg-type]


ARMS: dict[str, Callable[[int, Path], Searcher]] = {
    "raymimic": lambda seed, ledger: _searcher(OpenAILLM("mind"), seed, ledger),
    "mind alone": lambda seed, ledger: _searcher(
        LLMAdvisor(OpenAILLM("mind"), _WAIT_S), seed, ledger
    ),
    "neuropt": lambda seed, _: NeuroptSearcher(
        OpenAILLM("mind"), seed=seed, deadline=_WAIT_S, batch=BATCH
    ),
    "keyless": lambda seed, ledger: _searcher("none", seed, ledger),
}


def search(task: str, arm: str, seed: int, options: argparse.Namespace) -> None:
    """Run one search and write its record; what is there is not run again."""
    path = record.path_of(options.out, task, arm, seed)
    if path.exists():
        return
    ledger = options.out / "ledgers" / task / f"{arm}_{seed}.jsonl"
    ledger.parent.mkdir(parents=True, exist_ok=True)
    ledger.unlink(missing_ok=True)
    try:
        given = Distinct(tables.load(task, options.tables))
        rows = Replay(
            given, ARMS[arm](seed, ledger), method=arm, seed=seed, trials=options.trials
        ).run()  # type: ignore[arg-type]
        record.write(path, rows, options.trials)
        print(f"{task} {arm} seed {seed} done", flush=True)
    except Exception:  # noqa: BLE001 - one search that breaks must not end the others
        print(f"{task} {arm} seed {seed}\n{traceback.format_exc()}", flush=True)


def run(options: argparse.Namespace) -> None:
    """All searches of a task at once, each in a thread of its own."""
    silence()
    threads = [
        threading.Thread(target=search, args=(options.task, arm, seed, options))
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for arm in ARMS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def show(out: Path) -> str:
    """Regret at 5 / 10 / 20 by task and arm as Markdown, and who proposed the trials."""
    rows = read_raw(out)
    points = Study(rows).points
    points = points[points["budget"].isin(BUDGETS)]
    table = points.pivot_table(index="task", columns=["method", "budget"], values="regret")
    table.loc["mean"] = table.mean()
    names = [arm for arm in ARMS if arm in table.columns.get_level_values(0)]
    lines = ["| task | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for task, cells in table.iterrows():
        shown = [
            " / ".join(f"{cells[arm, budget]:.3f}".removeprefix("0") for budget in BUDGETS)
            for arm in names
        ]
        lines.append(f"| {task} | " + " | ".join(shown) + " |")
    sources = pd.crosstab(rows["method"], rows["source"])
    return "\n".join([*lines, "", sources.to_string()])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("--task", required=True, choices=list(tables.SOURCES))
    runs.add_argument("--seeds", type=int, default=1)
    runs.add_argument("--first-seed", type=int, default=0)
    runs.add_argument("--trials", type=int, default=20)
    runs.add_argument("--tables", type=Path, required=True)
    runs.add_argument("--out", type=Path, required=True)
    shows = commands.add_parser("show")
    shows.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.command == "show":
        print(show(options.out))
    else:
        run(options)


if __name__ == "__main__":
    main()
