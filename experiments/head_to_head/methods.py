"""Every way to search that is compared, by name: what a user of Ray Tune would write.

The same seed means the same random stream for all: with Optuna's samplers the first trials of TPE,
GP and random search are then the same draws.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from replay import Replay, Row
from task import Task

from raymimic import HeuristicAdvisor, LLMSearcher

MakeSearcher = Callable[[Task, int, Path], Searcher]
"""From a task, a seed and a folder for files to a fresh searcher."""


def silence() -> None:
    """No log lines or warnings of the libraries: thousands of searches would fill pages."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune.search").setLevel(logging.ERROR)
    logging.getLogger("raymimic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Method:
    """A searcher and how its trials are run."""

    make: MakeSearcher

    def run(self, name: str, task: Task, seed: int, trials: int, folder: Path) -> list[Row]:
        """Search once; raises `NotApplicable` where the method makes no sense."""
        searcher = self.make(task, seed, folder)
        return Replay(task, searcher, method=name, seed=seed, trials=trials).run()


def _first(task: Task, default: bool) -> list[dict[str, Any]]:
    return [task.default()] if default else []


def _optuna(
    task: Task, seed: int, folder: Path, *, sampler: Callable[..., BaseSampler], default: bool
) -> Searcher:
    del folder
    return OptunaSearch(sampler=sampler(seed=seed), points_to_evaluate=_first(task, default))


def _raymimic(
    task: Task,
    seed: int,
    folder: Path,
    *,
    llm: Callable[[Task, int], Any] = lambda task, seed: "none",  # noqa: ARG005
    default: bool = False,
) -> Searcher:
    return LLMSearcher(
        llm=llm(task, seed),
        seed=seed,
        points_to_evaluate=_first(task, default),
        ledger=str(folder / "ledger.jsonl"),
    )


_SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "random": RandomSampler,
    "tpe": TPESampler,
    "tpe3": partial(TPESampler, n_startup_trials=3),
    "gp": GPSampler,
}

_SEARCHERS: dict[str, MakeSearcher] = {
    **{name: partial(_optuna, sampler=make, default=False) for name, make in _SAMPLERS.items()},
    **{
        f"{name}+D": partial(_optuna, sampler=make, default=True)
        for name, make in _SAMPLERS.items()
    },
    "raymimic": _raymimic,
    "raymimic+D": partial(_raymimic, default=True),
    "raymimic:heuristic": partial(_raymimic, llm=lambda task, seed: HeuristicAdvisor(seed)),  # noqa: ARG005
}

METHODS: dict[str, Method] = {name: Method(make) for name, make in _SEARCHERS.items()}


def names(text: str) -> list[str]:
    """Expand "tpe,gp" or "all" to method names; raises ValueError for an unknown one."""
    if text == "all":
        return list(METHODS)
    wanted = list(dict.fromkeys(text.split(",")))
    for name in wanted:
        if name not in METHODS:
            raise ValueError(f"{name!r} is no method; choose from {', '.join(METHODS)}")
    return wanted
