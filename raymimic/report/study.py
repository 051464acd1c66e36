"""A run as an Optuna study: for its importances, and for whoever uses Optuna's tools."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from raymimic.report.run import Run, Trial
from raymimic.report.story import story_of
from raymimic.space import Choice, Dimension, FloatRange, IntRange, Normal

_SIGMAS = 6.0  # Optuna knows no normal distribution: an even one this wide holds all draws


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log and its warnings on experimental functions off the screen."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Said of each resample with few trials of a branch: the interval shows the doubt.
            warnings.filterwarnings("ignore", "Some regimes", UserWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def distributions_of(run: Run) -> dict[str, Any]:
    """Return Optuna's distribution of each dimension, wide enough for the values that were tried.

    Categories that Optuna cannot store become JSON text.
    """
    columns = {name: _tried(run, name) for name in run.space.dimensions}
    return {
        name: _distribution(dimension, columns[name])
        for name, dimension in run.space.dimensions.items()
    }


def frozen_trials(run: Run, indices: Iterable[int], *, stories: bool) -> list[Any]:
    """Return the trials as Optuna's; ``stories`` puts source, reason and story into attributes.

    Trials whose configuration does not fit the space are left out.
    """
    known = distributions_of(run)
    return [
        _frozen(run, index, known, stories)
        for index in indices
        if run.trials[index].unit is not None
    ]


def _tried(run: Run, name: str) -> list[float]:
    values = [trial.config.get(name) for trial in run.trials if trial.unit is not None]
    return [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]


def _distribution(dimension: Dimension, tried: list[float]) -> Any:
    from optuna.distributions import CategoricalDistribution as Categories
    from optuna.distributions import FloatDistribution as Floats
    from optuna.distributions import IntDistribution as Ints

    if isinstance(dimension, Choice):
        return Categories(list(dict.fromkeys(map(_category, dimension.shown))))
    if isinstance(dimension, FloatRange):
        # A stepped range that is logarithmic, too, is more than Optuna's can say.
        step = None if dimension.log else dimension.step
        return Floats(dimension.low, dimension.high, log=dimension.log, step=step)
    if isinstance(dimension, IntRange):
        step = 1 if dimension.log else dimension.step
        return Ints(dimension.low, dimension.high, log=dimension.log, step=step)
    assert isinstance(dimension, Normal)
    reach = _SIGMAS * dimension.sd
    low, high = dimension.mean - reach, dimension.mean + reach
    return Floats(min([low, *tried]), max([high, *tried]))


def _category(value: Any) -> Any:
    plain = value is None or isinstance(value, (bool, int, float, str))
    return value if plain else json.dumps(value, ensure_ascii=False)


def _frozen(run: Run, index: int, known: dict[str, Any], stories: bool) -> Any:
    from optuna.trial import FrozenTrial

    trial = run.trials[index]
    assert trial.unit is not None, "the caller leaves out what does not fit the space"
    existing = {
        name: known[name]
        for name, place in zip(run.space.dimensions, trial.unit, strict=True)
        if place is not None
    }
    params = {
        name: _category(trial.config[name])
        if isinstance(run.space.dimensions[name], Choice)
        else trial.config[name]
        for name in existing
    }
    return FrozenTrial(
        number=index,
        trial_id=index,
        state=_state(trial),
        value=trial.score,
        datetime_start=_time(trial.began if trial.began is not None else trial.ended),
        datetime_complete=_time(trial.ended),
        params=params,
        distributions=existing,
        user_attrs=_attributes(run, index) if stories else {},
        system_attrs={},
        intermediate_values=_curve(run, trial) if stories else {},
    )


def _state(trial: Trial) -> Any:
    """Optuna's word; a stopped trial is "pruned" and keeps its value, as Optuna's own do."""
    from optuna.trial import TrialState

    if trial.status == "running":
        return TrialState.RUNNING
    if trial.score is None:
        return TrialState.FAIL
    return TrialState.PRUNED if trial.status == "stopped" else TrialState.COMPLETE


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds)


def _attributes(run: Run, index: int) -> dict[str, Any]:
    trial = run.trials[index]
    return {
        "trial_id": trial.trial_id,
        "source": trial.source,
        "reason": trial.rationale,
        "expected": trial.expected,
        "story": "\n".join(f"{heading}: {text}" for heading, text in story_of(run, index)),
    }


def _curve(run: Run, trial: Trial) -> dict[int, float]:
    if trial.curve is None:
        return {}
    return {epoch: value for epoch, value in trial.curve.reported(run.metric) if value == value}
