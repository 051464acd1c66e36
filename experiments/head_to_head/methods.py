"""Every way to search that is compared, by name: what a user of Ray Tune would write.

The same seed means the same random stream for all: with Optuna's samplers the first trials of TPE,
GP and random search are then the same draws.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from experiments.common.replay import Replay, Row
from experiments.common.task import NotApplicable, Task
from experiments.head_to_head import ablations, beliefs, believers, minds
from experiments.head_to_head.one_epoch import OneEpoch, StopAtOnce
from raymimic import LLM, Advisor, HeuristicAdvisor, LLMSearcher, ReplayLLM
from raymimic.advisor import StatisticalAdvisor, choose_advisor
from raymimic.llm import resolve_llm

# A replayed training takes no time: the study waits for a model while a user's trials would run.
_WAIT_S = 900.0

# Stopped trials cost so little that proposing would take longer than the rest of the study.
_ASHA_TRIALS = 10

_GOOD, _MIDDLING = 0.1, 0.25  # errors of a believer, of a range

MakeSearcher = Callable[[Task, int, Path], Searcher]
"""From a task, a seed and the path for a ledger to a fresh searcher."""


@dataclass(frozen=True)
class Method:
    """A searcher, run for a number of whole trials."""

    make: MakeSearcher

    def run(self, name: str, task: Task, seed: int, trials: int, ledger: Path) -> list[Row]:
        """Search once; raises `NotApplicable` where the method makes no sense."""
        searcher = self.make(task, seed, ledger)
        return Replay(task, searcher, method=name, seed=seed, trials=trials).run()


class Asha(Method):
    """The same under Ray's ASHA as it comes; the budget is as many epochs as ``trials`` have."""

    def run(self, name: str, task: Task, seed: int, trials: int, ledger: Path) -> list[Row]:
        _require_epochs(name, task)
        return Replay(
            task,
            self.make(task, seed, ledger),
            method=name,
            seed=seed,
            trials=trials,
            scheduler=ASHAScheduler(max_t=task.epochs),
            max_trials=_ASHA_TRIALS * trials,
        ).run()


class OneEpochFirst(Method):
    """The searcher's configurations screened by one epoch; the budget is counted in epochs."""

    def run(self, name: str, task: Task, seed: int, trials: int, ledger: Path) -> list[Row]:
        _require_epochs(name, task)
        searcher, scheduler = self.make(task, seed, ledger), StopAtOnce()
        replay = OneEpoch(
            task, searcher, method=name, seed=seed, trials=trials, scheduler=scheduler
        )
        return replay.run()


def _require_epochs(name: str, task: Task) -> None:
    if task.epochs < 2:
        raise NotApplicable(f"{name} stops trials early, {task.name} has final values only")


MakeLLM = Callable[[Task, int], LLM | Advisor | str]
"""From a task and a seed to what `LLMSearcher` takes as ``llm``."""


def _first(task: Task, default: bool) -> list[dict[str, Any]]:
    return [task.default()] if default else []


def _optuna(
    task: Task, seed: int, ledger: Path, *, sampler: Callable[..., BaseSampler], default: bool
) -> Searcher:
    del ledger
    return OptunaSearch(sampler=sampler(seed=seed), points_to_evaluate=_first(task, default))


def _raymimic(
    task: Task,
    seed: int,
    ledger: Path,
    *,
    llm: MakeLLM | None = None,
    default: bool = False,
    belief: Callable[[Task], dict[str, Any]] | None = None,
) -> Searcher:
    return LLMSearcher(
        llm="none" if llm is None else llm(task, seed),
        belief=None if belief is None else belief(task),
        seed=seed,
        points_to_evaluate=_first(task, default),
        ledger=str(ledger),
        timeout=_WAIT_S,
        patience=_WAIT_S,
    )


def _neuropt(task: Task, seed: int, ledger: Path, *, llm: MakeLLM) -> Searcher:
    """Neuropt's loop around the same model, which answers in its form."""
    from experiments.head_to_head.neuropt import NeuroptSearcher

    del ledger
    return NeuroptSearcher(resolve_llm(llm(task, seed)), seed=seed)


def _ax(task: Task, seed: int, ledger: Path, *, default: bool) -> Searcher:
    del ledger
    try:
        from ax.core.objective import Objective
        from ray.tune.search.ax import AxSearch
    except ImportError:
        raise NotApplicable('Ax is not installed: pip install "ax-platform<1.3"') from None
    if not hasattr(Objective, "metric"):
        version = importlib.metadata.version("ax-platform")
        cure = 'pip install "ax-platform<1.3"'
        raise NotApplicable(f"Ray {ray.__version__}'s AxSearch breaks with Ax {version}: {cure}")
    # What AxSearch does not know it hands on to AxClient.
    points = _first(task, default)
    return AxSearch(points_to_evaluate=points, random_seed=seed, verbose_logging=False)


def _outside(task: Task, seed: int, ledger: Path, *, name: str) -> Searcher:
    """A searcher that Ray Tune has no adapter for, told what we believe at first."""
    from experiments.head_to_head import outside

    del ledger
    return {"smac": outside.Smac, "neps-pibo": outside.NepsPibo}[name](task, seed)


