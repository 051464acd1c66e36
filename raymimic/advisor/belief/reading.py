"""A belief as the user writes it down, and as a model replies with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raymimic.advisor.belief.axes import Axis, axes_of
from raymimic.advisor.belief.belief import branches_of
from raymimic.advisor.text import object_schema
from raymimic.errors import ConfigError
from raymimic.records import Belief, Leaning, Place
from raymimic.space import Choice, SearchSpace
from raymimic.space.reading import brief, read_number

USER, MODEL = "you", "the model"

_FAULTS_KEPT = 8

_MOST_WEIGHED = 50

_NARROWEST = 1e-3
"""The least width of a model's interval: low and high may be one number."""


def read_belief(raw: Mapping[str, Any], space: SearchSpace, source: str = USER) -> Belief:
    """Give the belief that a user (or a model) wrote down; raises `ConfigError` with all faults.

    For a number ``(centre, width)``: the width is one standard deviation, in decades where the
    parameter is searched on a logarithmic scale (1.0: a factor of ten either way; for decay rates
    such as Adam's betas, of the distance to 1), else in the parameter's own unit. For a choice of
    categories ``{category: weight}`` or the favourite alone. An ordered list of numbers counts as a
    number.

    >>> from raymimic.space import FloatRange
    >>> space = SearchSpace({"lr": FloatRange(1e-5, 1.0, log=True)})
    >>> read_belief({"lr": (3e-4, 1.0)}, space).places["lr"]
    (Place(centre=0.0003, width=1.0, scale='log', source='you', given=None),)
    """
    if not isinstance(raw, Mapping):
        raise ConfigError([f"a belief must be an object with keys, got {brief(raw)}"])
    axes = {axis.name: axis for axis in axes_of(space)}
    places: dict[str, tuple[Place, ...]] = {}
    leanings: dict[str, Leaning] = {}
    faults = []
    for name, said in raw.items():
        axis = axes.get(name)
        try:
            if axis is None:
                known = ", ".join(axes)
                raise ConfigError([f"is no parameter of the space; there are {known}"])
            if axis.ordered:
                places[name] = (_said_place(axis, said, source),)
            else:
                leanings[name] = _said_leaning(axis, said, source)
        except ConfigError as error:
            faults += [f"belief in {brief(name)}: {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    return Belief(places, leanings)


def _said_place(axis: Axis, said: Any, source: str) -> Place:
    if not isinstance(said, Sequence) or isinstance(said, str) or len(said) != 2:
        raise ConfigError([f"must be (centre, width), got {brief(said)}"])
    (centre, _), (width, _) = read_number(said[0]), read_number(said[1])
    low, high = axis.bounds
    if not low <= centre <= high:
        raise ConfigError([f"the centre must lie from {low:g} to {high:g}, got {centre:g}"])
    if width <= 0:
        raise ConfigError([f"the width must be above 0, got {width:g}"])
    return Place(float(centre), float(width), axis.scale, source)


def _said_leaning(axis: Axis, said: Any, source: str) -> Leaning:
    choice = axis.dimension
    assert isinstance(choice, Choice)
    if not isinstance(said, Mapping):
        said = {axis.label(choice.read(said)[0]): 1.0}
    weights = dict.fromkeys(axis.labels, 0.0)
    for category, weight in said.items():
        value, _ = choice.read(category)
        number, _ = read_number(weight)
        if number < 0:
            raise ConfigError([f"a weight must not be below 0, got {number:g}"])
        weights[axis.label(value)] = float(number)
    if not sum(weights.values()) > 0:
        raise ConfigError([f"one weight at least must be above 0, got {brief(said)}"])
    return Leaning(weights, source)


def belief_schema(space: SearchSpace) -> dict[str, Any]:
    """Give the JSON schema of what a model believes: an entry for every parameter.

    None for a choice of so many categories that nobody weighs them. Where practice tells the best
    value apart by a choice (a learning rate by the optimizer), the entry has one for each category.
    """
    branches = branches_of(space)
    properties = {
        axis.name: _entry_schema(axis)
        if axis.name not in branches
        else object_schema(**{label: _entry_schema(axis) for label in branches[axis.name].labels})
        for axis in axes_of(space)
        if axis.ordered or len(axis.labels) <= _MOST_WEIGHED
    }
    return object_schema(**properties)


def asked_entries(space: SearchSpace) -> int:
    """Give how many intervals and sets of weights a model is asked for."""
    branches = branches_of(space).values()
    return len(space.dimensions) + sum(len(branch.labels) - 1 for branch in branches)


def _entry_schema(axis: Axis) -> dict[str, Any]:
    names = ("best", "low", "high") if axis.ordered else axis.labels
    return object_schema(**{name: {"type": "number"} for name in names})


def read_model_belief(raw: Any, space: SearchSpace) -> tuple[Belief | None, tuple[str, ...]]:
    """Give what a model's reply says it believes, None for nothing, and the faults in it.

    A faulty entry costs only itself. ``low`` and ``high`` are one standard deviation away.
    """
    if raw is None:
        return None, ()
    if not isinstance(raw, Mapping):
        return None, (f"belief: must be an object, got {type(raw).__name__}",)
    axes = {axis.name: axis for axis in axes_of(space)}
    branches = branches_of(space)
    belief, faults = Belief(), list[str]()
    for name, said in raw.items():
        axis, branch = axes.get(name), branches.get(name)
        if axis is not None and branch is not None and _is_by_category(said, branch):
            places = _places_by_category(axis, branch, said, faults)
            belief = Belief({name: places} if places else {}).over(belief)
            continue
        try:
            entry = _place_between(axis, said) if axis is not None and axis.ordered else said
            belief = read_belief({name: entry}, space, MODEL).over(belief)
        except ConfigError as error:
            faults += list(error.faults)
    found = belief if belief.places or belief.leanings else None
    return found, tuple(faults[:_FAULTS_KEPT])


def _is_by_category(said: Any, branch: Axis) -> bool:
    return isinstance(said, Mapping) and any(label in said for label in branch.labels)


def _places_by_category(
    axis: Axis, branch: Axis, said: Mapping[str, Any], faults: list[str]
) -> tuple[Place, ...]:
    """Give a place for each category of the choice that has a sound entry; adds the ``faults``."""
    places = []
    for label in branch.labels:
        if label in said:
            try:
                centre, width = _place_between(axis, said[label])
            except ConfigError as error:
                faults += list(error.faults)
            else:
                places.append(Place(centre, width, axis.scale, MODEL, (branch.name, label)))
    return tuple(places)


def _place_between(axis: Axis, said: Any) -> tuple[float, float]:
    """Give the centre, in the range, and the width of ``{"best": …, "low": …, "high": …}``."""
    if not isinstance(said, Mapping):
        raise ConfigError([f"belief in {brief(axis.name)}: must have best, low and high"])
    try:
        best, low, high = (float(read_number(said.get(key))[0]) for key in ("best", "low", "high"))
    except ConfigError as error:
        raise ConfigError([f"belief in {brief(axis.name)}: {error.faults[0]}"]) from None
    ends = axis.bounds
    bent = [float(axis.bent(min(max(number, ends[0]), ends[1]))) for number in (low, high)]
    return min(max(best, ends[0]), ends[1]), max((bent[1] - bent[0]) / 2, _NARROWEST)
