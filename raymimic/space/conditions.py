"""Parameters that exist only beside certain values of a choice, as in Tune's choice of dicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from raymimic.errors import ConfigError, SpaceError
from raymimic.foreign import json_line, name_text
from raymimic.space.choice import Choice
from raymimic.space.ranges import FloatRange, IntRange, Normal
from raymimic.space.reading import brief

Dimension = FloatRange | IntRange | Normal | Choice


@dataclass(frozen=True)
class Condition:
    """A parameter exists where the choice ``parent`` exists and has one of ``values``.

    >>> from raymimic import Choice, Condition, FloatRange, SearchSpace
    >>> parameters = {"opt": Choice(("sgd", "adam")), "momentum": FloatRange(0.0, 0.99)}
    >>> space = SearchSpace(parameters, {"momentum": Condition("opt", ("sgd",))})
    >>> space.check({"opt": "adam"})[0]
    {'opt': 'adam'}
    """

    parent: str
    values: tuple[Any, ...]


class Tree:
    """Which parameters exist beside which values; ``parents`` are the choices that decide it.

    Raises `SpaceError` for conditions on anything but an earlier choice and values of it.
    """

    def __init__(
        self, dimensions: Mapping[str, Dimension], conditions: Mapping[str, Condition]
    ) -> None:
        self._dimensions = dimensions
        self._levels: dict[str, tuple[Choice, frozenset[int]]] = {}
        for name, condition in conditions.items():
            _verify(name, condition, dimensions)
            choice = dimensions[condition.parent]
            assert isinstance(choice, Choice)
            levels = frozenset(choice.index(value) for value in condition.values)
            self._levels[name] = choice, levels
        self.conditions = {name: conditions[name] for name in dimensions if name in conditions}
        self.parents = tuple(dict.fromkeys(c.parent for c in self.conditions.values()))
        self.roots = tuple(name for name in dimensions if name not in conditions)

    def exists(self, name: str, config: Mapping[str, Any]) -> bool:
        """Whether a parameter exists in a configuration that holds what exists before it."""
        condition = self.conditions.get(name)
        if condition is None:
            return True
        if condition.parent not in config:
            return False
        choice, levels = self._levels[name]
        return choice.index(config[condition.parent]) in levels

    def words(self, name: str) -> str:
        """Say where a parameter exists; "" for one that always does."""
        if name not in self.conditions:
            return ""
        choice, levels = self._levels[name]
        values = " or ".join(json_line(choice.shown[level]) for level in sorted(levels))
        return f"; exists only with {name_text(self.conditions[name].parent)} {values}"

    def size(self, names: Iterable[str] | None = None) -> int | None:
        """Number of distinct configurations of these parameters (all) and what hangs on them.

        None if there is no end of them.
        """
        sizes = [self._size(name) for name in (self.roots if names is None else names)]
        known = [size for size in sizes if size is not None]
        return math.prod(known) if len(known) == len(sizes) else None

    def _size(self, name: str) -> int | None:
        if name not in self.parents:
            return self._dimensions[name].size
        sizes = [self.size(inside) for _, inside in self._branches(name)]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def schema(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """JSON schema of a configuration: a choice that decides is an object, one of `anyOf`."""
        properties = {
            name: self._branch_schema(name)
            if name in self.parents
            else self._dimensions[name].schema()
            for name in (self.roots if names is None else names)
        }
        return _object(properties)

    def _branch_schema(self, name: str) -> dict[str, Any]:
        choice = self._dimensions[name]
        assert isinstance(choice, Choice)
        values: dict[tuple[str, ...], list[Any]] = {}
        for level, inside in self._branches(name):
            values.setdefault(inside, []).append(choice.shown[level])
        objects = []
        for inside, shown in values.items():
            below = self.schema(inside)["properties"]
            objects.append(_object({name: {"enum": shown}, **below}))
        return {"anyOf": objects} if len(objects) > 1 else objects[0]

    def _branches(self, name: str) -> list[tuple[int, tuple[str, ...]]]:
        """Each value of a choice by number, and the parameters that exist beside it."""
        choice = self._dimensions[name]
        assert isinstance(choice, Choice)
        hanging = [n for n, condition in self.conditions.items() if condition.parent == name]
        return [
            (level, tuple(n for n in hanging if level in self._levels[n][1]))
            for level in range(choice.size)
        ]

    def opened(self, raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
        """A flat configuration of one whose choices are objects, as `schema` asks for them.

        ``{"opt": {"opt": "sgd", "opt/momentum": 0.9}}`` and, with a note,
        ``{"opt": {"name": "sgd", "momentum": 0.9}}`` both become the flat one.
        """
        flat, notes = dict(raw), list[str]()
        for name in self.parents:
            choice, inside = self._dimensions[name], flat.get(name)
            assert isinstance(choice, Choice)
            if not isinstance(inside, Mapping) or _is_value(choice, inside):
                continue
            del flat[name]
            for key, value in inside.items():
                full = key if key in self._dimensions else f"{name}/{key}"
                if full in self._dimensions:
                    flat[full] = value
                elif name not in inside and name not in flat and _is_value(choice, value):
                    flat[name] = value
                    notes.append(f"{name}: {brief(inside)} read as its branch {brief(value)}")
                else:
                    flat[f"{name}/{key}"] = value
        return flat, notes


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _is_value(choice: Choice, value: Any) -> bool:
    try:
        choice.read(value)
    except ConfigError:
        return False
    return True


def _verify(name: str, condition: Condition, dimensions: Mapping[str, Dimension]) -> None:
    """See that a parameter hangs on values of a choice that stands before it."""
    order = list(dimensions)
    if name not in dimensions:
        raise SpaceError(f"{brief(name)}: a condition needs a parameter of this name, got {order}")
    parent = dimensions.get(condition.parent)
    if not isinstance(parent, Choice) or order.index(condition.parent) >= order.index(name):
        raise SpaceError(
            f"{name}: must hang on a choice that is listed before it, got {condition.parent!r}"
        )
    if not condition.values:
        raise SpaceError(f"{name}: must exist beside one value of {condition.parent} at least")
    for value in condition.values:
        try:
            parent.index(value)
        except ConfigError as error:
            raise SpaceError(f"{name}: {condition.parent} {error.faults[0]}") from None
