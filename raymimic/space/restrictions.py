"""What a search must keep to within its space: bounds, exclusions, formulas, a user's functions.

Each restriction has a ``text``, which `read_restrictions` reads back (a function's is its name),
the ``names`` of its parameters, and ``breaks(config)``: why a configuration is outside, "" where it
is not. A restriction holds where its parameter does not exist.
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from raymimic.errors import ConfigError, SpaceError
from raymimic.foreign import error_text
from raymimic.records import Config
from raymimic.space.choice import Choice, is_number
from raymimic.space.formula import Formula, constant, names_in, parse, same
from raymimic.space.ranges import LARGEST, FloatRange, IntRange, Normal
from raymimic.space.reading import brief

Dimensions = Mapping[str, Any]


@dataclass(frozen=True)
class Bound:
    """A number stays ``below`` the limit, or above it; ``strict`` leaves the limit itself out."""

    name: str
    limit: float
    below: bool
    strict: bool

    @property
    def text(self) -> str:
        """The bound as `read_restrictions` reads it."""
        sign = ("<" if self.below else ">") + ("" if self.strict else "=")
        return f"{self.name} {sign} {self.limit:.12g}"

    @property
    def names(self) -> tuple[str, ...]:
        """Its parameter."""
        return (self.name,)

    def breaks(self, config: Config) -> str:
        """Say why a configuration is outside, "" where it is not."""
        if self.name not in config:
            return ""
        value = config[self.name]
        inside = value < self.limit if self.below else value > self.limit
        return "" if inside or (not self.strict and value == self.limit) else self.text


@dataclass(frozen=True)
class Values:
    """A parameter has one of ``values`` (the space's own objects), or none of them."""

    name: str
    values: tuple[Any, ...]
    allowed: bool
    shown: tuple[Any, ...]

    @property
    def text(self) -> str:
        """The restriction as `read_restrictions` reads it."""
        if len(self.shown) == 1:
            return f"{self.name} {'==' if self.allowed else '!='} {self.shown[0]!r}"
        listed = ", ".join(map(repr, self.shown))
        return f"{self.name} {'in' if self.allowed else 'not in'} ({listed})"

    @property
    def names(self) -> tuple[str, ...]:
        """Its parameter."""
        return (self.name,)

    def breaks(self, config: Config) -> str:
        """Say why a configuration is outside, "" where it is not."""
        if self.name not in config:
            return ""
        value = config[self.name]
        listed = any(value is one or same(value, one) for one in self.values)
        return "" if listed is self.allowed else self.text


@dataclass(frozen=True)
class Predicate:
    """A user's function from a configuration to whether it may be tried.

    One that raises, or answers neither true nor false, keeps the configuration out.
    """

    function: Callable[[Config], Any]

    @property
    def text(self) -> str:
        """The function's name."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"the constraint {name}"

    @property
    def names(self) -> tuple[str, ...]:
        """A function does not say of which parameters it speaks."""
        return ()

    def allows(self, config: Config) -> bool:
        """Ask the function; raises `SpaceError` where it does not answer."""
        try:
            answer = self.function(dict(config))
            allowed = None if answer is None or isinstance(answer, str) else bool(answer)
        except Exception as error:  # noqa: BLE001 - the user's own code
            raise SpaceError(f"{self.text} raised {error_text(error)}") from None
        if allowed is None:
            raise SpaceError(f"{self.text} must return True or False, it returned {brief(answer)}")
        return allowed

    def breaks(self, config: Config) -> str:
        """Say why a configuration is outside, "" where it is not."""
        try:
            return "" if self.allows(config) else self.text
        except SpaceError as error:
            return str(error)


Restriction = Bound | Values | Formula | Predicate


def read_restrictions(text: str, dimensions: Dimensions) -> tuple[Restriction, ...]:
    """Read one text as restrictions that all must hold; raises `SpaceError` with the cure.

    >>> from raymimic.space import FloatRange
    >>> [one.text for one in read_restrictions("0.1 <= x < 0.5", {"x": FloatRange(0.0, 1.0)})]
    ['x >= 0.1', 'x < 0.5']
    """
    try:
        tree, plain = parse(text, dimensions)
        if not names_in(tree):
            raise SpaceError("must name a parameter of this search")
        return tuple(_parts(tree, plain, dimensions))
    except SpaceError as error:
        raise SpaceError(f"restriction {brief(text)}: {error}") from None


def _parts(tree: ast.expr, text: str, dimensions: Dimensions) -> Iterable[Restriction]:
    """Split what is joined by "and"; a comparison of one parameter with a constant is simple."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        for part in tree.values:
            yield from _parts(part, ast.unparse(part), dimensions)
        return
    if isinstance(tree, ast.Compare):
        sides = [tree.left, *tree.comparators]
        pairs = list(zip(sides, tree.ops, sides[1:], strict=False))
        simple = [_simple(*pair, dimensions) for pair in pairs]
        if all(one is not None for one in simple):
            yield from (one for one in simple if one is not None)
            return
    names = names_in(tree)
    choices = {name: dimensions[name] for name in names if isinstance(dimensions[name], Choice)}
    yield Formula(text, names, tree, choices)


_TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


def _simple(a: ast.expr, op: ast.cmpop, b: ast.expr, dimensions: Dimensions) -> Restriction | None:
    """A bound or a list of values, None for a comparison that is neither."""
    kind = type(op)
    if not isinstance(a, ast.Name) and isinstance(b, ast.Name) and kind not in (ast.In, ast.NotIn):
        a, b, kind = b, a, _TURNED.get(kind, kind)
    if not isinstance(a, ast.Name) or names_in(b):
        return None
    dimension, value = dimensions[a.id], constant(b)
    if kind in _TURNED:
        if not is_number(value):
            raise SpaceError(f"{a.id} must be compared with a finite number, got {brief(value)}")
        if isinstance(dimension, Choice) and not all(map(is_number, dimension.values)):
            raise SpaceError(f"{a.id} is {dimension.describe(8)}: compare it with ==, != or in")
        return Bound(a.id, value, kind in (ast.Lt, ast.LtE), kind in (ast.Lt, ast.Gt))
    listed = value if isinstance(value, list) else [value]
    try:
        values = tuple(own_value(dimension, one) for one in listed)
    except ConfigError as error:
        raise SpaceError(f"{a.id}: {error}") from None
    shown = tuple(dimension.show(one) for one in values)
    return Values(a.id, values, kind in (ast.Eq, ast.In), shown)


def own_value(dimension: Any, value: Any) -> Any:
    """A dimension's own value; raises `ConfigError` where it would have to be mended."""
    found, notes = dimension.read(value)
    if notes and not isinstance(dimension, Choice):
        raise ConfigError([f"must be {dimension.describe()}, got {brief(value)}"])
    return found


# -- the space that is left ------------------------------------------------------------------------


def joint(restrictions: Iterable[Restriction], inner: Dimensions) -> list[Restriction]:
    """Those that `narrowed` has not put into the ``inner`` dimensions already."""
    return [
        one
        for one in restrictions
        if not isinstance(one, Bound)
        and not (len(one.names) == 1 and isinstance(inner[one.names[0]], Choice))
    ]


def narrowed(name: str, dimension: Any, restrictions: Iterable[Restriction]) -> Any:
    """The dimension from which values are drawn, within the restrictions of it alone.

    Raises `SpaceError` where they leave nothing.
    """
    mine = [one for one in restrictions if one.names == (name,)]
    if not mine:
        return dimension
    if isinstance(dimension, Choice):
        kept = [value for value in dimension.values if not _broken(mine, name, value)]
        return Choice(tuple(kept)) if kept else _nothing(name, dimension, mine)
    listed = next((one for one in mine if isinstance(one, Values) and one.allowed), None)
    if listed is not None:
        kept = [value for value in listed.values if not _broken(mine, name, value)]
        return Choice(tuple(kept)) if kept else _nothing(name, dimension, mine)
    bounds = [one for one in mine if isinstance(one, Bound)]
    low = max((_inside(dimension, one) for one in bounds if not one.below), default=-math.inf)
    high = min((_inside(dimension, one) for one in bounds if one.below), default=math.inf)
    least, most = (-LARGEST, LARGEST) if isinstance(dimension, Normal) else (
        dimension.low, dimension.high)  # fmt: skip
    low, high = max(low, least), min(high, most)
    try:
        if isinstance(dimension, Normal):
            ends = FloatRange(low, high, step=dimension.step)
            return Between(dimension, ends.low, ends.high)
        if isinstance(dimension, IntRange):
            return IntRange(int(low), int(high), dimension.log, dimension.step)
        return FloatRange(low, high, dimension.log, dimension.step)
    except SpaceError:
        return _nothing(name, dimension, mine)


def _broken(mine: Iterable[Restriction], name: str, value: Any) -> bool:
    return any(one.breaks({name: value}) for one in mine)


def _nothing(name: str, dimension: Any, mine: Iterable[Restriction]) -> Any:
    texts = list(dict.fromkeys(repr(one.text) for one in mine))
    leave = "leaves" if len(texts) == 1 else "leave"
    raise SpaceError(f"{' and '.join(texts)} {leave} nothing of {name} ({dimension.describe()})")


def _inside(dimension: Any, bound: Bound) -> float:
    """The last value on the bound's side: the limit itself, or what comes before it."""
    limit = bound.limit
    if isinstance(dimension, IntRange):
        if bound.below:
            return math.ceil(limit) - 1 if bound.strict else math.floor(limit)
        return math.floor(limit) + 1 if bound.strict else math.ceil(limit)
    if not bound.strict:
        return limit
    if dimension.step is not None:
        return limit + (-0.5 if bound.below else 0.5) * float(dimension.step)
    return math.nextafter(limit, -math.inf if bound.below else math.inf)


@dataclass(frozen=True)
class Between:
    """The part of a normal dimension from ``low`` to ``high``."""

    normal: Normal
    low: float
    high: float

    def from_unit(self, u: float) -> float:
        """The value at the share ``u`` of the way, by the distribution."""
        low, high = self.normal.to_unit(self.low), self.normal.to_unit(self.high)
        return min(max(self.normal.from_unit(low + u * (high - low)), self.low), self.high)

    def sample(self, rng: random.Random) -> float:
        """Draw from the distribution as it is between the two."""
        return self.from_unit(rng.random())
