"""What programs are worth on fresh seeds: ``python -m experiments.guided_evolution.confirm -h``.

An evolution trains each program once, so the best of forty was lucky. Here the seed program and the
given ones are trained on several seeds of initial weights and batch order that no evolution used.
Validation chooses, by its mean: the best program that has at most the seed's parameters, and the
best that has at most 60% of them. The test set is read for these and the seed alone.

Each training is a line in ``--out``; a file that is there goes on.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.guided_evolution.data import SEEDS, task_of
from experiments.guided_evolution.earned import state_of
from raymimic.errors import CandidateError
from raymimic.evolution import TrainingTask, seed_program
from raymimic.evolution.sandbox.client import Runner
from raymimic.evolution.sealed import seal, unseal
from raymimic.evolution.table import markdown

Row = dict[str, Any]

SEED = "seed"
SMALL_SHARE = 0.6
"""Of the seed's parameters: the study's second bar."""


def sources_of(path: Path) -> dict[str, str]:
    """Programs by name: a Python file, or the front of the evolution in a ledger or recording."""
    if path.suffix == ".py":
        return {"/".join(path.parts[-3:]): path.read_text()}
    front = state_of(path).front()
    return {f"{path.name.partition('.')[0]}/{one.id}": one.source for one in front}


def train(name: str, source: str, task: TrainingTask, runner: Runner) -> Row:
    """One training to its end: the last epoch's numbers and the sealed predictions of the test."""
    row: Row = {"program": name, "seed": task.seed}
    try:
        for epoch in runner.evaluate(source):
            row |= {key: epoch.metrics[key] for key in ("accuracy", "parameters")}
            if epoch.test_predictions is not None:
                row["test_predictions"] = seal(epoch.test_predictions)
    except CandidateError as error:
        return row | {"accuracy": math.nan, "error": f"{error.reason}: {error}"[-500:]}
    return row


def chosen(rows: Sequence[Row]) -> dict[str, str]:
    """The programs that validation chooses for the two bars, by bar; a bar may find none.

    A program that was not trained on as many seeds as the seed program is none of them.
    """
    by_program = _by_program(rows)
    means = {name: _mean(found) for name, found in by_program.items()}
    size = {row["program"]: row.get("parameters", math.inf) for row in rows}
    found = {}
    for bar, most in (("accuracy", size[SEED]), ("size", SMALL_SHARE * size[SEED])):
        able = [
            name
            for name, mean in means.items()
            if name != SEED
            and size[name] <= most
            and mean > -math.inf
            and len(by_program[name]) == len(by_program[SEED])
        ]
        if able:
            found[bar] = max(able, key=lambda name: means[name])
    return found


def report(rows: Sequence[Row], y_test: np.ndarray) -> str:
    """All programs by validation; test for the seed and those chosen."""
    by_program, bars = _by_program(rows), chosen(rows)
    shown = sorted(by_program, key=lambda name: -_mean(by_program[name]))
    cells = []
    for name in shown:
        found = by_program[name]
        accuracies = [row["accuracy"] for row in found]
        read = name == SEED or name in bars.values()
        tested = [
            float((unseal(row["test_predictions"]) == y_test).mean()) for row in found if read
        ]
        cells.append(
            [
                name, f"{found[0].get('parameters', math.nan):,}", len(found), _spread(accuracies),
                _spread(tested) if read else "not read",
                ", ".join(bar for bar, one in bars.items() if one == name),
            ]
        )  # fmt: skip
    return markdown(["program", "parameters", "seeds", "validation", "test", "chosen for"], cells)


def _by_program(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["program"], []).append(row)
    return found


def _mean(rows: Sequence[Row]) -> float:
    """The mean accuracy; of a program that failed once, -inf."""
    mean = float(np.mean([row["accuracy"] for row in rows]))
    return -math.inf if math.isnan(mean) else mean


def _tested(row: Row, y_test: np.ndarray) -> float:
    return float((unseal(row["test_predictions"]) == y_test).mean())


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    deviation = np.std(values, ddof=1) if len(values) > 1 else math.nan
    return f"{np.mean(values):.4f} +- {deviation:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "programs", nargs="*", type=Path, help="Python files, as in best/, or ledgers: their fronts"
    )
    parser.add_argument("--data", choices=SEEDS, default="mnist1d")
    parser.add_argument("--folder", type=Path, help="where CIFAR-10's parquet files lie")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=100, help="the first seed")
    parser.add_argument("--out", type=Path, required=True, help="a file, one line a training")
    options = parser.parse_args()
    sources = {SEED: seed_program(SEEDS[options.data]).source}
    for path in options.programs:
        sources |= sources_of(path)
    rows = [json.loads(line) for line in _lines(options.out)]
    done = {(row["program"], row["seed"]) for row in rows}
    for seed in range(options.first, options.first + options.seeds):
        task, y_test = task_of(options.data, seed, options.folder)
        runner = Runner(task)
        for name, source in sources.items():
            if (name, seed) in done:
                continue
            rows.append(train(name, source, task, runner))
            with options.out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(name, seed, rows[-1]["accuracy"], rows[-1].get("parameters"), flush=True)
        runner.close()
    print(report(rows, y_test))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
