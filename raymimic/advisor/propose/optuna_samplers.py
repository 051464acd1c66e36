"""The statistical proposer: Optuna's samplers, told everything that is known at every call."""

from __future__ import annotations

import importlib.util
import math
import random
import threading
import warnings
from typing import Any

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.propose.objective_values import kept, told
from raymimic.advisor.propose.random import stream
from raymimic.records import Advice, Config, Proposal
from raymimic.space import Choice, Dimension, IntRange, SearchSpace
from raymimic.summary import show

STARTUP = 4
"""Results before a model of them is worth more than a draw."""

_GUIDES = ("llm", "heuristic")

_GP_TRIALS = 200
"""A Gaussian process takes time with the cube of the trials; beyond so many, TPE takes over."""

_GP_PENDING = 48
"""Nor is there time for it where more configurations run, wait or are wanted: each takes seconds,
and they are used up faster. TPE then looks at fewer trials and pending ones, too."""

_TPE_TRIALS = 1000
_TPE_TRIALS_HURRIED = 250
_PENDING_HURRIED = 50
_FEW = 16
"""Whole numbers with more values than this are as good as continuous, and much faster to search."""

_SAME = 0.01
_SHOWN = 3
"""A reason names so many of the differences that are larger than this in unit coordinates."""

_REPEATS = 3
"""A sampler may repeat what is known; it is asked again so often."""

_DRAWS = 50
"""Draws before a random configuration may repeat one: only a nearly used-up space needs many."""


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
        if _informative(evidence) < STARTUP:
            why = f"drawn at random: a model of the scores needs {STARTUP} results"
            return _as_advice([(config, why) for config in _drawn(evidence, n, rng)])
        with _QUIET:
            study, how = _study(evidence, n, rng.randrange(2**31))
            asked = _asked(study, evidence, n)
        best = next(iter(evidence.ranked()), None)
        found = [(config, how + _changes(evidence, best, config)) for config in asked]
        rest = _drawn(evidence.with_pending(asked), n - len(asked), rng)
        why = "drawn at random: the samplers repeat what is known"
        return _as_advice(found + [(config, why) for config in rest])


def _informative(evidence: SearchEvidence) -> int:
    """Count the results that a model can start from: not those of a guide that lost to every draw.

    A guide that names one bad corner after the other tells only where not to look.
    """
    values = list(zip(evidence.trials, told(evidence), strict=True))
    others = [value for trial, value in values if trial.source not in _GUIDES]
    worst = max(others, default=math.inf)
    return len(others) + sum(trial.source in _GUIDES and value < worst for trial, value in values)


def _as_advice(found: list[tuple[Config, str]]) -> Advice:
    return Advice(tuple(Proposal(config, why, source="statistical") for config, why in found))


def gp_available() -> bool:
    """Whether Optuna's Gaussian process can run: it computes with torch and scipy."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "scipy"))


class _Quiet:
    """Hides what Optuna says of its own samplers and studies; the user's own studies speak again.

    For several threads at once: the first to enter hushes, the last to leave gives back what it
    found. Each on its own would give back the silence of another, for good.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._level, self._warnings = 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        import optuna  # heavy: only where a proposal is wanted, on the background thread

        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._level, self._warnings = (
                    optuna.logging.get_verbosity(),
                    warnings.catch_warnings(),
                )
                optuna.logging.set_verbosity(optuna.logging.ERROR)
                self._warnings.__enter__()
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)

    def __exit__(self, *raised: object) -> None:
        import optuna

        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._warnings.__exit__(None, None, None)
                optuna.logging.set_verbosity(self._level)


_QUIET = _Quiet()


def _study(evidence: SearchEvidence, n: int, seed: int) -> tuple[Any, str]:
    """Give an in-memory study that knows the trials, and how it will choose in words."""
    import optuna

    values, pending = told(evidence), evidence.pending
    hurried = len(pending) + n > _GP_PENDING
    use_gp = gp_available() and len(values) <= _GP_TRIALS and not hurried
    sampler = (
        optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
        if use_gp
        else optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True
        )
    )
    study = optuna.create_study(sampler=sampler)  # values are told so that lower is better
    distributions = distributions_of(evidence.space)
    rows = kept(values, _TPE_TRIALS_HURRIED if hurried else _TPE_TRIALS)
    for row in rows:
        study.add_trial(
            optuna.trial.create_trial(
                params=encoded(evidence.space, evidence.trials[row].config),
                distributions=distributions,
                value=values[row],
            )
        )
    for config in pending[-(_PENDING_HURRIED if hurried else _GP_TRIALS) :]:
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=encoded(evidence.space, config),
                distributions=distributions,
            )
        )
    model = "a Gaussian process" if use_gp else "TPE"
    return study, f"{model} over {len(rows)} results expects most improvement here"


def _changes(evidence: SearchEvidence, best: TrialRecord | None, config: Config) -> str:
    """Say in words what is new against the best trial, the largest differences first."""
    if best is None:
        return ""
    before, after = evidence.space.show(best.config), evidence.space.show(config)
    units = zip(evidence.space.encode(best.config), evidence.space.encode(config), strict=True)
    moves = sorted(
        (-abs(b - a), name)
        for (a, b), name in zip(units, evidence.space.dimensions, strict=True)
        if abs(b - a) > _SAME
    )
    shown = [f"{name} {show(before[name])} -> {show(after[name])}" for _, name in moves[:_SHOWN]]
    more = f" and {len(moves) - _SHOWN} more" if len(moves) > _SHOWN else ""
    return f"; from the best trial {best.trial_id}: {', '.join(shown)}{more}"


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


def _asked(study: Any, evidence: SearchEvidence, n: int) -> list[Config]:
    """Give at most ``n`` new configurations of the sampler; it may repeat what is known."""
    space, distributions = evidence.space, distributions_of(evidence.space)
    taken = {space.key(config) for config in evidence.known}
    found: list[Config] = []
    for _ in range(n + _REPEATS):
        if len(found) == n:
            break
        params = study.ask(distributions).params
        config = {name: _decoded(dim, params[name]) for name, dim in space.dimensions.items()}
        if space.key(config) not in taken:
            taken.add(space.key(config))
            found.append(config)
    return found


def _drawn(evidence: SearchEvidence, n: int, rng: random.Random) -> list[Config]:
    """Draw ``n`` configurations, new as long as some can be found."""
    space = evidence.space
    taken = {space.key(config) for config in evidence.known} if n else set()
    found = []
    for _ in range(n):
        config = space.sample(rng)
        for _ in range(_DRAWS):
            if space.key(config) not in taken:
                break
            config = space.sample(rng)
        taken.add(space.key(config))
        found.append(config)
    return found
