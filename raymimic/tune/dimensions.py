"""One of Ray's domains as a dimension of a `SearchSpace`."""

from __future__ import annotations

from typing import Any

from ray.tune.search.sample import (
    Categorical,
    Domain,
    Float,
    Integer,
    LogUniform,
    Quantized,
    Uniform,
)
from ray.tune.search.sample import Normal as NormalSampler

from raymimic.errors import SpaceError
from raymimic.space import Choice, Dimension, FloatRange, IntRange, Normal, distinct

Path = tuple[str | int, ...]


def name_of(path: Path) -> str:
    """A nested parameter's name: its path joined by "/"; `SpaceError` for a key that holds one."""
    for key in path:
        if "/" in str(key):
            raise SpaceError(
                f'{key}: a key must not contain "/", which separates nested keys; rename it'
            )
    return "/".join(map(str, path))


def dimension_of(name: str, domain: Domain) -> Dimension:
    """Convert; raises `SpaceError`, with parameter and cure, for what cannot be searched."""
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
    return Choice(distinct(domain.categories)) if is_even(domain) else None


def is_even(domain: Categorical) -> bool:
    """Whether a choice draws each value alike, by Ray's own sampler."""
    return isinstance(domain.get_sampler(), Uniform)


_CONVERSIONS = {Float: _float, Integer: _integer, Categorical: _categorical}


def _sampler(domain: Float | Integer) -> tuple[Any, Any]:
    """The sampler beneath a quantisation, and the quantum or None."""
    sampler = domain.get_sampler()
    return (sampler.sampler, sampler.q) if isinstance(sampler, Quantized) else (sampler, None)
