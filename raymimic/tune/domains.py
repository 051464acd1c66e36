"""Ray's param_space as a `SearchSpace`, and configurations there and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from ray.tune.search.sample import Domain, Function

from raymimic.errors import ConfigError, SpaceError
from raymimic.records import Config
from raymimic.space import Choice, SearchSpace
from raymimic.space.reading import brief
from raymimic.tune.branches import Branch, Parameter, fits, give_names, read_branch
from raymimic.tune.dimensions import Path


class RaySpace:
    """What is searched in a ``param_space``; everything else in it belongs to Tune.

    ``space`` names a nested parameter by its path, "model/layers/0". Constants stay out. So does
    what `tune.sample_from` computes: Tune draws it after a searcher's suggestion, unless Tune never
    saw the dict; then `nest` draws it. A choice of dicts with domains inside has their labels as
    values, and what stands in a branch exists only beside its label.
    """

    def __init__(self, root: Branch, param_space: Mapping[str, Any], whole: bool) -> None:
        named = list(give_names(root))
        self.space = SearchSpace(
            {one.name: one.dimension for one in named},
            {one.name: one.condition for one in named if one.condition is not None},
        )
        searched = [*(parameter.path for parameter in root.parameters), *root.functions]
        part = dict(param_space) if whole else _branches_to(param_space, searched)
        self._root = replace(root, node=part)
        self._all = dict(param_space) if root.calls else {}  # only functions look at constants

    @classmethod
    def from_ray(cls, param_space: Mapping[str, Any], *, whole: bool = False) -> RaySpace:
        """Convert; raises `SpaceError`, with parameter and cure, for what cannot be searched.

        ``whole`` is for a dict that Tune never sees: `nest` then gives the constants, too.
        """
        if callable(param_space):
            raise SpaceError(
                "param_space must be a dict, got a function: a run of it shows one path through "
                "the space, and the whole is needed before the first trial; write what depends on "
                'a value as branches, {"opt": tune.choice([{"name": "sgd", "momentum": '
                'tune.uniform(0, 0.99)}, {"name": "adam"}])}'
            )
        if not isinstance(param_space, Mapping):
            raise SpaceError(f"param_space must be a dict, got {type(param_space).__name__}")
        return cls(read_branch(dict(param_space)), dict(param_space), whole)

    def nest(self, config: Config) -> dict[str, Any]:
        """What ``suggest`` returns: the searched part (or ``whole``) with values filled in.

        Lists and branches come whole, because Tune overwrites them instead of merging.
        """
        values: dict[Path, Any] = {}
        nodes: dict[Path, Any] = {}
        functions: dict[Path, Function] = {}
        _place(self._root, config, values, nodes, functions)
        for path, function in functions.items():
            values[path] = function.sample(config=_fill(self._all, values, nodes))
        nested: dict[str, Any] = _fill(self._root.node, values, nodes)
        return nested

    def flatten(self, nested: Mapping[str, Any]) -> Config:
        """The searched values of a nested or flat ("a/b") config, as they are: not yet checked.

        Which branch of a choice is meant its constants and keys tell; its label does, too.
        Constants and other keys are ignored. Raises `ConfigError` naming every missing key.
        """
        if not isinstance(nested, Mapping):
            raise ConfigError([f"a configuration must be a dict, got {brief(nested)}"])
        branching = any(parameter.branches for parameter in self._root.parameters)
        return self._read(self._root, _unflattened(nested) if branching else nested, nested)

    def _read(self, branch: Branch, nested: Mapping[str, Any], flat: Mapping[str, Any]) -> Config:
        config: Config = {}
        faults = []
        for parameter in branch.parameters:
            name = parameter.name
            try:
                value = flat[name] if name in flat else _follow(nested, parameter.path)
            except (LookupError, TypeError):
                wanted = self.space.dimensions[name].describe()
                faults.append(f"{name}: missing, must be {wanted}")
                continue
            try:
                if not parameter.branches:
                    config[name] = value
                    continue
                config[name], inside = self._branch(parameter, value, nested, flat)
                config |= inside
            except ConfigError as error:
                faults += error.faults
        if faults:
            raise ConfigError(faults)
        return config

    def _branch(
        self, parameter: Parameter, value: Any, nested: Mapping[str, Any], flat: Mapping[str, Any]
    ) -> tuple[Any, Config]:
        """The label of the branch that is meant, and the values within it; raises `ConfigError`."""
        choice = self.space.dimensions[parameter.name]
        assert isinstance(choice, Choice)
        told = _index(choice, value)  # by its label, or a value that is no branch
        if told is not None:
            branch = parameter.branches.get(told)
            inside = {} if branch is None else self._read(branch, nested, flat)
            return choice.values[told], inside
        fitting = [
            level
            for whole in (True, False)
            for level, branch in parameter.branches.items()
            if fits(branch.node, value, whole=whole)
        ]
        if not fitting:
            raise ConfigError(
                [f"{parameter.name}: must be {_texts(choice, parameter)}, got {brief(value)}"]
            )
        read = [
            (choice.values[level], self._read(parameter.branches[level], nested, flat))
            for level in fitting
        ]
        return next((found for found in read if self._valid(found[1])), read[0])

    def _valid(self, values: Config) -> bool:
        try:
            return not any(self.space.dimensions[n].read(value)[1] for n, value in values.items())
        except ConfigError:
            return False


def _index(choice: Choice, value: Any) -> int | None:
    try:
        return choice.index(value)
    except ConfigError:
        return None


def _texts(choice: Choice, parameter: Parameter) -> str:
    """The values of a choice, of a branch the keys that it must have."""
    texts = []
    for level, label in enumerate(choice.labels):
        node = parameter.branches[level].node if level in parameter.branches else None
        texts.append(f"{label} ({', '.join(map(str, node))})" if isinstance(node, dict) else label)
    return "one of " + "; ".join(texts)


def _place(
    branch: Branch,
    config: Config,
    values: dict[Path, Any],
    nodes: dict[Path, Any],
    functions: dict[Path, Function],
) -> None:
    """Collect what goes where: values, the nodes of chosen branches, and functions to call."""
    functions |= branch.functions
    for parameter in branch.parameters:
        value, choice = config[parameter.name], parameter.dimension
        level = _index(choice, value) if isinstance(choice, Choice) else None
        inner = None if level is None else parameter.branches.get(level)
        if inner is None:
            values[parameter.path] = value
            continue
        if not isinstance(inner.node, Domain):
            nodes[parameter.path] = inner.node
        _place(inner, config, values, nodes, functions)


def _branches_to(node: Any, paths: Collection[Path], here: Path = ()) -> Any:
    """The dict ``node`` without the branches that hold none of the paths; lists stay whole."""
    if not isinstance(node, dict) or here in paths:
        return node
    depth = len(here) + 1
    return {
        key: _branches_to(child, paths, (*here, key))
        for key, child in node.items()
        if any(path[:depth] == (*here, key) for path in paths)
    }


def _fill(node: Any, values: Mapping[Path, Any], nodes: Mapping[Path, Any], here: Path = ()) -> Any:
    """A copy of the dicts, lists and tuples of ``node`` with values and branches put in place."""
    if here in values:
        return values[here]
    node = nodes.get(here, node)
    if isinstance(node, dict):
        return {key: _fill(child, values, nodes, (*here, key)) for key, child in node.items()}
    if isinstance(node, list | tuple):
        filled = [_fill(child, values, nodes, (*here, at)) for at, child in enumerate(node)]
        return tuple(filled) if isinstance(node, tuple) else filled
    return node


def _follow(nested: Any, path: Path) -> Any:
    for key in path:
        if isinstance(nested, str):
            raise TypeError("a text has characters, not parameters")
        nested = nested[key]
    return nested


def _unflattened(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config with its flat keys ("opt/momentum", as Tune reports them) put in their places."""
    nested: dict[str, Any] = dict(given)
    for key, value in given.items():
        *home, last = key.split("/") if isinstance(key, str) else [key]
        node = nested
        for part in home:
            inner = node.get(part, {})
            if not isinstance(inner, Mapping):
                break
            node[part] = dict(inner)
            node = node[part]
        else:
            if home:
                node[last] = value
    return nested
