"""The categorical dimension: any Python objects, each with a name that JSON can carry."""

from __future__ import annotations

import math
import numbers
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from json import dumps
from typing import Any

from raymimic.errors import ConfigError, SpaceError
from raymimic.foreign import json_line
from raymimic.space.reading import Notes, brief, is_finite, read_number

LABEL_LENGTH = 120

MOST_LISTED = 200
"""Providers refuse schemas with many hundreds of values, and nobody reads them."""

_JSON_TYPES = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"
}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """One of ``values``: any objects, unhashable ones too, all different.

    A config holds the very objects given here. In JSON a value stands for itself where that is
    unambiguous (null, booleans, strings, numbers), otherwise its label does: a unique string.

    >>> from raymimic import Choice
    >>> Choice(("relu", "gelu")).index("gelu")
    1
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        values = tuple(self.values)
        if not values:
            raise SpaceError("a choice needs at least one value, got none")
        if len(distinct(values)) < len(values):
            raise SpaceError(f"a choice must list each value once, got {brief(values)}")
        object.__setattr__(self, "values", values)

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.values)

    @cached_property
    def ordered(self) -> bool:
        """Whether the values are different numbers, listed in whatever order."""
        return all(map(is_number, self.values)) and len(set(map(float, self.values))) == self.size

    @cached_property
    def _sizes(self) -> list[tuple[float, int]] | None:
        """What the values are sorted by; None where they are no numbers and no layer lists.

        Orders of the same numbers ([1, 2, 3], [3, 1, 2]) have no sizes.
        """
        if self.ordered:
            return [(float(value), 0) for value in self.values]
        sizes = [size for value in self.values if (size := _size_of(value)) is not None]
        return (
            sizes if len(sizes) == self.size and (len(set(sizes)) > 1 or self.size == 1) else None
        )

    @property
    def graded(self) -> bool:
        """Whether neighbours in `order` are alike: numbers, or lists of layer sizes."""
        return self._sizes is not None

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The values' positions from the smallest on: numbers, or layer lists by their sum.

        Of lists with one sum the shorter comes first. Other values stay as they are listed.
        """
        sizes = self._sizes
        places = range(self.size)
        return tuple(places if sizes is None else sorted(places, key=lambda at: sizes[at]))

    @cached_property
    def _ranks(self) -> dict[int, int]:
        return {place: rank for rank, place in enumerate(self.order)}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A different string for each value; a string is its own label."""
        taken = {value for value in self.values if type(value) is str}
        labels, numbers_used = [], Counter[str]()
        for value in self.values:
            label = value if type(value) is str else _unused(_text(value), taken, numbers_used)
            taken.add(label)
            labels.append(label)
        return tuple(labels)

    @cached_property
    def shown(self) -> tuple[Any, ...]:
        """What stands for each value in JSON."""
        numbers_in = Counter(float(value) for value in self.values if is_number(value))
        return tuple(
            _plain(value)
            if value is None
            or isinstance(value, bool)
            or (is_number(value) and numbers_in[float(value)] == 1)
            else label
            for value, label in zip(self.values, self.labels, strict=True)
        )

    def index(self, value: Any) -> int:
        """Position of ``value``: the object itself, else one of the same type and content.

        Raises `ConfigError` for a value that is none of ours.
        """
        index = self._by_content(value)
        if index is None:
            raise self._unknown(value)
        return index

    def to_unit(self, value: Any) -> float:
        """Position of ``value`` in `order` from 0 (first) to 1 (last); 0 for a single value."""
        return self._ranks[self.index(value)] / max(1, len(self.values) - 1)

    def from_unit(self, u: float) -> Any:
        """The value nearest to position ``u``."""
        return self.values[self.order[round(min(max(u, 0.0), 1.0) * (len(self.values) - 1))]]

    def sample(self, rng: random.Random) -> Any:
        """Draw each value alike."""
        return self.values[rng.randrange(len(self.values))]

    def read(self, raw: Any) -> tuple[Any, Notes]:
        """The object that ``raw`` means and what had to be mended; raises `ConfigError`.

        Tried in turn: same type and content, the label, an equal number.
        """
        index = self._by_content(raw)
        if index is not None:
            return self.values[index], ()
        index = self._by_label(raw)
        if index is None:
            index = self._by_number(raw)
        if index is None:
            raise self._unknown(raw)
        meant = self.shown[index]
        as_asked = raw == meant or not isinstance(raw, str)  # 16.0 for 16 is no mistake
        notes = () if as_asked else (f"{brief(raw)} read as {dumps(meant)}",)
        return self.values[index], notes

    def show(self, value: Any) -> Any:
        """What stands for ``value`` in JSON."""
        return self.shown[self.index(value)]

    def describe(self, limit: int = 50) -> str:
        """The values in words, the first ``limit`` of them."""
        texts = [json_line(shown) for shown in self.shown[:limit]]
        more = len(self.values) - len(texts)
        return "one of " + ", ".join(texts) + (f" and {more} more" if more else "")

    def schema(self) -> dict[str, Any]:
        """JSON schema of one value; of very many only their types are listed."""
        if self.size <= MOST_LISTED:
            return {"enum": list(self.shown)}
        return {"type": sorted({_JSON_TYPES[type(shown)] for shown in self.shown})}

    def to_json(self) -> list[Any]:
        """The values as JSON; those that JSON would change are replaced by what is shown."""
        return [
            value if _is_json(value) else shown
            for value, shown in zip(self.values, self.shown, strict=True)
        ]

    @cached_property
    def _places(self) -> dict[tuple[type, Any], int]:
        """Where each value of a simple type stands; the others are looked for one by one."""
        handles = ((_handle(value), place) for place, value in enumerate(self.values))
        return {handle: place for handle, place in handles if handle is not None}

    @cached_property
    def _labelled(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}

    @cached_property
    def _numbered(self) -> dict[float, int]:
        """Where each number stands; of equal ones the first."""
        places = reversed(list(enumerate(self.values)))
        return {float(value): place for place, value in places if is_number(value)}

    def _by_content(self, value: Any) -> int | None:
        handle = _handle(value)
        if handle is not None:
            return self._places.get(handle)
        return next((i for i, mine in enumerate(self.values) if same(mine, value)), None)

    def _by_label(self, raw: Any) -> int | None:
        return self._labelled.get(raw) if isinstance(raw, str) else None

    def _by_number(self, raw: Any) -> int | None:
        try:
            number, _ = read_number(raw)
        except ConfigError:
            return None
        place = self._numbered.get(float(number))
        return place if place is not None and self.values[place] == number else None

    def _unknown(self, value: Any) -> ConfigError:
        return ConfigError([f"must be {self.describe()}, got {brief(value)}"])


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values without repetitions, in order. ``1``, ``1.0``, ``True`` and ``"1"`` differ."""
    kept: list[Any] = []
    handles: set[tuple[type, Any]] = set()
    others: list[Any] = []  # of no simple type: each is compared with each
    for value in values:
        handle = _handle(value)
        equality: object = type(value).__eq__
        if handle is None and equality is object.__eq__:  # equal to itself alone
            handle = (type(value), id(value))
        if handle is None and not any(same(value, other) for other in others):
            others.append(value)
            kept.append(value)
        elif handle is not None and handle not in handles:
            handles.add(handle)
            kept.append(value)
    return tuple(kept)


