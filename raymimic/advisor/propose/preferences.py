"""A user's leaning in a word or two as a belief: "small", "around 3e-4", "adam"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from raymimic.advisor.belief.axes import axes_of
from raymimic.advisor.belief.belief import FAVOUR, belief_from_practice
from raymimic.advisor.belief.prior import Prior
from raymimic.advisor.belief.reading import USER
from raymimic.records import Belief, Config, Leaning, Place
from raymimic.space import Choice, SearchSpace

_SIDES = {-1: (0.0, 0.2, 0.4), 1: (0.6, 0.8, 1.0)}
"""Low end, centre and high end, in unit coordinates, of where "small" and "large" lie."""

_AROUND = {"linear": 0.15, "log": 0.5, "log distance to 1": 0.5}
"""Standard deviation of "around": half a decade, or this share of a linear range."""

_DEPTHS, _WIDTHS = ("depth", "tree_depth"), ("width", "num_leaves")


def sizes(space: SearchSpace, word: str) -> list[str]:
    """The parameters that say how large a model is, in the sense of "small", "deep", "wide"..."""
    roles: tuple[str, ...] = (*_DEPTHS, *_WIDTHS, "n_estimators")
    roles = _DEPTHS if word.startswith(("deep", "shallow")) else roles
    roles = _WIDTHS if word.startswith(("wide", "narrow")) else roles
    return [axis.name for axis in axes_of(space) if axis.role in roles and axis.ordered]


def lean_to_side(space: SearchSpace, names: Iterable[str], side: int) -> Belief:
    """Believe the optimum in the lower (-1) or upper (1) part of these parameters' ranges."""
    wanted = set(names)
    places: dict[str, tuple[Place, ...]] = {}
    for axis in axes_of(space):
        if axis.name in wanted and axis.ordered:
            low, centre, high = (float(axis.bent(float(axis.at(u)))) for u in _SIDES[side])
            width = max((high - low) / 2, 1e-9)
            at = float(axis.straight(centre))
            places[axis.name] = (Place(at, width, axis.scale, USER),)
    return Belief(places)


def lean_to_number(space: SearchSpace, name: str, number: float) -> Belief:
    """Believe the optimum around a number of an ordered parameter."""
    (axis,) = (axis for axis in axes_of(space) if axis.name == name)
    width = _AROUND[axis.scale]
    if axis.scale == "linear":
        low, high = (float(axis.at(u)) for u in (0.0, 1.0))
        width *= max(high - low, 1e-9)
    return Belief({name: (Place(number, width, axis.scale, USER),)})


def lean_to_values(space: SearchSpace, name: str, values: Sequence[Any]) -> Belief:
    """Believe these values of a choice to be better than its others."""
    choice = space.dimensions[name]
    assert isinstance(choice, Choice)
    liked = {choice.labels[choice.index(value)] for value in values}
    weights = {label: FAVOUR**2 if label in liked else 1.0 for label in choice.labels}
    return Belief(leanings={name: Leaning(weights, USER)})


def filled(space: SearchSpace, given: Config) -> Config:
    """A configuration around the values given: the others as published practice has them."""
    return Prior(axes_of(space), belief_from_practice(space)).likeliest(given)
