"""Invented merges against published ones, on noisy digits.

    python -m experiments.self_developing.run --arm random --out OUT
    python -m experiments.self_developing.run --arm elites --llm openai:MODEL --programs 8 \
        --concurrent 8 --timeout 3000 --out OUT
    python -m experiments.self_developing.run --arm fixed --llm transformers:FOLDER --out OUT
    python -m experiments.self_developing.run --arm dpo --llm transformers:FOLDER --out OUT
    python -m experiments.self_developing.run --show --out OUT

Every arm has the same number of samples. Each seed gives one row: dev and test accuracy of the
base, the plain average, Task Arithmetic and TIES tuned on the dev data, and the best invented
program by dev accuracy, with its accuracy on three experts it never saw (transfer). The test data
are read once, for the 15 best by dev accuracy. A killed run goes on where it was; --replay FOLDER
takes the replies from the ledgers that an earlier run kept there. An iteration's questions are
alike and come --concurrent at a time, so that a mind may answer them side by side.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray import tune

from experiments.common.quiet import silence
from experiments.self_developing.digits import Digits, accuracy, make, scored
from raymimic import ReplayLLM, SelfDevelopingSearch, merge_trainable
from raymimic.invention import Invented, MergeRunner
from raymimic.merging import Average, TaskArithmetic, Ties, merge_states

ARMS = {"random": "none", "elites": "elites", "fixed": "none", "dpo": "dpo"}
_TRANSFER = 1000  # added to a seed: other data, another base, other experts


def published(digits: Digits) -> dict[str, tuple[float, float]]:
    """(dev, test) of what exists; coefficients are chosen on the dev data alone."""
    task = digits.task
    grid = [0.2, 0.4, 0.6, 0.8, 1.0]
    ties = itertools.product((0.1, 0.2, 0.4, 0.6, 0.8), (0.4, 0.7, 1.0, 1.3, 1.6))
    tried: Mapping[str, list[Any]] = {
        "average": [Average()],
        "task arithmetic": [TaskArithmetic(w) for w in itertools.product(grid, repeat=3)],
        "ties": [Ties(density=density, scale=scale) for density, scale in ties],
    }
    found = {
        "base": (accuracy(dict(task.base), digits.dev), accuracy(dict(task.base), digits.test))
    }
    for name, methods in tried.items():
        states = [merge_states(task.base, task.experts, method) for method in methods]
        best = max(states, key=lambda state: accuracy(state, digits.dev))
        found[name] = accuracy(best, digits.dev), accuracy(best, digits.test)
    return found


def invent(options: argparse.Namespace, seed: int, digits: Digits) -> SelfDevelopingSearch:
    """One search of an arm."""
    ledger = options.out / f"{options.arm}_{seed}.jsonl"
    llm: Any = "none" if options.arm == "random" else options.llm
    if options.replay:
        llm = ReplayLLM([])
        if not ledger.exists():
            ledger.write_text(replies(options.replay / ledger.name))
    search = SelfDevelopingSearch(
        digits.task, llm=llm, learn=ARMS[options.arm], iterations=options.iterations,
        programs=options.programs, timeout=options.timeout, seed=seed, ledger=ledger,
    )  # fmt: skip
    score_all(search, digits, options.out, options.concurrent)
    return search


def replies(recorded: Path) -> str:
    """A ledger of the references and the paid calls: whoever takes it up makes the rest again."""
    lines = recorded.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [(json.loads(line), line) for line in lines]
    return "".join(
        line
        for row, line in rows
        if row["event"] in ("invention", "call")
        or (row["event"] == "program" and row["sample"] is None)
    )


def score_all(search: SelfDevelopingSearch, digits: Digits, out: Path, concurrent: int = 2) -> None:
    """Let Ray Tune score whatever a search invents; what is asked ahead is ``concurrent``."""
    tune.Tuner(
        merge_trainable(digits.task, tune_scored(digits)),
        tune_config=tune.TuneConfig(
            metric="score", mode="max", search_alg=search, num_samples=-1,
            max_concurrent_trials=concurrent, reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str((out / "runs").resolve()), verbose=0),
    ).fit()  # fmt: skip


def tune_scored(digits: Digits) -> Any:
    """The dev score as a function that a trial's process can take along."""
    dev = digits.dev
    return lambda state: scored(state, dev)


def transfer(best: Invented, seed: int) -> dict[str, float]:
    """The chosen program, the plain average and the base on models that no program has met."""
    other = make(seed + _TRANSFER)
    runner = MergeRunner(other.task)
    average = merge_states(other.task.base, other.task.experts, Average())
    try:
        states = {"invented": runner.apply(best.source), "average": average}
    finally:
        runner.close()
    states["base"] = dict(other.task.base)
    return {name: accuracy(state, other.test) for name, state in states.items()}


def one_seed(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    digits = make(seed)
    search = invent(options, seed, digits)
    state, best = search.invention.state, search.best()
    assert best is not None
    tested = search.test(lambda merged: accuracy(merged, digits.test))
    search.write_results(options.out / f"{options.arm}_{seed}")
    made = [one for one in state.programs.values() if one.iteration]
    return {
        "arm": options.arm, "seed": seed, "published": published(digits),
        "dev": best.score, "test": tested[best.number], "origin": best.origin,
        "tested": [[one.score, tested[one.number]] for one in state.best(15)],
        "rationale": best.rationale, "transfer": transfer(best, seed),
        "samples": len(state.ended), "valid": len(made),
        "ran": sum(one.status == "done" for one in made), "rejected": dict(state.rejected),
        "yield": [
            sum(one.iteration == t for one in made) / max(1, state.made(t))
            for t in range(1, options.iterations + 1)
        ],
        "learnt": {t: row.get("margin_last") for t, row in state.learnt.items()},
        "tokens": state.spent.tokens,
    }  # fmt: skip


def show(out: Path) -> str:
    """Test accuracy by seed and method as Markdown, the mean last."""
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    lines = [
        "| | "
        + " | ".join(f"seed {seed}" for seed in sorted({r["seed"] for r in rows}))
        + " | mean |"
    ]
    lines.append("|---|" + "---|" * (lines[0].count("|") - 2))
    first = {row["seed"]: row for row in rows}
    table = {
        name: [first[seed]["published"][name][1] for seed in sorted(first)]
        for name in ("base", "average", "task arithmetic", "ties")
    }
    for arm in dict.fromkeys(row["arm"] for row in rows):
        table[arm] = [row["test"] for row in rows if row["arm"] == arm]
    for name, values in table.items():
        cells = [f"{value:.3f}" for value in [*values, float(np.mean(values))]]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arm", choices=list(ARMS), default="random")
    parser.add_argument("--llm", default="auto")
    parser.add_argument("--replay", type=Path, help="folder with the ledgers of an earlier arm")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--programs", type=int, default=16)
    parser.add_argument("--concurrent", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    if options.show:
        print(show(options.out))
        return
    silence()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    rows = options.out / "rows.jsonl"
    for seed in map(int, options.seeds.split(",")):
        if rows.exists() and f'"arm": "{options.arm}", "seed": {seed},' in rows.read_text():
            continue
        row = one_seed(options, seed)
        with open(rows, "a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    print(show(options.out))


if __name__ == "__main__":
    main()
