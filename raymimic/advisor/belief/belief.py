"""What common practice believes of the optimum; any belief in words and as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from raymimic.advisor.belief.axes import DECADES, Axis, axes_of
from raymimic.advisor.belief.practice import (
    ADAMW_DECAY,
    OPTIMIZER_LR,
    PREFERRED,
    SHARES,
    Practice,
    optimizer_kind,
    practice_of,
)
from raymimic.foreign import name_text
from raymimic.records import Belief, Leaning, Place
from raymimic.space import IntRange, Normal, SearchSpace

_FAR = 10.0
"""A published value this many times outside the user's range means something else by the name."""

_MIDDLE = 0.05
"""So far from the middle of a range its middle reaches, in unit coordinates."""

FAVOUR = 2.0
"""The weight of the category that practice prefers, beside 1 for each other one."""


def belief_from_practice(space: SearchSpace) -> Belief:
    """Give what common practice says of the parameters by their names.

    The interval worth exploring is taken for one standard deviation each way. The learning rate and
    the weight decay depend on the optimizer where the space has several.
    """
    axes = axes_of(space)
    optimizer = next((a for a in axes if a.role == "optimizer" and a.levels is not None), None)
    places, leanings = {}, {}
    for axis in axes:
        leaning = _preferred(axis)
        if leaning is not None:
            leanings[axis.name] = leaning
        elif axis.ordered:
            found = tuple(_places(axis, optimizer))
            if found:
                places[axis.name] = found
    return Belief(places, leanings)


def branches_of(space: SearchSpace) -> dict[str, Axis]:
    """Give the numbers whose best value practice tells apart by a choice, and that choice."""
    axes = {axis.name: axis for axis in axes_of(space)}
    return {
        name: axes[found[0].given[0]]
        for name, found in belief_from_practice(space).places.items()
        if len(found) > 1 and found[0].given is not None
    }


def _preferred(axis: Axis) -> Leaning | None:
    if axis.levels is None or axis.role not in PREFERRED:
        return None
    sources = PREFERRED[axis.role]
    texts = [str(getattr(level, "__name__", level)).lower() for level in axis.levels]
    name = next((name for name in sources if name in texts), None)
    if name is None:
        return None
    best = texts.index(name)
    weights = {label: FAVOUR if i == best else 1.0 for i, label in enumerate(axis.labels)}
    return Leaning(weights, sources[name])


def _places(axis: Axis, optimizer: Axis | None) -> list[Place]:
    if optimizer is not None and axis.role in {"learning_rate", "weight_decay"}:
        found = []
        for level, label in zip(optimizer.levels or (), optimizer.labels, strict=True):
            practice = _with_optimizer(axis, optimizer_kind(level))
            place = None if practice is None else _place(axis, practice)
            if place is not None:
                given = (optimizer.name, label)
                found.append(Place(place.centre, place.width, place.scale, place.source, given))
        return found
    practice = practice_of(axis.role, axis.family)
    if practice is not None:
        if axis.role == "learning_rate" and not usable(axis, practice.value, practice.log):
            practice = OPTIMIZER_LR["sgd"]  # a range far from Adam's rate is meant for plain SGD
        place = _place(axis, practice)
        return [place] if place is not None else []
    share = SHARES.get(axis.role or "")
    if share is None or isinstance(axis.dimension, Normal):
        return []
    centre = axis.at(share.value)
    return [_between(axis, centre, share.low, share.high, part_of_range(axis.unit(centre)))]


def part_of_range(unit: float) -> str:
    """Say in which part of the user's own range a coordinate lies."""
    if abs(unit - 0.5) <= _MIDDLE:
        return "the middle of your range"
    return f"the {'lower' if unit < 0.5 else 'upper'} half of your range"


def _with_optimizer(axis: Axis, kind: str | None) -> Practice | None:
    if axis.role == "weight_decay" and kind == "adamw" and axis.family == "net":
        return ADAMW_DECAY
    if axis.role == "learning_rate" and kind in OPTIMIZER_LR and axis.family == "net":
        return OPTIMIZER_LR[kind]
    return practice_of(axis.role, axis.family)


def usable(axis: Axis, value: float, log: bool) -> bool:
    """Whether a value from elsewhere lies in, or within a factor of ten of, the user's range."""
    if isinstance(axis.dimension, Normal) or not axis.ordered:
        return False
    low, high = axis.bounds
    if log:
        return high > 0 and low <= value * _FAR and high >= value / _FAR
    return low <= value <= high or (low - value) <= (high - low) >= (value - high)