def _heuristic(task: Task, seed: int) -> Advisor:
    del task
    return HeuristicAdvisor(seed)


def _statistical(task: Task, seed: int) -> Advisor:
    del task
    return StatisticalAdvisor(seed)


def _real(task: Task, seed: int, *, spec: str) -> LLM | str:
    """A real model, or one that answers as the ledger of this task and seed has it."""
    kind, _, folder = spec.partition(":")
    if kind == "replay":
        return ReplayLLM.from_ledger(ledger_of(Path(folder), task.name, seed))
    return spec


def ledger_of(folder: Path, task: str, seed: int) -> Path:
    """Where a method's ledger of one search lies in the method's ``folder``."""
    return folder / task / f"{seed}.jsonl"


def _ablated(task: Task, seed: int, *, ablation: type[ablations.Ablation]) -> Advisor:
    """The advisor that `LLMSearcher` takes without a model, with changed evidence."""
    return _ablated_model(task, seed, spec="none", ablation=ablation)


def _ablated_model(
    task: Task, seed: int, *, spec: str, ablation: type[ablations.Ablation]
) -> Advisor:
    """A real model's advisor with changed evidence."""
    llm = _real(task, seed, spec=spec)
    return ablation(choose_advisor(llm, seed=seed, timeout=_WAIT_S), seed)


_SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "random": RandomSampler,
    "tpe": TPESampler,
    "tpe3": partial(TPESampler, n_startup_trials=3),
    "gp": GPSampler,
}

_MINDS: dict[str, MakeLLM] = {
    "expert": minds.Expert,
    "hostile": minds.Hostile,
    "lazy": minds.Lazy,
    "mediocre": minds.Mediocre,
    "silent": minds.Silent,
}

_ABLATIONS: dict[str, type[ablations.Ablation]] = {
    "scores": ablations.ScoresOnly,
    "shuffled": ablations.Shuffled,
    "anonymous": ablations.Anonymous,
}

_ADVISORS: dict[str, MakeLLM] = {
    "heuristic": _heuristic,
    "statistical": _statistical,
    "good-belief": partial(believers.believer, error=_GOOD, restates=False),
    "first-belief": partial(believers.believer, error=_MIDDLING, restates=False),
    "restated-belief": partial(believers.believer, error=_MIDDLING, restates=True),
    **{name: partial(_ablated, ablation=ablation) for name, ablation in _ABLATIONS.items()},
}

# Searchers that have a model behind them, which may be any: from its name to the searcher.
_AROUND_MODELS: dict[str, Callable[[str], MakeSearcher]] = {
    "raymimic": lambda spec: partial(_raymimic, llm=partial(_real, spec=spec)),
    "neuropt": lambda spec: partial(_neuropt, llm=partial(_real, spec=spec)),
    **{
        f"raymimic:{name}": lambda spec, ablation=ablation: partial(
            _raymimic, llm=partial(_ablated_model, spec=spec, ablation=ablation)
        )
        for name, ablation in _ABLATIONS.items()
    },
}

_SEARCHERS: dict[str, MakeSearcher] = {
    name + ("+D" if default else ""): partial(make, default=default)
    for name, make in {
        **{name: partial(_optuna, sampler=sampler) for name, sampler in _SAMPLERS.items()},
        "ax": _ax,
        "raymimic": _raymimic,
    }.items()
    for default in (False, True)
}

METHODS: dict[str, Method] = {
    **{name: Method(make) for name, make in _SEARCHERS.items()},
    **{f"{name}+B": Method(partial(_outside, name=name)) for name in ("smac", "neps-pibo")},
    **{f"asha:{name}": Asha(_SEARCHERS[name]) for name in ("random", "tpe", "gp", "raymimic")},
    "one-epoch": OneEpochFirst(_SEARCHERS["random"]),
    **{
        f"raymimic:{name}": Method(partial(_raymimic, llm=make))
        for name, make in (_ADVISORS | _MINDS).items()
    },
    "raymimic:right-belief": Method(partial(_raymimic, belief=beliefs.right)),
    "raymimic:wrong-belief": Method(partial(_raymimic, belief=beliefs.wrong_end)),
    **{f"neuropt:{name}": Method(partial(_neuropt, llm=make)) for name, make in _MINDS.items()},
}


def find(name: str) -> Method:
    """Look a method up; raises ValueError for an unknown one."""
    kind, _, model = name.partition("@")
    if name.startswith("neuropt@replay:"):
        raise ValueError("neuropt's loop keeps no ledger: it can only be run with the model itself")
    if model and kind in _AROUND_MODELS:
        return Method(_AROUND_MODELS[kind](model))
    if name not in METHODS:
        raise ValueError(
            f"{name!r} is no method; choose from {', '.join(METHODS)}, or raymimic@MODEL and "
            "neuropt@MODEL with anthropic:NAME or openai:NAME, or raymimic@replay:FOLDER with "
            "OUT/ledgers/METHOD of an earlier study"
        )
    return METHODS[name]


def names(text: str) -> list[str]:
    """Expand "tpe,gp" or "all" to method names; raises ValueError for an unknown one."""
    if text == "all":
        return list(METHODS)
    wanted = list(dict.fromkeys(text.split(",")))
    for name in wanted:
        find(name)
    return wanted
