"""Restrictions written as text: ``width * depth <= 2048``, ``lr < 0.01``, ``opt != "sgd"``.

Python's syntax, read with `ast` and computed node by node: arithmetic, comparisons, ``and``,
``or``, ``not`` and ``in`` over the space's parameters, and nothing else.
"""

from __future__ import annotations

import ast
import keyword
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from raymimic.errors import ConfigError, SpaceError
from raymimic.records import Config
from raymimic.space.choice import Choice, is_number
from raymimic.space.reading import brief

MOST_TEXT = 500
"""Characters of one restriction."""

_MOST_NODES = 200
_MOST_POWER = 64

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGNS: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SAMENESS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: same(a, b),
    ast.NotEq: lambda a, b: not same(a, b),
    ast.In: lambda a, b: any(same(a, one) for one in b),
    ast.NotIn: lambda a, b: not any(same(a, one) for one in b),
}

_FAULTS = (ArithmeticError, TypeError, ValueError)


def same(a: Any, b: Any) -> bool:
    """Whether two values of a configuration are one: floats up to rounding."""
    if isinstance(a, float) or isinstance(b, float):
        try:
            return math.isclose(a, b, rel_tol=1e-9)
        except TypeError:
            return False
    return type(a) is type(b) and bool(a == b)


@dataclass(frozen=True)
class Formula:
    """A comparison of parameters, or several joined by ``and``, ``or``, ``not``.

    It holds where one of its parameters does not exist. A configuration for which it cannot be
    computed (a division by zero) breaks it.
    """

    text: str
    names: tuple[str, ...]
    tree: ast.expr = field(compare=False, repr=False)
    choices: Mapping[str, Choice] = field(compare=False, repr=False)

    def breaks(self, config: Config) -> str:
        """Say why a configuration is outside, "" where it is not."""
        if any(name not in config for name in self.names):
            return ""
        try:
            values = {
                name: self.choices[name].show(config[name])
                if name in self.choices
                else config[name]
                for name in self.names
            }
            return "" if _value(self.tree, values) else self.text
        except _FAULTS as error:
            return f"{self.text} (cannot be computed: {error})"


def parse(text: str, dimensions: Mapping[str, Any]) -> tuple[ast.expr, str]:
    """Read a restriction of these parameters; give its tree, in which they are `ast.Name` nodes.

    Raises `SpaceError` for text that is too long, no such expression, or names what is not there.
    """
    if len(text) > MOST_TEXT:
        raise SpaceError(f"must have at most {MOST_TEXT} characters, got {len(text):,}")
    plain, places = _plain(text, dimensions)
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SpaceError(
            f"must be a comparison of parameters such as 'width * depth <= 2048', got {brief(text)}"
        ) from None
    nodes = list(ast.walk(tree))
    if len(nodes) > _MOST_NODES:
        raise SpaceError(f"must be simpler: {brief(text)} has {len(nodes)} parts")
    for node in nodes:
        if isinstance(node, ast.Name):
            node.id = places.get(node.id, node.id)
            if node.id not in dimensions:
                raise SpaceError(unknown(node.id, dimensions))
    _check(tree, text, dimensions)
    return tree, text.strip()


