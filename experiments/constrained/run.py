"""Searches under a limit that only results tell: one search a file, then the tables.

``python -m experiments.constrained.run --tables DIR --out OUT``; ``OUT/regrets.json`` holds the
regret of the best trial within the limit after 10, 20 and 50 trials of every search.

Methods: ``raymimic`` is given the limit; ``raymimic:fails`` is not, and a trial beyond it fails, as
people do without constraints; ``tpe+D`` is Optuna's TPE with ``constraints_func``, told our default
first. What ran out of memory is told to TPE as the worst loss so far with a violation of 1.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.variant_generator import generate_variants

from experiments.common.estimates import interval
from experiments.common.jobs import Outcome, run_all
from experiments.common.quiet import silence
from experiments.common.record import whole
from experiments.constrained.problems import OUT_OF_MEMORY, Problem, Result
from raymimic import LLMSearcher

AT = (10, 20, 50)
METHODS = ("raymimic", "raymimic:fails", "tpe+D", "random")
TABLES = ("hb_vehicle", "hl_slice", "digits_noisy")
KINDS = ("parameters", "memory")

Train = Callable[[dict[str, Any]], Result]


class Job(NamedTuple):
    table: str
    kind: str
    method: str
    seed: int
    trials: int
    tables: str
    out: str


def ours(job: Job, problem: Problem, train: Train) -> None:
    """The keyless searcher."""
    fails = job.method.endswith(":fails")
    limited = problem.kind == "parameters" and not fails
    ledger = Path(job.out) / "ledgers" / f"{'-'.join(map(str, job[:4]))}.jsonl"
    ledger.unlink(missing_ok=True)
    searcher = LLMSearcher(
        problem.task.param_space(), "loss", "min", llm="none", seed=job.seed, ledger=ledger,
        patience=900.0, constraints={"size": f"<= {problem.limit}"} if limited else (),
    )  # fmt: skip
    for number in range(job.trials):
        name, config = f"t{number}", None
        while config is None:
            config = searcher.suggest(name)
            time.sleep(0.0 if config else 0.002)
        result = train(config)
        beyond = result.size > problem.limit
        if result.loss is None or (fails and beyond):
            searcher.on_trial_complete(name, None, error=True)
            if problem.kind == "memory" and beyond and not fails:
                searcher.note_error(name, OUT_OF_MEMORY)
        else:
            told = {"loss": result.loss, "size": result.size, "training_iteration": 1}
            searcher.on_trial_complete(name, told)


def tpe(job: Job, problem: Problem, train: Train) -> None:
    """Optuna's TPE with its own constraints, told the default first."""
    sampler = optuna.samplers.TPESampler(
        seed=job.seed, constraints_func=lambda trial: (trial.user_attrs["violation"],)
    )
    study = optuna.create_study(sampler=sampler)
    space = OptunaSearch.convert_search_space(problem.task.param_space())
    study.enqueue_trial(problem.task.default())
    worst = 0.0
    for _ in range(job.trials):
        trial = study.ask(space)
        result = train(trial.params)
        if result.loss is not None:
            worst = max(worst, result.loss)
        violation = result.size - problem.limit
        trial.set_user_attr(
            "violation", (1.0 if violation > 0 else -1.0) if problem.kind == "memory" else violation
        )
        study.tell(trial, worst if result.loss is None else result.loss)


def at_random(job: Job, problem: Problem, train: Train) -> None:
    """Tune's random search."""
    state = np.random.RandomState(job.seed)
    for _ in range(job.trials):
        space = {"config": problem.task.param_space()}
        ((_, drawn),) = generate_variants(space, random_state=state)
        train(drawn["config"])


@cache
def _problem(name: str, kind: str, tables: str) -> Problem:
    return Problem(name, kind, Path(tables))


def regrets_of(job: Job) -> list[float]:
    """The regret of the best trial within the limit after each trial; 1 before any."""
    problem = _problem(job.table, job.kind, job.tables)
    best, loss_of_best, found = 1.0, np.inf, []

    def train(config: dict[str, Any]) -> Result:
        nonlocal best, loss_of_best
        result = problem.run(config, job.seed, len(found))
        if result.loss is not None and result.size <= problem.limit and result.loss < loss_of_best:
            best, loss_of_best = problem.regret(config), result.loss
        found.append(best)
        return result

    runner = {"tpe+D": tpe, "random": at_random}.get(job.method, ours)
    runner(job, problem, train)
    return found


def _path(job: Job) -> Path:
    return Path(job.out) / "raw" / job.kind / job.table / job.method / f"{job.seed}.json"


def work(job: Job) -> Outcome:
    """Run a job whose record is not there yet."""
    began, path = time.monotonic(), _path(job)
    if not path.exists():
        silence()
        random.seed(job.seed)
        with whole(path) as draft:
            draft.write_text(json.dumps([float(f"{one:.4g}") for one in regrets_of(job)]))
    return Outcome(job[:4], time.monotonic() - began)


def table(jobs: list[Job], kind: str, methods: list[str]) -> str:
    """Mean regret after so many trials over tables and seeds with its 95% interval, in Markdown."""
    mine = [job for job in jobs if job.kind == kind]
    done = {job[:4]: json.loads(_path(job).read_text()) for job in mine if _path(job).exists()}
    pairs = sorted({(job.table, job.seed) for job in mine})
    paired = [(t, s) for t, s in pairs if all((t, kind, m, s) in done for m in methods)]
    if not paired:
        return f"{kind}: nothing is done with every method"
    found = {m: np.array([done[(t, kind, m, s)] for t, s in paired]) for m in methods}
    shape = ", ".join(f"{t} {sum(one == t for one, _ in paired)}" for t in dict.fromkeys(
        t for t, _ in paired))  # fmt: skip
    lines = [
        f"| {kind} ({shape} seeds) | " + " | ".join(map(str, AT)) + " |",
        "|---" * (len(AT) + 1) + "|",
    ]
    rows = [(m, found[m]) for m in methods]
    rows += [(f"{methods[0]} less {m}", found[methods[0]] - found[m]) for m in methods[1:]]
    for name, regrets in rows:
        cells = []
        for at in AT:
            low, high = interval(
                regrets[:, at - 1], np.ones(len(paired)), lambda drawn: drawn.mean(axis=-1)
            )
            cells.append(f"{regrets[:, at - 1].mean():.3f} [{low:.3f}, {high:.3f}]")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def collect(jobs: list[Job]) -> None:
    """Put the regrets at 10, 20 and 50 trials of all records into one file."""
    found: dict[str, Any] = {}
    for job in jobs:
        if _path(job).exists():
            by = found.setdefault(job.kind, {}).setdefault(job.table, {})
            whole_search = json.loads(_path(job).read_text())
            found_at = [whole_search[at - 1] for at in AT if at <= len(whole_search)]
            by.setdefault(job.method, {})[str(job.seed)] = found_at
    (Path(jobs[0].out) / "regrets.json").write_text(json.dumps(found) + "\n")


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, help="folder of the tables")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--names", default=",".join(TABLES))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    methods = given.methods.split(",")
    jobs = [
        Job(name, kind, method, seed, given.trials, given.tables, given.out)
        for seed in range(given.seeds)
        for kind in given.kinds.split(",")
        for name in given.names.split(",")
        for method in methods
    ]
    good = run_all(jobs, work, given.workers, noun="searches")
    for kind in given.kinds.split(","):
        print(table(jobs, kind, methods) + "\n")
    collect(jobs)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
