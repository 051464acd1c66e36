"""The statistical proposer: Optuna's samplers, told everything that is known at every call."""

from __future__ import annotations

import importlib.util
import logging
import random
import warnings
from typing import Any

from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.random import stream
from raymimic.advisor.told import told
from raymimic.records import Advice, Config, Proposal
from raymimic.space import Choice, Dimension, IntRange, SearchSpace

STARTUP = 4
"""Results before a model of them is worth more than a draw."""

_GP_TRIALS = 200
"""A Gaussian process takes time with the cube of the trials; beyond so many, TPE takes over."""

_TPE_TRIALS = 1000
_FEW = 16
"""Whole numbers with more values than this are as good as continuous, and much faster to search."""

_ASKS = 4
"""A sampler that knows no noise may repeat a configuration: it is asked again so often."""


class StatisticalAdvisor:
    """Bayesian optimisation by Optuna: a Gaussian process (TPE for long histories).

    Sees scores alone: failed trials as a bad finite value, stopped ones as their forecast, running
    ones as pending. Builds a fresh study at each call, so proposals depend on ``seed`` and the
    evidence alone and nothing has to be saved. `GPSampler` needs torch; without it, TPE.
    """

    name = "statistical"
    remote = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose up to ``n`` configurations that are new, if the space allows."""
        if not evidence.space.dimensions:
            return Advice(())
        rng = stream(self.seed, "statistical", evidence)
        space, study, how = evidence.space, None, f"drawn at random: {STARTUP} results come first"
        if len(evidence.trials) >= STARTUP:
            study, how = _study(evidence, rng.randrange(2**31))
        taken = {space.key(config) for config in evidence.known}
        proposals = []
        for _ in range(n):
            config = None if study is None else _ask(study, space, taken)
            why = how if config is not None or study is None else "drawn at random: all else known"
            config = config or _unseen(space, taken, rng)
            taken.add(space.key(config))
            proposals.append(Proposal(config, why, source="statistical"))
        return Advice(tuple(proposals))


def gp_available() -> bool:
    """Whether Optuna's Gaussian process can run: it computes with torch and scipy."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "scipy"))


def _study(evidence: SearchEvidence, seed: int) -> tuple[Any, str]:
    """Give an in-memory study that knows the trials, and how it will choose in words."""
    import optuna  # heavy: only where a proposal is wanted, on the background thread

    optuna.logging.get_logger("optuna").setLevel(logging.WARNING)
    values = told(evidence)
    use_gp = gp_available() and len(values) <= _GP_TRIALS
    keep = _GP_TRIALS if use_gp else _TPE_TRIALS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = (
            optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
            if use_gp
            else optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True
            )
        )
    study = optuna.create_study(sampler=sampler)  # values are told so that lower is better
    distributions = distributions_of(evidence.space)
    for trial, value in list(zip(evidence.trials, values, strict=True))[-keep:]:
        study.add_trial(
            optuna.trial.create_trial(
                params=encoded(evidence.space, trial.config),
                distributions=distributions,
                value=value,
            )
        )
    for config in evidence.pending[-keep:]:
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=encoded(evidence.space, config),
                distributions=distributions,
            )
        )
    model = "a Gaussian process" if use_gp else "TPE"
    return study, f"{model} over {min(keep, len(values))} results expects most improvement here"


def distributions_of(space: SearchSpace) -> dict[str, Any]:
    """Give Optuna's form of each dimension; names are positions, so any name will do."""
    return {name: _distribution(dim) for name, dim in space.dimensions.items()}


def _few(dimension: Dimension) -> bool:
    return isinstance(dimension, IntRange) and dimension.step == 1 and dimension.size <= _FEW


def _distribution(dimension: Dimension) -> Any:
    """Ordered choices and short ranges are whole numbers; the rest are unit coordinates."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dimension, Choice):
        count = len(dimension.values)
        if dimension.ordered:
            return IntDistribution(0, count - 1)
        return CategoricalDistribution(tuple(range(count)))
    if isinstance(dimension, IntRange) and _few(dimension):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(0.0, 1.0)


def encoded(space: SearchSpace, config: Config) -> dict[str, Any]:
    """Give a configuration as parameters of `distributions_of`."""
    return {name: _encoded(dim, config[name]) for name, dim in space.dimensions.items()}


def _encoded(dimension: Dimension, value: Any) -> Any:
    if isinstance(dimension, Choice):
        return dimension.index(value)
    if _few(dimension):
        return value
    return dimension.to_unit(value)


def _decoded(dimension: Dimension, param: Any) -> Any:
    if isinstance(dimension, Choice):
        return dimension.values[param]
    if _few(dimension):
        return param
    return dimension.from_unit(param)


def _ask(study: Any, space: SearchSpace, taken: set[tuple[Any, ...]]) -> Config | None:
    """Give the sampler's next new configuration, None if it repeats what is known."""
    distributions = distributions_of(space)
    for _ in range(_ASKS):
        params = study.ask(distributions).params
        config = {name: _decoded(dim, params[name]) for name, dim in space.dimensions.items()}
        if space.key(config) not in taken:
            return config
    return None


def _unseen(space: SearchSpace, taken: set[tuple[Any, ...]], rng: random.Random) -> Config:
    config = space.sample(rng)
    for _ in range(50):
        if space.key(config) not in taken:
            break
        config = space.sample(rng)
    return config