def same(a: Any, b: Any) -> bool:
    """Equal in type and content, all the way down: ``[1]`` is not ``[True]``."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, numbers.Real) and a != a and b != b:  # a NaN that travelled is no other
        return True
    try:
        return bool(a == b)
    except Exception:  # noqa: BLE001 - arrays have no single truth, and a class may be the user's
        return False


def _handle(value: Any) -> tuple[type, Any] | None:
    """A hashable stand-in: equal exactly for values that are `same`; None where there is none."""
    if type(value) in (list, tuple):
        items = tuple(map(_handle, value))
        return None if None in items else (type(value), items)
    if type(value) is dict and all(type(key) is str for key in value):
        items = tuple(_handle(value[key]) for key in sorted(value))
        return None if None in items else (dict, (*sorted(value), *items))
    simple = value is None or type(value) in (bool, int, float, str)
    return (type(value), value) if simple and value == value else None


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and is_finite(value)


def _plain(value: Any) -> Any:
    """The JSON scalar for a value; numpy's numbers become Python's."""
    if value is None or isinstance(value, bool):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _text(value: Any) -> str:
    """A short name that stays the same from run to run, so without memory addresses."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):  # classes and functions
        return name
    text = value if isinstance(value, str) else brief(value, limit=LABEL_LENGTH)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(text))


def _unused(text: str, taken: set[str], numbers_used: Counter[str]) -> str:
    label = text
    while label in taken:
        numbers_used[text] += 1
        label = f"{text} #{numbers_used[text] + 1}"
    return label


def _size_of(value: Any) -> tuple[float, int] | None:
    """The sum and the length of a list of layer sizes; None for anything else."""
    if not isinstance(value, list | tuple) or not value:
        return None
    if not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in value):
        return None
    return float(sum(value)), len(value)


def _is_json(value: Any) -> bool:
    """Whether JSON carries the value unchanged."""
    if isinstance(value, float):
        return type(value) is float and math.isfinite(value)
    if type(value) is list:
        return all(map(_is_json, value))
    if type(value) is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, str)
