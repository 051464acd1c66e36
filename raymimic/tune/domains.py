"""Ray's param_space as a `SearchSpace`, and configurations there and back."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any

from ray.tune.search.sample import (
    Categorical,
    Domain,
    Float,
    Function,
    Integer,
    LogUniform,
    Quantized,
    Uniform,
)
from ray.tune.search.sample import Normal as NormalSampler
from ray.tune.search.variant_generator import parse_spec_vars

from raymimic.errors import ConfigError, SpaceError
from raymimic.records import Config
from raymimic.space import (
    Choice,
    Dimension,
    FloatRange,
    IntRange,
    Normal,
    SearchSpace,
    distinct,
)
from raymimic.space.reading import brief

Path = tuple[str | int, ...]


_MOST_LEVELS = 100  # of dicts in dicts: Python's own recursion ends at 1,000 calls


class RaySpace:
    """What is searched in a ``param_space``; everything else in it belongs to Tune.

    ``space`` names a nested parameter by its path, "model/layers/0". Constants stay out. So does
    what `tune.sample_from` computes: Tune draws it after a searcher's suggestion, unless Tune never
    saw the dict; then `nest` draws it.
    """

    def __init__(
        self,
        space: SearchSpace,
        paths: Mapping[str, Path],
        functions: Mapping[Path, Function],
        param_space: Mapping[str, Any],
        whole: bool,
    ) -> None:
        self.space = space
        self._paths = dict(paths)
        self._functions = dict(functions)
        searched = [*self._paths.values(), *self._functions]
        self._part = dict(param_space) if whole else _branches_to(param_space, searched)
        self._all = dict(param_space) if functions else {}  # only functions look at constants

    @classmethod
    def from_ray(cls, param_space: Mapping[str, Any], *, whole: bool = False) -> RaySpace:
        """Convert; raises `SpaceError`, with parameter and cure, for what cannot be searched.

        ``whole`` is for a dict that Tune never sees: `nest` then gives the constants, too.
        """
        if not isinstance(param_space, dict):
            raise SpaceError(f"param_space must be a dict, got {type(param_space).__name__}")
        try:
            _, domains, grids = parse_spec_vars(param_space)
            deepest = max((len(path) for path, _ in domains), default=0)
        except RecursionError:
            deepest = sys.maxsize
        if deepest > _MOST_LEVELS:
            raise SpaceError(
                f"param_space must not be nested more than {_MOST_LEVELS} levels deep; flatten it"
            )
        for path, grid in grids:
            raise SpaceError(
                f"{_name(path)}: must not be a grid_search, got {brief(grid.categories)}; "
                "use tune.choice([...]) instead: a searcher decides which values to try"
            )
        paths: dict[str, Path] = {}
        dimensions: dict[str, Dimension] = {}
        for path, domain in domains:
            if domain.is_function():
                continue
            name = _name(path)
            if name in paths:
                raise SpaceError(f"{name}: two parameters have this path; rename one key")
            paths[name] = path
            dimensions[name] = _dimension(name, domain)
        functions = {path: domain for path, domain in domains if domain.is_function()}
        return cls(SearchSpace(dimensions), paths, functions, param_space, whole)

    def nest(self, config: Config) -> dict[str, Any]:
        """What ``suggest`` returns: the searched part (or ``whole``) with values filled in.

        Lists come whole, because Tune overwrites them instead of merging.
        """
        values = {path: config[name] for name, path in self._paths.items()}
        for path, function in self._functions.items():
            values[path] = function.sample(config=_fill(self._all, values))
        nested: dict[str, Any] = _fill(self._part, values)
        return nested

    def flatten(self, nested: Mapping[str, Any]) -> Config:
        """The searched values of a nested or flat ("a/b") config, as they are: not yet checked.

        Constants and other keys are ignored. Raises `ConfigError` naming every missing key.
        """
        if not isinstance(nested, Mapping):
            raise ConfigError([f"a configuration must be a dict, got {brief(nested)}"])
        config: Config = {}
        faults = []
        for name, path in self._paths.items():
            try:
                config[name] = nested[name] if name in nested else _follow(nested, path)
            except (LookupError, TypeError):
                wanted = self.space.dimensions[name].describe()
                faults.append(f"{name}: missing, must be {wanted}")
        if faults:
            raise ConfigError(faults)
        return config


def _name(path: Path) -> str:
    for key in path:
        if "/" in str(key):
            raise SpaceError(
                f'{key}: a key must not contain "/", which separates nested keys; rename it'
            )
    return "/".join(map(str, path))


def _dimension(name: str, domain: Domain) -> Dimension:
    convert = next((c for kind, c in _CONVERSIONS.items() if isinstance(domain, kind)), None)
    dimension = None
    try:
        if convert is not None:
            dimension = convert(domain)
    except SpaceError as error:
        raise SpaceError(f"{name}: {error}") from None
    if dimension is None:
        raise SpaceError(
            f"{name}: must be one of Ray's own domains with Ray's own sampler, got "
            f"{type(domain).__name__} with {type(domain.sampler).__name__}; "
            "use tune.uniform, tune.randint, tune.choice or their kin"
        )
    return dimension


def _float(domain: Float) -> Dimension | None:
    sampler, step = _sampler(domain)
    if isinstance(sampler, NormalSampler):
        return Normal(sampler.mean, sampler.sd, step)
    if isinstance(sampler, Uniform | LogUniform):
        return FloatRange(domain.lower, domain.upper, isinstance(sampler, LogUniform), step)
    return None


def _integer(domain: Integer) -> Dimension | None:
    sampler, step = _sampler(domain)
    if not isinstance(sampler, Uniform | LogUniform):
        return None
    # Ray's upper bound is exclusive, except for a quantum other than 1 (sample.py, Quantized).
    high = domain.upper - 1 if step in (None, 1) else domain.upper
    return IntRange(domain.lower, high, isinstance(sampler, LogUniform), step or 1)


def _categorical(domain: Categorical) -> Dimension | None:
    if not isinstance(domain.get_sampler(), Uniform):
        return None
    for value in domain.categories:
        _, domains, grids = parse_spec_vars({"value": value})
        if domains or grids:
            raise SpaceError(
                f"a choice's values must be fixed, got {brief(value)}; make the inner range a "
                "parameter of its own, which the trainable ignores where it does not apply"
            )
    return Choice(distinct(domain.categories))


_CONVERSIONS = {Float: _float, Integer: _integer, Categorical: _categorical}


def _sampler(domain: Float | Integer) -> tuple[Any, Any]:
    """The sampler beneath a quantisation, and the quantum or None."""
    sampler = domain.get_sampler()
    return (sampler.sampler, sampler.q) if isinstance(sampler, Quantized) else (sampler, None)


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


def _fill(node: Any, values: Mapping[Path, Any], here: Path = ()) -> Any:
    """A copy of the dicts, lists and tuples of ``node`` with the values put in place."""
    if here in values:
        return values[here]
    if isinstance(node, dict):
        return {key: _fill(child, values, (*here, key)) for key, child in node.items()}
    if isinstance(node, list | tuple):
        filled = [_fill(child, values, (*here, index)) for index, child in enumerate(node)]
        return tuple(filled) if isinstance(node, tuple) else filled
    return node


def _follow(nested: Any, path: Path) -> Any:
    for key in path:
        if isinstance(nested, str):
            raise TypeError("a text has characters, not parameters")
        nested = nested[key]
    return nested
