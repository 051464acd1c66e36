"""Configurations within a space's restrictions: examples of them, draws, the nearest to another."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from raymimic.errors import SpaceError
from raymimic.records import Config
from raymimic.space.choice import Choice
from raymimic.space.formula import same
from raymimic.space.reading import brief
from raymimic.space.restrictions import Predicate, Restriction, joint

if TYPE_CHECKING:
    from raymimic.space.space import SearchSpace

_SOUGHT, _ENOUGH, _LEAST = 2000, 16, 64
"""Draws until restrictions count as leaving nothing; so many examples do, after so many draws."""

_CORNERS = 8
"""Of so many parameters all combinations of their ends are tried, too."""

_DRAWS = 20
"""Draws until an example is changed step by step instead."""

_SWEEPS, _REDRAWS = 2, 4

_INWARD = 0.15
"""How far inside the range a value is put that lay outside it."""


def examples_of(space: SearchSpace) -> tuple[Config, ...]:
    """Find configurations within the restrictions; none where draws are always within them.

    Raises `SpaceError` where nothing is left, with how often each restriction held, and for a
    user's function that raises.
    """
    left = joint(space.restrictions, space.inner)
    if not left:
        return ()
    rng = random.Random(0)
    found: list[Config] = []
    held = [0] * len(left)
    for drawn in range(1, _SOUGHT + 1):
        config = space.drawn({}, rng)
        keeps = [_keeps(space, one, config) for one in left]
        held = [count + kept for count, kept in zip(held, keeps, strict=True)]
        if all(keeps) and not space.refusal(config):
            found.append(config)
        if len(found) >= _ENOUGH and drawn >= _LEAST:
            return tuple(found)
    found += [config for config in _corners(space, left, rng) if not space.refusal(config)]
    if found:
        return tuple(found)
    counts = "; ".join(
        f"{one.text!r} held for {count:,}" for one, count in zip(left, held, strict=True)
    )
    others = [repr(one.text) for one in space.restrictions if one not in left]
    within = f" within {' and '.join(others)}" if others else ""
    raise SpaceError(
        f"nothing seems to be left: of {_SOUGHT:,} configurations drawn{within}, and at the ends "
        f"of the ranges, none keeps to all ({counts}); widen a restriction"
    )


def _keeps(space: SearchSpace, restriction: Restriction, config: Config) -> bool:
    """Whether a configuration keeps to a restriction; a function that fails is said at once."""
    if not isinstance(restriction, Predicate):
        return not restriction.breaks(config)
    try:
        return restriction.allows(config)
    except SpaceError as error:
        given = getattr(restriction.function, "nested", space.show)(config)
        raise SpaceError(f"{error}, for {brief(given, 200)}; mend it") from None


def _corners(space: SearchSpace, left: Iterable[Restriction], rng: random.Random) -> list[Config]:
    """Configurations at the ends of the ranges that the restrictions speak of."""
    spoken = [name for one in left for name in one.names]
    names = list(dict.fromkeys(spoken or space.dimensions))[:_CORNERS]
    ends = [(space.inner[name].from_unit(0.0), space.inner[name].from_unit(1.0)) for name in names]
    return [space.drawn(dict(zip(names, corner, strict=True)), rng) for corner in product(*ends)]


def draw(space: SearchSpace, rng: random.Random) -> Config:
    """Draw a configuration within the restrictions.

    Where nearly all are outside, an example's values are drawn anew one after the other.
    """
    for _ in range(_DRAWS):
        config = space.drawn({}, rng)
        if not space.refusal(config):
            return config
    config = dict(rng.choice(space.examples))
    for _ in range(_SWEEPS):
        for name in rng.sample(list(config), len(config)):
            if name not in config:  # it went with a value before it
                continue
            for _ in range(_REDRAWS):
                rest = {other: value for other, value in config.items() if other != name}
                other = space.drawn(rest, rng)
                if not space.refusal(other):
                    config = other
                    break
    return config


def nearest(space: SearchSpace, config: Config, keep: Collection[str]) -> Config:
    """Give a configuration within the restrictions that is like ``config``: itself if it is.

    Those of its values stay whose names are in ``keep``; where they cannot, nothing is changed.
    """
    if not space.refusal(config):
        return config
    wanted = {
        name: value if name in keep else _moved(space, name, value)
        for name, value in config.items()
    }
    rng = random.Random(0)
    found = space.drawn(wanted, rng)
    if not space.refusal(found):
        return found
    tried = []
    kept = {name: config[name] for name in keep}
    draws = (space.drawn(kept, rng) for _ in range(_SOUGHT if kept else 0))
    around = islice((drawn for drawn in draws if not space.refusal(drawn)), _ENOUGH)
    for near in around if kept else space.examples:
        for name, value in wanted.items():
            other = space.drawn({**near, name: value}, rng)
            if not space.refusal(other):
                near = other
        tried.append(near)
    return min(tried, key=lambda near: space.distance(near, config), default=config)


def _moved(space: SearchSpace, name: str, value: Any) -> Any:
    """The value itself where its own restrictions allow it, else one a little inside them."""
    mine = [one for one in space.restrictions if one.names == (name,)]
    if not any(one.breaks({name: value}) for one in mine):
        return value
    inner = space.inner[name]
    if isinstance(inner, Choice):
        if inner.ordered:
            return min(inner.values, key=lambda one: abs(one - value))
        return inner.values[0]
    low, high = inner.from_unit(0.0), inner.from_unit(1.0)
    if low <= value <= high and not same(low, high):
        return inner.from_unit(0.5)  # a hole in the middle of a range
    return inner.from_unit(_INWARD if value < low else 1.0 - _INWARD)
