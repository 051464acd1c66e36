"""A param_space as a tree: what is searched, and what exists only in one branch of a choice."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from ray.tune.search.sample import Categorical, Domain, Function
from ray.tune.search.variant_generator import parse_spec_vars

from raymimic.errors import SpaceError
from raymimic.space import Choice, Condition, Dimension, distinct
from raymimic.space.choice import same
from raymimic.space.reading import brief
from raymimic.tune.dimensions import Path, dimension_of, is_even, name_of

_MOST_LEVELS = 100  # of dicts and choices in each other: Python's own recursion ends at 1,000 calls

_LABEL_LENGTH = 60

_PLACEHOLDERS = ("__fn_ph", "__ref_ph")
"""First items of the tuples that Tune puts in the place of functions and objects until it starts a
trial."""


@dataclass
class Parameter:
    """A searched value: its full path, its dimension, and the branches of a choice by level.

    Of a choice with ranges inside, each branch is told by a label; ``branches`` holds them and all
    dicts beside them. ``name`` is that of the dimension in the search space.
    """

    path: Path
    dimension: Dimension
    branches: dict[int, Branch] = field(default_factory=dict)
    name: str = ""


@dataclass
class Branch:
    """Something that is filled in: the whole param_space, or one value of a choice.

    ``functions`` are `tune.sample_from`; paths are full ones.
    """

    node: Any
    parameters: list[Parameter]
    functions: dict[Path, Function]

    @property
    def calls(self) -> bool:
        """Whether a function is in it, or in a branch within."""
        inner = (b for p in self.parameters for b in p.branches.values())
        return bool(self.functions) or any(branch.calls for branch in inner)


@dataclass(frozen=True)
class Named:
    """A dimension of the search space, and where it exists."""

    name: str
    dimension: Dimension
    condition: Condition | None


def read_branch(node: Any, path: Path = (), level: int = 0) -> Branch:
    """Read a param_space, or what stands at ``path`` below ``level`` choices.

    Raises `SpaceError`, with parameter and cure, for what cannot be searched.
    """
    try:
        _, domains, grids = parse_spec_vars({"": node})
        deepest = max((len(relative) for relative, _ in domains), default=0)
    except RecursionError:
        domains, grids, deepest = [], [], sys.maxsize
    if deepest + len(path) + level > _MOST_LEVELS:
        raise SpaceError(
            f"param_space must not be nested more than {_MOST_LEVELS} levels deep; flatten it"
        )
    for relative, grid in grids:
        raise SpaceError(
            f"{name_of((*path, *relative[1:]))}: must not be a grid_search, got "
            f"{brief(grid.categories)}; "
            "use tune.choice([...]) instead: a searcher decides which values to try"
        )
    branch = Branch(node, [], {})
    for relative, domain in domains:
        here = (*path, *relative[1:])
        if domain.is_function():
            branch.functions[here] = domain
        else:
            branch.parameters.append(_parameter(here, domain, level))
    return branch


def _parameter(path: Path, domain: Domain, level: int) -> Parameter:
    if isinstance(domain, Categorical) and is_even(domain):
        values = distinct(domain.categories)
        inner = [read_branch(value, path, level + 1) for value in values]
        if any(branch.parameters or branch.functions for branch in inner):
            branches = {
                number: branch
                for number, branch in enumerate(inner)
                if branch.parameters or branch.functions or isinstance(branch.node, dict)
            }
            plain = set(_texts(domain))
            labels = dict(zip(branches, _labels(list(branches.values()), plain), strict=True))
            choice = Choice(tuple(labels.get(i, value) for i, value in enumerate(values)))
            return Parameter(path, choice, branches)
    return Parameter(path, dimension_of(name_of(path), domain))


# -- names -------------------------------------------------------------------------------------


def _labels(branches: list[Branch], taken: set[str]) -> list[str]:
    """A different text for each branch: its name if it has one, else what tells them apart."""
    ways = (_first_text, _constants, _keys)
    for number in range(len(ways)):
        texts = [
            next(text for way in ways[number:] if (text := way(branch.node))) for branch in branches
        ]
        texts = [text[:_LABEL_LENGTH] for text in texts]
        if len({*texts} | taken) == len(texts) + len(taken):
            return texts
    return [f"{text} #{number}" for number, text in enumerate(texts, start=1)]


def _texts(node: Any) -> Iterator[str]:
    """The texts that may be drawn in the place of a choice: a label must be none of them."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Categorical):
        for category in node.categories:
            yield from _texts(category)


