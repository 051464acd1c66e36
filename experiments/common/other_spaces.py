"""Our search spaces and first guess in the forms that SMAC3 and NePS take."""

from __future__ import annotations

from typing import Any

from experiments.common.task import NotApplicable
from raymimic.advisor.belief.axes import axes_of
from raymimic.advisor.belief.belief import belief_from_practice
from raymimic.advisor.belief.prior import Prior
from raymimic.records import Config
from raymimic.space import Choice, Dimension, FloatRange, IntRange, SearchSpace


def first_guess(space: SearchSpace) -> Config:
    """Give the centre of what published practice believes: our keyless searcher's first trial."""
    return Prior(axes_of(space), belief_from_practice(space)).likeliest()


def labelled(space: SearchSpace, config: Config) -> dict[str, Any]:
    """Give a configuration with categories as texts."""
    return {
        name: d.labels[d.index(config[name])] if _nominal(d) else config[name]
        for name, d in space.dimensions.items()
    }


def from_labels(space: SearchSpace, texts: dict[str, Any]) -> Config:
    """Give the configuration that `labelled` turned into texts."""
    return {
        name: d.values[d.labels.index(str(texts[name]))] if _nominal(d) else texts[name]
        for name, d in space.dimensions.items()
    }


def _nominal(dimension: Dimension) -> bool:
    return isinstance(dimension, Choice)


def configspace_of(name: str, dimension: Dimension) -> Any:
    """Give SMAC3's form of a dimension; raises `NotApplicable`."""
    import ConfigSpace

    if isinstance(dimension, FloatRange | IntRange):
        number = ConfigSpace.Float if isinstance(dimension, FloatRange) else ConfigSpace.Integer
        return number(name, (dimension.low, dimension.high), log=dimension.log)
    if isinstance(dimension, Choice):
        return ConfigSpace.Categorical(name, list(dimension.labels), ordered=dimension.ordered)
    raise NotApplicable(f"no such dimension for SMAC3: {dimension}")


def neps_of(dimension: Dimension, guess: Any) -> Any:
    """Give NePS's form of a dimension, told the guess as its prior; raises `NotApplicable`."""
    from neps.space.parameters import HPOCategorical, HPOFloat, HPOInteger

    told = {"prior": guess, "prior_confidence": "medium"}
    if isinstance(dimension, FloatRange | IntRange):
        number = HPOFloat if isinstance(dimension, FloatRange) else HPOInteger
        return number(dimension.low, dimension.high, log=dimension.log, **told)
    if isinstance(dimension, Choice):
        return HPOCategorical(list(dimension.labels), **told)
    raise NotApplicable(f"no such dimension for NePS: {dimension}")
