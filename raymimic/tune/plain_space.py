"""Spaces written as plain tuples and lists, read as Tune's domains; what was inferred is said."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune.search.sample import Domain

from raymimic.errors import SpaceError
from raymimic.space.reading import brief

_LOG = logging.getLogger("raymimic")

# Parameters that are searched in decades by convention, whatever their range.
_IN_DECADES = frozenset(
    (
        *("lr", "learning_rate", "min_lr", "max_lr", "base_lr", "eta", "wd", "weight_decay"),
        *("l1", "l2", "reg_alpha", "reg_lambda", "alpha", "eps", "epsilon", "tol", "c", "gamma"),
    )
)
# Parts of names whose values are fractions, also where the bounds are written as integers: (0, 1).
_FRACTIONS = ("dropout", "momentum", "beta", "rate", "ratio", "frac", "subsample", "colsample")
_WIDE = 100  # from this quotient of the bounds on a range covers decades


def plain_space(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``space`` with tuples and lists as Tune's domains; each reading is logged in a line.

    A tuple of two numbers is a range, both ends included: of whole numbers where both ends are
    (but for fractions such as "dropout"); on a logarithmic scale where its name is searched so
    ("lr", "weight_decay") or the upper end is at least 100 times the lower. A list is a choice.
    neuropt's `Uniform`, `LogUniform`, `IntUniform` and `Categorical` are read, too, a dict is read
    inside; Tune's domains and constants stay. Raises `SpaceError` for any other tuple.
    """
    return _read(space, "")


def _read(space: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in space.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            read[key] = _read(value, f"{name}/")
            continue
        found = _domain(name, str(key), value)
        read[key] = value if found is None else found[0]
        if found is not None:
            _LOG.info("%s: %s", name, found[1])
    return read


def _domain(name: str, key: str, value: Any) -> tuple[Domain, str] | None:
    """The domain that a plain value means, and that in words; None for a constant."""
    theirs = type(value).__name__ if type(value).__module__.startswith("neuropt") else ""
    if isinstance(value, list) or theirs == "Categorical":
        values = list(value) if isinstance(value, list) else list(value.choices)
        if not values:
            raise SpaceError(f"{name}: a choice needs at least one value, got []")
        return tune.choice(values), f"one of {brief(values)}"
    if theirs in ("Uniform", "LogUniform", "IntUniform"):
        whole, log = theirs == "IntUniform", theirs == "LogUniform"
        return _range(value.low, value.high, whole, log, f"as {theirs} says")
    if not isinstance(value, tuple):
        return None
    low, high = _bounds(name, value)
    by_name = key.lower() in _IN_DECADES and low > 0
    fraction = by_name or any(part in key.lower() for part in _FRACTIONS)
    whole = isinstance(low, int) and isinstance(high, int) and not fraction
    wide = low > 0 and high / low >= _WIDE
    why = "by its name" if by_name else f"{high / low:,.0f} times" if wide else "by its range"
    return _range(low, high, whole, by_name or wide, why)


def _range(low: Any, high: Any, whole: bool, log: bool, why: str) -> tuple[Domain, str]:
    kind = "whole numbers" if whole else "numbers"
    said = f"{kind} from {low:g} to {high:g}, {'logarithmic' if log else 'linear'} scale ({why})"
    if whole:
        return (tune.lograndint if log else tune.randint)(int(low), int(high) + 1), said
    return (tune.loguniform if log else tune.uniform)(float(low), float(high)), said


def _bounds(name: str, value: tuple[Any, ...]) -> tuple[Any, Any]:
    numbers = [one for one in value if isinstance(one, (int, float)) and not isinstance(one, bool)]
    fine = len(value) == len(numbers) == 2 and all(map(math.isfinite, numbers))
    if not fine or numbers[0] >= numbers[1]:
        raise SpaceError(
            f"{name}: a tuple must be (low, high), two finite numbers with low below high, got "
            f"{brief(value)}; write a choice as a list: {brief(list(value))}"
        )
    return numbers[0], numbers[1]
