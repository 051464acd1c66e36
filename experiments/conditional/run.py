"""Conditional spaces against Optuna's define-by-run search: one search a file, then the tables.

``python -m experiments.conditional.run --tables DIR --out OUT``; ``OUT/losses.json`` holds every
loss of every search.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.variant_generator import generate_variants

from experiments.common.estimates import interval
from experiments.common.jobs import Outcome, run_all
from experiments.common.quiet import silence
from experiments.common.record import whole
from experiments.conditional.problems import Digits, Nested, Problem, Table
from raymimic import LLMSearcher
from raymimic.advisor.propose import gp, statistical
from raymimic.space import Choice, FloatRange, IntRange
from raymimic.tune.domains import RaySpace

AT = (10, 20, 50)
METHODS = ("raymimic", "raymimic:impute", "tpe", "tpe:group", "random")
PROBLEMS = ("digits", "table", "nested")


class Job(NamedTuple):
    problem: str
    method: str
    seed: int
    trials: int
    tables: str
    out: str


class Imputed(gp.GaussianProcess):
    """The same process with the middle of its range in the place of what does not exist."""

    def _squared(self, a: gp.Floats, b: gp.Floats) -> gp.Floats:
        self._conditional = None
        return super()._squared(np.nan_to_num(a, nan=0.5), np.nan_to_num(b, nan=0.5))


@contextlib.contextmanager
def imputing(yes: bool) -> Iterator[None]:
    """Let the statistical proposer impute, or leave it as it is."""
    mine = statistical.GaussianProcess
    statistical.GaussianProcess = Imputed if yes else mine  # type: ignore[misc]
    try:
        yield
    finally:
        statistical.GaussianProcess = mine  # type: ignore[misc]


def suggest(trial: optuna.Trial, name: str, dimension: Any) -> Any:
    """One of our dimensions in Optuna's words."""
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, list(dimension.values))
    if isinstance(dimension, FloatRange):
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    assert isinstance(dimension, IntRange)
    return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)


def define(space: Any, trial: optuna.Trial) -> None:
    """The space define-by-run: what does not exist is not asked for."""
    config: dict[str, Any] = {}
    for name, dimension in space.dimensions.items():
        if space.exists(name, config):
            config[name] = suggest(trial, name.replace("/", "."), dimension)


def losses_of(job: Job) -> list[float]:
    """The losses of one search, in order."""
    problem: Problem = {
        "digits": Digits,
        "table": partial(Table, folder=Path(job.tables)),
        "nested": Nested,
    }[job.problem](job.seed)
    param_space = problem.param_space()
    ray_space = RaySpace.from_ray(param_space, whole=True)
    if job.method == "random":
        state, losses = np.random.RandomState(job.seed), []
        for _ in range(job.trials):
            ((_, drawn),) = generate_variants({"config": param_space}, random_state=state)
            losses.append(problem.loss(drawn["config"]))
        return losses
    if job.method.startswith("tpe"):
        several = job.method == "tpe:group"
        sampler = optuna.samplers.TPESampler(seed=job.seed, multivariate=several, group=several)
        searcher: Searcher = OptunaSearch(
            partial(define, ray_space.space), metric="loss", mode="min", sampler=sampler
        )
    else:
        ledger = Path(job.out) / "ledgers" / f"{'-'.join(map(str, job[:3]))}.jsonl"
        ledger.unlink(missing_ok=True)
        searcher = LLMSearcher(
            param_space, "loss", "min", llm="none", seed=job.seed, ledger=ledger, patience=900.0
        )
    losses = []
    for number in range(job.trials):
        suggested = None
        while suggested is None:
            suggested = searcher.suggest(f"t{number}")
            time.sleep(0.0 if suggested else 0.002)
        config = suggested
        if job.method.startswith("tpe"):
            flat = {name.replace(".", "/"): value for name, value in suggested.items()}
            config = ray_space.nest(flat)
        losses.append(problem.loss(config))
        searcher.on_trial_complete(f"t{number}", {"loss": losses[-1], "training_iteration": 1})
    return losses


def work(job: Job) -> Outcome:
    """Run a job whose record is not there yet."""
    began = time.monotonic()
    path = Path(job.out) / "raw" / job.problem / job.method / f"{job.seed}.json"
    if not path.exists():
        silence()
        random.seed(job.seed)
        with imputing(job.method.endswith(":impute")), whole(path) as draft:
            losses = losses_of(job)
            draft.write_text(json.dumps([float(f"{loss:.6g}") for loss in losses]))
    return Outcome(job[:3], time.monotonic() - began)


def read(out: Path, problem: str, methods: list[str], seeds: int) -> dict[str, np.ndarray]:
    """Each method's normalised regrets, seeds x trials."""
    raw = out / "raw" / problem
    losses = {
        method: np.array(
            [json.loads((raw / method / f"{seed}.json").read_text()) for seed in range(seeds)]
        )
        for method in methods
    }
    usual = np.median(losses["random"], axis=1, keepdims=True)
    best = np.zeros_like(usual)
    if problem == "digits":  # of each split the best that anybody found
        best = np.min([found.min(axis=1, keepdims=True) for found in losses.values()], axis=0)
    return {
        method: np.minimum.accumulate((found - best) / (usual - best), axis=1)
        for method, found in losses.items()
    }


def collect(out: Path) -> None:
    """Put all records into one file, four digits a loss."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for path in sorted((out / "raw").glob("*/*/*.json")):
        problem, method, seed = path.parts[-3], path.parts[-2], path.stem
        losses = [float(f"{loss:.4g}") for loss in json.loads(path.read_text())]
        found.setdefault(problem, {}).setdefault(method, {})[seed] = losses
    (out / "losses.json").write_text(json.dumps(found) + "\n")


def table(out: Path, problem: str, methods: list[str], seeds: int) -> str:
    """Mean regret after so many trials with its 95% interval, in Markdown."""
    regrets = read(out, problem, methods, seeds)
    lines = [f"| {problem} | " + " | ".join(map(str, AT)) + " |", "|---" * (len(AT) + 1) + "|"]
    ones = np.zeros(seeds)
    for method, found in regrets.items():
        cells = []
        for at in AT:
            low, high = interval(found[:, at - 1], ones, lambda drawn: drawn.mean(axis=-1))
            cells.append(f"{found[:, at - 1].mean():.3f} [{low:.3f}, {high:.3f}]")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    for other in methods[1:]:
        cells = []
        for at in AT:
            less = regrets[methods[0]][:, at - 1] - regrets[other][:, at - 1]
            low, high = interval(less, ones, lambda drawn: drawn.mean(axis=-1))
            cells.append(f"{less.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
        lines.append(f"| {methods[0]} less {other} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, help="folder of the tables")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    methods, problems = given.methods.split(","), given.problems.split(",")
    jobs = [
        Job(problem, method, seed, given.trials, given.tables, given.out)
        for problem in problems
        for seed in range(given.seeds)
        for method in methods
    ]
    good = run_all(jobs, work, given.workers, noun="searches")
    for problem in problems:
        print(table(Path(given.out), problem, methods, given.seeds) + "\n")
    collect(Path(given.out))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
