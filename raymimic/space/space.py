"""The search space: named dimensions, and everything that can be asked about a configuration."""

from __future__ import annotations

import copy
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from types import MappingProxyType
from typing import Any

from raymimic.errors import ConfigError, SpaceError
from raymimic.records import Config
from raymimic.space import inside
from raymimic.space.choice import Choice
from raymimic.space.conditions import Condition, Dimension, Tree
from raymimic.space.ranges import FloatRange, IntRange, Normal
from raymimic.space.reading import Notes, brief
from raymimic.space.restrictions import Restriction, narrowed

_KINDS: dict[str, type[FloatRange] | type[IntRange] | type[Normal] | type[Choice]] = {
    "float": FloatRange,
    "int": IntRange,
    "normal": Normal,
    "choice": Choice,
}
_KIND_OF = {cls: kind for kind, cls in _KINDS.items()}

_UNKNOWN_NAMED = 8

KEY_CELLS = 10_000
"""Configurations that fall into the same of these cells along every dimension are duplicates."""


class SearchSpace:
    """Named dimensions in the user's order. Immutable; may be empty.

    A dimension with a condition exists only beside certain values of a choice before it; where it
    does not, a configuration has no such key. Raises `SpaceError` for names that are no text,
    values that are no dimensions and conditions that cannot hold. Methods that take a configuration
    expect one that `check` or `sample` returned, and raise `ConfigError` for a missing key or an
    unknown category.

    >>> from raymimic import FloatRange, SearchSpace
    >>> SearchSpace({"x": FloatRange(0.0, 1.0)}).check({"x": "0.5"})[0]
    {'x': 0.5}
    """

    def __init__(
        self,
        dimensions: Mapping[str, Dimension],
        conditions: Mapping[str, Condition] | None = None,
    ) -> None:
        for name, dimension in dimensions.items():
            if not isinstance(name, str) or not name:
                raise SpaceError(f"a dimension's name must be text, got {name!r}")
            if not isinstance(dimension, Dimension):
                raise SpaceError(
                    f"{name}: must be a FloatRange, IntRange, Normal or Choice, "
                    f"got {brief(dimension)}"
                )
        self._dimensions = dict(dimensions)
        self._tree = Tree(self._dimensions, conditions or {})
        self._restrictions: tuple[Restriction, ...] = ()
        self._inner: Mapping[str, Any] = self._dimensions
        self._examples: tuple[Config, ...] = ()

    def __repr__(self) -> str:
        more = f", {self._tree.conditions!r}" if self._tree.conditions else ""
        return f"SearchSpace({self._dimensions!r}{more})"

    def __deepcopy__(self, memo: dict[int, Any]) -> SearchSpace:
        return self  # immutable, and a copied category would no longer be the user's own object

    @property
    def dimensions(self) -> Mapping[str, Dimension]:
        """The dimensions by name, read-only."""
        return MappingProxyType(self._dimensions)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """The conditions of the dimensions that do not always exist, read-only."""
        return MappingProxyType(self._tree.conditions)

    @property
    def roots(self) -> tuple[str, ...]:
        """The names of the dimensions that always exist."""
        return self._tree.roots

    def exists(self, name: str, config: Config) -> bool:
        """Whether a dimension exists in a configuration that holds those before it."""
        return self._tree.exists(name, config)

    @cached_property
    def size(self) -> int | None:
        """Number of distinct configurations, None if there is no end of them."""
        return self._tree.size()

    # -- restrictions --------------------------------------------------------------------------

    def under(self, restrictions: Iterable[Restriction]) -> SearchSpace:
        """The same space with these restrictions instead of those it has.

        Its configurations, keys and coordinates are the same: `check` lets pass what is outside,
        `refusal` says so. Raises `SpaceError` naming the restrictions that leave nothing.
        """
        restrictions = tuple(restrictions)
        if not restrictions and not self._restrictions:
            return self
        space = copy.copy(self)
        space._restrictions = restrictions
        space._inner = {
            name: narrowed(name, dimension, restrictions)
            for name, dimension in self._dimensions.items()
        }
        space._examples = ()
        space._examples = inside.examples_of(space)
        return space

    @property
    def restrictions(self) -> tuple[Restriction, ...]:
        """What holds beside the dimensions' own ranges."""
        return self._restrictions

    @property
    def inner(self) -> Mapping[str, Any]:
        """The dimensions within the restrictions that each has alone: values are drawn of them."""
        return MappingProxyType(self._inner)

    @property
    def examples(self) -> tuple[Config, ...]:
        """Configurations within the restrictions, where those join several parameters."""
        return self._examples

    def refusal(self, config: Config) -> str:
        """Say which restrictions a configuration breaks, "" where it breaks none."""
        reasons = (one.breaks(config) for one in self._restrictions)
        return " and ".join(reason for reason in reasons if reason)

    def outside(self, config: Config) -> str:
        """As `refusal`, in a sentence that names the configuration."""
        broken = self.refusal(config)
        return f"{self.show(config)} is outside what you allow: {broken}" if broken else ""

    def nearest(self, config: Config, keep: Collection[str] = ()) -> Config:
        """A configuration within the restrictions that is like ``config``: itself if it is.

        Its values of the names in ``keep`` stay; itself, too, where none is found with them.
        """
        return inside.nearest(self, config, keep)

    # -- configurations ------------------------------------------------------------------------

    def sample(self, rng: random.Random) -> Config:
        """Draw a configuration within the restrictions."""
        return inside.draw(self, rng) if self._restrictions else self.drawn({}, rng)

    def drawn(self, config: Config, rng: random.Random) -> Config:
        """``config`` with a value drawn for each dimension that it lacks, within what each allows.

        What does not exist beside the values before it is left out. Restrictions that join several
        dimensions may be broken.
        """
        full: Config = {}
        for name, dimension in self._inner.items():
            if self.exists(name, full):
                full[name] = config[name] if name in config else dimension.sample(rng)
        return full

    def check(self, raw: Mapping[str, Any]) -> tuple[Config, Notes]:
        """The configuration that ``raw`` means, with the user's own objects, and every repair.

        What is clear is mended: text that spells a number, a fraction where an integer is due, a
        value off its step or up to a tenth of the width outside its range, an unknown key, a
        parameter that does not exist beside the other values. Else raises `ConfigError` with all
        faults.
        """
        if not isinstance(raw, Mapping):
            raise ConfigError([f"a configuration must be an object with keys, got {brief(raw)}"])
        config: Config = {}
        raw, repairs = self._tree.opened(raw)
        unknown = [key for key in raw if key not in self._dimensions]
        repairs += [f"unknown key {brief(key)} dropped" for key in unknown[:_UNKNOWN_NAMED]]
        if len(unknown) > _UNKNOWN_NAMED:
            repairs.append(f"{len(unknown) - _UNKNOWN_NAMED} more unknown keys dropped")
        faults: list[str] = []
        for name, dimension in self._dimensions.items():
            if not self.exists(name, config):
                if raw.get(name) is not None:  # null says in JSON that there is none
                    repairs.append(f"{name}: dropped{self._tree.words(name)}")
                continue
            if name not in raw:
                faults.append(f"{name}: missing, must be {dimension.describe()}")
                continue
            try:
                config[name], notes = dimension.read(raw[name])
                repairs += [f"{name}: {note}" for note in notes]
            except ConfigError as error:
                faults += [f"{name}: {fault}" for fault in error.faults]
        if faults:
            raise ConfigError(faults)
        return config, tuple(repairs)

    def encode(self, config: Config) -> tuple[float | None, ...]:
        """Unit coordinates, one per dimension, each from 0 to 1; None where it does not exist."""
        units = {name: dim.to_unit(value) for name, dim, value in self._items(config)}
        return tuple(units.get(name) for name in self._dimensions)

    def distance(self, a: Config, b: Config) -> float:
        """Mean difference over the dimensions, 0 to 1.

        Unlike categories count as 1, and so does what exists in one configuration alone.
        """
        gaps = [
            abs(x - y) if dimension.ordered and x is not None and y is not None else float(x != y)
            for dimension, x, y in zip(
                self._dimensions.values(), self.encode(a), self.encode(b), strict=True
            )
        ]
        return sum(gaps) / len(gaps) if gaps else 0.0

    def key(self, config: Config) -> tuple[int, ...]:
        """Hashable stand-in by which duplicates are found; see `KEY_CELLS`.

        Where values are the same, the same dimensions exist: no place is taken for another.
        """
        return tuple(
            dimension.index(value)
            if isinstance(dimension, Choice)
            else round(dimension.to_unit(value) * KEY_CELLS)
            for _, dimension, value in self._items(config)
        )

    def show(self, config: Config) -> dict[str, Any]:
        """The configuration as JSON; `check` turns it back into exactly the same one."""
        return {name: dimension.show(value) for name, dimension, value in self._items(config)}

    def describe(self) -> str:
        """One line per dimension, for people and models."""
        return "\n".join(f"- {name}: {self.describe_one(name)}" for name in self._dimensions)

    def describe_one(self, name: str) -> str:
        """A dimension in words, and where it exists."""
        return self._dimensions[name].describe() + self._tree.words(name)

    def schema(self) -> dict[str, Any]:
        """JSON schema of one configuration.

        A choice on which others hang is an object with the choice under its own name and what
        exists beside it, one of `anyOf`; `check` reads that form and the flat one.
        """
        return self._tree.schema()

    def to_json(self) -> dict[str, Any]:
        """The space as JSON; category objects that are no JSON become their labels."""
        return {
            "dimensions": [
                {
                    "name": name,
                    "kind": _KIND_OF[type(dimension)],
                    **_fields(dimension),
                    **self._condition_json(name),
                }
                for name, dimension in self._dimensions.items()
            ]
        }

    def _condition_json(self, name: str) -> dict[str, Any]:
        condition = self.conditions.get(name)
        if condition is None:
            return {}
        choice = self._dimensions[condition.parent]
        return {"beside": {condition.parent: [choice.show(value) for value in condition.values]}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchSpace:
        """The space that `to_json` wrote. Raises `SpaceError` for anything else."""
        try:
            dimensions: dict[str, Dimension] = {}
            conditions: dict[str, Condition] = {}
            for entry in data["dimensions"]:
                fields = dict(entry)
                name, kind = fields.pop("name"), fields.pop("kind")
                for parent, shown in fields.pop("beside", {}).items():
                    values = (dimensions[parent].read(value)[0] for value in shown)
                    conditions[name] = Condition(parent, tuple(values))
                dimensions[name] = _KINDS[kind](**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise SpaceError(
                f"must be what SearchSpace.to_json wrote, got {brief(data)} ({error!r})"
            ) from error
        return cls(dimensions, conditions)

    def _items(self, config: Config) -> Iterator[tuple[str, Dimension, Any]]:
        conditions = self._tree.conditions
        for name, dimension in self._dimensions.items():
            if name in conditions and not self.exists(name, config):
                continue
            if name not in config:
                raise ConfigError([f"{name}: missing, must be {dimension.describe()}"])
            yield name, dimension, config[name]


def _fields(dimension: Dimension) -> dict[str, Any]:
    return {"values": dimension.to_json()} if isinstance(dimension, Choice) else asdict(dimension)