def _first_text(node: Any) -> str:
    texts = (value for value in node.values() if isinstance(value, str)) if _is_dict(node) else ()
    return next(iter(texts), "")


def _constants(node: Any) -> str:
    if not _is_dict(node):
        return ""
    plain = {k: v for k, v in node.items() if v is None or isinstance(v, bool | int | float | str)}
    return ", ".join(f"{key}={value}" for key, value in plain.items())


def _keys(node: Any) -> str:
    if _is_dict(node):
        return ", ".join(map(str, node)) or "{}"
    if isinstance(node, Categorical):
        return f"one of {brief(node.categories)}"
    if isinstance(node, Domain):
        return f"{type(node).__name__.lower()} {node.domain_str}"
    return (
        f"{type(node).__name__} of {len(node)}" if isinstance(node, list | tuple) else brief(node)
    )


def _is_dict(node: Any) -> bool:
    return isinstance(node, dict)


def give_names(root: Branch) -> Iterator[Named]:
    """Name every parameter of the tree and yield the dimensions, a choice before its branches.

    A parameter in a branch is named by its path, "opt/momentum"; if it is of the same kind in
    several branches, it is one and the same. Where branches differ in it, each has its own:
    "opt[sgd]/lr" and "opt[adam]/lr". Raises `SpaceError` where two have one name.
    """
    taken: set[str] = set()
    for named in _named(root.parameters):
        if named.name in taken:
            raise SpaceError(f"{named.name}: two parameters have this path; rename one key")
        taken.add(named.name)
        yield named


def _named(parameters: list[Parameter]) -> Iterator[Named]:
    for parameter in parameters:
        parameter.name = name_of(parameter.path)
        yield Named(parameter.name, parameter.dimension, None)
        yield from _inside(parameter)


def _inside(choice: Parameter) -> Iterator[Named]:
    groups: dict[Path, list[dict[int, Parameter]]] = {}
    for level, branch in choice.branches.items():
        for parameter in branch.parameters:
            found = groups.setdefault(parameter.path, [])
            twins = next((group for group in found if _alike(parameter, group)), None)
            if twins is None:
                found.append({level: parameter})
            else:
                twins[level] = parameter
    for path, found in groups.items():
        assert isinstance(choice.dimension, Choice)
        relative = name_of(path[len(choice.path) :])
        for group in found:
            label = choice.dimension.labels[min(group)].replace("/", "_")
            own = len(found) > 1 or not relative
            stem = f"{choice.name}[{label}]" if own else choice.name
            first = next(iter(group.values()))
            for parameter in group.values():
                parameter.name = f"{stem}/{relative}" if relative else stem
            beside = tuple(choice.dimension.values[level] for level in group)
            yield Named(first.name, first.dimension, Condition(choice.name, beside))
            yield from _inside(first)


def _alike(parameter: Parameter, group: Mapping[int, Parameter]) -> bool:
    """Whether a parameter is of the same kind as those of a group; one with branches never is."""
    mine, other = parameter.dimension, next(iter(group.values())).dimension
    if parameter.branches or type(mine) is not type(other):
        return False
    if isinstance(mine, Choice) and isinstance(other, Choice):
        return same(mine.values, other.values)
    return mine == other


# -- which branch a configuration is of ----------------------------------------------------------


def fits(node: Any, value: Any, *, whole: bool) -> bool:
    """Whether a value may have come of a branch, as far as its constants and keys tell.

    Unless ``whole``, constants may be left out; what is searched may not. Whatever Tune holds a
    placeholder for fits.
    """
    if isinstance(node, Categorical):
        return any(fits(category, value, whole=whole) for category in node.categories)
    if isinstance(node, Domain):
        return node.is_function() or isinstance(value, Real)
    if isinstance(node, dict):
        if not isinstance(value, Mapping) or not all(key in node for key in value):
            return False
        return all(
            fits(child, value[key], whole=whole)
            if key in value
            else not whole and not _searched(child)
            for key, child in node.items()
        )
    if isinstance(node, tuple) and node and node[0] in _PLACEHOLDERS:
        return True
    if isinstance(node, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(node)
            and all(fits(*pair, whole=whole) for pair in zip(node, value, strict=True))
        )
    return same(node, value)


def _searched(node: Any) -> bool:
    _, domains, _ = parse_spec_vars({"": node})
    return any(not domain.is_function() for _, domain in domains)