def unknown(
    name: str, names: Collection[str], aliases: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Say that there is no such parameter, and which may be meant; ``aliases`` in lower case."""
    called = {**aliases, **{known.lower(): known for known in names}}
    near = get_close_matches(name.lower(), called, n=1, cutoff=0.5)
    meant = called[near[0]] if near else ""
    listed = ", ".join(list(names)[:12]) + (" and more" if len(names) > 12 else "")
    hint = f"did you mean {meant}? There are" if meant else "there are"
    return f"{brief(name)} is no parameter of this search; {hint} {listed}"


def names_in(tree: ast.expr) -> tuple[str, ...]:
    """The parameters that a tree speaks of."""
    found = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return tuple(dict.fromkeys(found))


def constant(tree: ast.expr) -> Any:
    """The value of a tree without parameters; raises `SpaceError` where there is none."""
    try:
        return _value(tree, {})
    except _FAULTS as error:
        raise SpaceError(f"{ast.unparse(tree)!r} cannot be computed: {error}") from None


def _plain(text: str, names: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The text with a plain word for each name that Python's syntax cannot hold ("model/width")."""
    odd = sorted(
        (name for name in names if not name.isidentifier() or keyword.iskeyword(name)),
        key=len,
        reverse=True,
    )
    if not odd:
        return text, {}
    words = {name: f"parameter_{number}_" for number, name in enumerate(odd)}
    listed = "|".join(re.escape(name) for name in odd)
    pattern = re.compile(rf"""("[^"]*"|'[^']*')|(?<![\w/.])({listed})(?![\w/])""")

    def replaced(found: re.Match[str]) -> str:
        return found[1] or words[found[2]]

    return pattern.sub(replaced, text), {word: name for name, word in words.items()}


# -- what may stand in a tree ----------------------------------------------------------------------


def _check(tree: ast.expr, text: str, dimensions: Mapping[str, Any]) -> None:
    """Raise `SpaceError` for a part that is neither arithmetic nor a comparison."""
    if not _is_truth(tree):
        raise SpaceError(
            f"must compare something with <, <=, ==, !=, >=, > or in, got {brief(text)}"
        )
    for node in ast.walk(tree):
        allowed = (
            ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Name, ast.Constant, ast.Tuple,
            ast.List, ast.Set, ast.expr_context, ast.boolop, ast.cmpop, ast.unaryop, ast.operator,
        )  # fmt: skip
        foreign = isinstance(node, ast.BinOp) and type(node.op) not in {*_ARITHMETIC, ast.Pow}
        foreign |= isinstance(node, ast.UnaryOp) and type(node.op) not in _SIGNS
        if foreign or not isinstance(node, allowed):
            part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise SpaceError(
                f"may hold arithmetic, comparisons, and, or, not and in, got {brief(part)}; give a "
                "function in constraints=[...] for anything else"
            )
        if isinstance(node, ast.Compare):
            _check_choices(node, dimensions)
    _check_words(tree, dimensions)


def _is_truth(tree: ast.expr) -> bool:
    """Whether a tree is a comparison, or comparisons joined by and, or, not."""
    if isinstance(tree, ast.BoolOp):
        return all(map(_is_truth, tree.values))
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        return _is_truth(tree.operand)
    return isinstance(tree, ast.Compare)


def _check_choices(node: ast.Compare, dimensions: Mapping[str, Any]) -> None:
    """See that each text compared with a choice is one of its values, and write it as JSON does."""
    sides = [node.left, *node.comparators]
    for a, op, b in zip(sides, node.ops, sides[1:], strict=False):
        if type(op) not in {*_ORDER, *_SAMENESS}:
            raise SpaceError(
                f"may compare with <, <=, ==, !=, >=, > or in, got {ast.unparse(node)}"
            )
        for name, other in ((a, b), (b, a)):
            choice = dimensions[name.id] if isinstance(name, ast.Name) else None
            if isinstance(choice, Choice) and type(op) in _SAMENESS:
                _name_values(name, choice, other)


def _name_values(name: ast.expr, choice: Choice, other: ast.expr) -> None:
    for node in ast.walk(other):
        if isinstance(node, ast.Constant):
            try:
                node.value = choice.show(choice.read(node.value)[0])
            except ConfigError as error:
                raise SpaceError(f"{ast.unparse(name)}: {error}") from None


def _check_words(tree: ast.expr, dimensions: Mapping[str, Any]) -> None:
    """See that a choice of no numbers is compared for sameness only."""
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.BinOp):
            parts = [node.left, node.right]
        elif isinstance(node, ast.Compare) and any(type(op) in _ORDER for op in node.ops):
            parts = [node.left, *node.comparators]
        for part in parts:
            choice = dimensions[part.id] if isinstance(part, ast.Name) else None
            if isinstance(choice, Choice) and not all(map(is_number, choice.values)):
                raise SpaceError(
                    f"{ast.unparse(part)} is {choice.describe(8)}: compare it with ==, != or in"
                )


# -- computing -------------------------------------------------------------------------------------


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.UnaryOp):
        return _SIGNS[type(node.op)](_value(node.operand, values))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, values), _value(node.right, values)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        return _ARITHMETIC[type(node.op)](left, right)
    if isinstance(node, ast.BoolOp):
        joined = all if isinstance(node.op, ast.And) else any
        return joined(_value(part, values) for part in node.values)
    if isinstance(node, ast.Compare):
        return _compared(node, values)
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return [_value(part, values) for part in node.elts]
    raise TypeError(f"{type(node).__name__} is no arithmetic")  # `parse` lets none through


def _power(base: Any, exponent: Any) -> float:
    if abs(exponent) > _MOST_POWER:
        raise ValueError(f"a power of more than {_MOST_POWER}")
    power = math.pow(base, exponent)
    return int(power) if power.is_integer() and abs(power) < 2**53 else power


def _compared(node: ast.Compare, values: Mapping[str, Any]) -> bool:
    sides = [_value(side, values) for side in (node.left, *node.comparators)]
    for a, op, b in zip(sides, node.ops, sides[1:], strict=False):
        compare = _ORDER.get(type(op)) or _SAMENESS[type(op)]
        if not compare(a, b):
            return False
    return True