def _place(axis: Axis, practice: Practice) -> Place | None:
    if not usable(axis, practice.value, practice.log):
        return None
    low, high = (float(axis.bent(end)) for end in (practice.low, practice.high))
    if axis.scale == "log" and practice.low <= 0:
        low = 2 * float(axis.bent(practice.value)) - high
    return Place(practice.value, (high - low) / 2, axis.scale, practice.source)


def _between(axis: Axis, centre: float, low: float, high: float, source: str) -> Place:
    """Give the place whose standard deviation is half the way between two coordinates."""
    ends = [float(axis.bent(float(axis.at(unit)))) for unit in (low, high)]
    return Place(float(centre), max((ends[1] - ends[0]) / 2, 1e-9), axis.scale, source)


def describe_belief(
    belief: Belief, limit: int | None = None, space: SearchSpace | None = None
) -> str:
    """Say in one line where the optimum is believed to be; ``limit`` parameters at most.

    With ``space``, intervals end where its ranges end, and what lies outside it is not said.
    """
    axes = {} if space is None else {axis.name: axis for axis in axes_of(space)}
    said = {
        name: _places_text(_within(found, name, space), axes.get(name))
        for name, found in belief.places.items()
    }
    parts = [f"{name_text(name)} {text}" for name, text in said.items() if text]
    parts += [
        f"{name_text(name)} {_leaning_text(leaning)}" for name, leaning in belief.leanings.items()
    ]
    if not parts:
        return "nothing is known of where the optimum lies"
    shown = parts[:limit]
    more = len(parts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def interval_of(place: Place) -> tuple[float, float]:
    """Give the numbers one standard deviation below and above the centre."""
    width = min(place.width, DECADES)
    if place.scale == "log":
        return place.centre * 10.0**-width, place.centre * 10.0**width
    if place.scale == "log distance to 1":
        distance = 1.0 - place.centre
        return 1.0 - distance * 10.0**width, 1.0 - distance * 10.0**-width
    return place.centre - place.width, place.centre + place.width


def _within(places: Sequence[Place], name: str, space: SearchSpace | None) -> list[Place]:
    """The places that can be: a parameter of one branch has none beside another branch."""
    condition = space.conditions.get(name) if space is not None else None
    if condition is None:
        return list(places)
    inside = []
    for place in places:
        parent, value = place.given or ("", "")
        if parent == condition.parent:
            if value not in condition.values:
                continue
            if len(condition.values) == 1:
                place = replace(place, given=None)
        inside.append(place)
    return inside


def _places_text(places: Sequence[Place], axis: Axis | None) -> str:
    texts = []
    for place in places:
        low, high = interval_of(place)
        low = max(low, 0.0) if place.centre >= 0.0 else low  # as far as numbers are told
        centre, given = place.centre, f" with {name_text(place.given[1])}" if place.given else ""
        if axis is not None:
            least, most = axis.bounds
            if high < least or low > most:
                continue
            if isinstance(axis.dimension, IntRange):
                low, high = math.floor(low + 0.25), math.ceil(high - 0.25)
            low, centre, high = (min(max(end, least), most) for end in (low, centre, high))
        texts.append(f"{centre:.4g} ({low:.3g} to {high:.3g}){given}")
    return " or ".join(dict.fromkeys(texts))


def _leaning_text(leaning: Leaning) -> str:
    best = max(leaning.weights.values())
    return " or ".join(name_text(label) for label, w in leaning.weights.items() if w == best)


def belief_from_json(data: Mapping[str, Any]) -> Belief:
    """Give the belief that `belief_to_json` wrote."""
    places: dict[str, tuple[Place, ...]] = {}
    leanings: dict[str, Leaning] = {}
    for name, said in data.items():
        if isinstance(said, Mapping):
            leanings[name] = Leaning(said["weights"], said["source"])
        else:
            places[name] = tuple(
                Place(**{**place, "given": tuple(place["given"]) if "given" in place else None})
                for place in said
            )
    return Belief(places, leanings)


def belief_to_json(belief: Belief) -> dict[str, Any]:
    """Give the belief as plain data: by parameter what is believed and who says so."""
    data: dict[str, Any] = {}
    for name, places in belief.places.items():
        data[name] = [
            {
                "centre": place.centre,
                "width": place.width,
                "scale": place.scale,
                "source": place.source,
                **({"given": list(place.given)} if place.given else {}),
            }
            for place in places
        ]
    for name, leaning in belief.leanings.items():
        data[name] = {"weights": dict(leaning.weights), "source": leaning.source}
    return data
