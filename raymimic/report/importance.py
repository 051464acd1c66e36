"""What each parameter did: how much it mattered, and which values did well; each with its doubt."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raymimic.report.run import Run
from raymimic.report.study import frozen_trials, quiet_optuna
from raymimic.space import Choice

FEWEST = 10
"""With fewer scored trials nothing can be said."""

_RESAMPLES = 20
_MOST = 500  # trials a resample: the doubt grows, the time does not
_IN_FRONT = 5  # trials that the better group must hold at least (advice of Optuna's documentation)
_BINS = 6
_INTERVAL = (10, 90)  # percentiles
_SEED = 0


@dataclass(frozen=True)
class Importance:
    """Share of a parameter in what separates the better trials from all: 0 to 1, all sum to 1.

    Median, 10th and 90th percentile over resamples of the trials.
    """

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """Trials alike in one parameter: their median score, and where that may lie (80 %)."""

    label: str
    at: float
    count: int
    median: float
    low: float
    high: float


def importances(run: Run) -> list[Importance]:
    """Return each parameter's importance, the largest first; empty with fewer than `FEWEST` trials.

    By PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023) as Optuna has it, over bootstrap
    resamples of the scored trials; of parameters that do not always exist by conditional PED-ANOVA
    (arXiv 2601.20800, Optuna 5).
    """
    usable = [index for index in run.scored if run.trials[index].unit is not None]
    names = [name for name, dim in run.space.dimensions.items() if dim.size != 1]
    if len(usable) < FEWEST or not names:
        return []
    trials = _all_complete(frozen_trials(run, usable, stories=False))
    rng = random.Random(_SEED)
    rows = []
    with quiet_optuna():
        for _ in range(_RESAMPLES):
            drawn = rng.choices(trials, k=min(len(trials), _MOST))
            rows.append(_shares(drawn, run.mode, names))
    table = np.array([row for row in rows if row is not None], dtype=np.float64)
    if not table.size:
        return []
    low, high = np.percentile(table, _INTERVAL, axis=0)
    found = zip(names, np.median(table, axis=0), low, high, strict=True)
    ranked = [Importance(name, float(mid), float(a), float(b)) for name, mid, a, b in found]
    return sorted(ranked, key=lambda one: -one.share)


def _all_complete(trials: list[Any]) -> list[Any]:
    """A stopped trial tells of its configuration, too: Optuna counts only complete ones."""
    from optuna.trial import TrialState

    for trial in trials:
        trial.state = TrialState.COMPLETE
    return trials


def _shares(trials: Sequence[Any], mode: str, names: Sequence[str]) -> list[float] | None:
    """Importances of one resample that sum to 1; None where nothing separates its trials."""
    import optuna

    quantile = min(0.5, max(0.1, _IN_FRONT / len(trials)))
    ranked = sorted((trial.value for trial in trials), reverse=mode == "max")
    if ranked[math.ceil(quantile * len(ranked)) - 1] == ranked[-1]:
        return None  # the better group would be all of them
    study = optuna.create_study(direction="minimize" if mode == "min" else "maximize")
    study.add_trials(trials)
    judge = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
    tried = {name for trial in trials for name in trial.params}
    found = judge.evaluate(study, params=[name for name in names if name in tried])
    values = [max(0.0, float(found.get(name, 0.0))) for name in names]
    total = sum(values)
    return [value / total for value in values] if total > 0 else None


def groups_of(run: Run, name: str) -> list[Group]:
    """Return the trials in groups by one parameter's value, with the median score of each.

    Trials in which it does not exist are in none.

    Categories are groups as they are; numbers are cut into at most six groups of equal size. The
    doubt is a bootstrap's 80 % interval of the median.
    """
    place = list(run.space.dimensions).index(name)
    dimension = run.space.dimensions[name]
    units, scores = [], []
    for trial in run.trials:
        unit = None if trial.unit is None else trial.unit[place]
        if unit is not None and trial.score is not None:
            units.append(unit)
            scores.append(trial.score)
    if not units:
        return []
    places, score = np.array(units), np.array(scores)
    if isinstance(dimension, Choice) or len(np.unique(places)) <= _BINS:
        parts = [places == value for value in np.unique(places)]
    else:
        edges = np.unique(np.quantile(places, np.linspace(0, 1, _BINS + 1)))
        which = np.clip(np.searchsorted(edges, places, side="right") - 1, 0, len(edges) - 2)
        parts = [which == number for number in np.unique(which)]
    rng = np.random.default_rng(_SEED)
    return [_group(dimension, places[part], score[part], rng) for part in parts]


def _group(dimension: Any, unit: Any, score: Any, rng: np.random.Generator) -> Group:
    draws = rng.integers(0, len(score), size=(200, min(len(score), _MOST)))
    low, high = np.percentile(np.median(score[draws], axis=1), _INTERVAL)
    at = float(np.median(unit))
    ends = [label(dimension, float(edge)) for edge in (unit.min(), unit.max())]
    text = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    return Group(text, at, len(score), float(np.median(score)), float(low), float(high))


def label(dimension: Any, unit: float) -> str:
    """Say the value at a place of a dimension: numbers to three digits."""
    value = dimension.show(dimension.from_unit(unit))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
