"""One axis: a dimension seen by the rules, with its role and the size of a step that matters."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raymimic.advisor.roles import assign_roles
from raymimic.space import Choice, Dimension, FloatRange, IntRange, Normal, SearchSpace

SAME = 1e-4
"""Unit coordinates closer than this are the same value (as in `SearchSpace.key`)."""

UNKNOWN_STEP = 0.2
"""A step in unit coordinates where the role tells nothing."""

_SMALLEST_STEP = 0.01

# A step large enough to see its effect over the noise of a training run: half a decade of learning
# rate is the customary grid (Bengio 2012, section 3.3), sizes double, fractions that live near 1
# step by their distance to 1.
_FACTOR = {
    "learning_rate": math.sqrt(10.0),
    "weight_decay": 10.0,
    "l1": 10.0,
    "eps": 100.0,
    "batch_size": 2.0,
    "width": 2.0,
    "grad_clip": 3.0,
    "num_leaves": 2.0,
    "n_estimators": 2.0,
    "min_child_weight": 2.0,
    "entropy": 3.0,
}
_COMPLEMENT_FACTOR = {
    "momentum": 2.0,
    "beta1": 2.0,
    "beta2": 3.0,
    "discount": 2.0,
    "gae_lambda": 2.0,
}
_ADD = {
    "dropout": 0.15,
    "depth": 1.0,
    "tree_depth": 1.0,
    "subsample": 0.1,
    "colsample": 0.15,
    "clip_range": 0.1,
    "label_smoothing": 0.05,
}


@dataclass(frozen=True)
class Axis:
    """A named dimension, its role (None if the name tells nothing) and how to step along it."""

    name: str
    dimension: Dimension
    role: str | None

    @property
    def ordered(self) -> bool:
        """Whether "higher" and "lower" mean anything here."""
        return self.dimension.ordered

    @property
    def levels(self) -> tuple[Any, ...] | None:
        """The values of a choice, None for a range."""
        return self.dimension.values if isinstance(self.dimension, Choice) else None

    @property
    def fixed(self) -> bool:
        """Whether there is only one value."""
        dimension = self.dimension
        if isinstance(dimension, Choice):
            return len(dimension.values) < 2
        return not isinstance(dimension, Normal) and dimension.low >= dimension.high

    def unit(self, value: Any) -> float:
        """Give the value's unit coordinate."""
        return self.dimension.to_unit(value)

    def at(self, unit: float) -> Any:
        """Give the valid value at (or next to) a unit coordinate."""
        return self.dimension.from_unit(min(1.0, max(0.0, unit)))

    def same(self, a: Any, b: Any) -> bool:
        """Whether two values are one and the same for the search."""
        return abs(self.unit(a) - self.unit(b)) <= SAME

    def show(self, value: Any) -> str:
        """Give a value as people write it."""
        if isinstance(value, float):
            return f"{value:.3g}"
        return str(self.dimension.show(value))

    def stepped(self, value: Any, direction: int, scale: float = 1.0) -> Any | None:
        """Give the value ``scale`` natural steps up (+1) or down (-1), None at the range's end."""
        here = self.unit(value)
        unit = self._target(value, direction, scale)
        moved = self.at(unit)
        if (self.unit(moved) - here) * direction > SAME:
            return moved
        moved = self._next(value, direction)
        if moved is None or (self.unit(moved) - here) * direction <= SAME:
            return None
        return moved

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and highest number of an ordered dimension; unbounded for a normal."""
        dimension = self.dimension
        if isinstance(dimension, Choice):
            return dimension.values[0], dimension.values[-1]
        if isinstance(dimension, Normal):
            return -math.inf, math.inf
        return dimension.low, dimension.high

    def step_size(self, value: Any) -> float:
        """Give the natural step around a value in unit coordinates, at most 0.5."""
        here = self.unit(value)
        sizes = [abs(self._target(value, way, 1.0) - here) for way in (1, -1)]
        finite = 1.0 / (len(self.levels) - 1) if self.levels and len(self.levels) > 1 else 0.0
        return min(0.5, max(*sizes, finite, _SMALLEST_STEP))

    def _target(self, value: Any, direction: int, scale: float) -> float:
        here = self.unit(value)
        wanted = self._natural(value, direction, scale)
        if wanted is None:
            return min(1.0, max(0.0, here + direction * scale * UNKNOWN_STEP))
        return self.unit_of_number(wanted)

    def _natural(self, value: Any, direction: int, scale: float) -> float | None:
        if not isinstance(value, int | float) or isinstance(value, bool) or self.role is None:
            return None
        if self.role in _FACTOR and value > 0:
            return float(value * _FACTOR[self.role] ** (direction * scale))
        if self.role in _COMPLEMENT_FACTOR and value < 1:
            return float(1 - (1 - value) * _COMPLEMENT_FACTOR[self.role] ** (-direction * scale))
        if self.role in _ADD:
            return float(value + direction * scale * _ADD[self.role])
        return None

    def unit_of_number(self, number: float) -> float:
        """Give the unit coordinate of any number, those outside the range at its ends."""
        dimension = self.dimension
        if isinstance(dimension, Choice):
            log = self.role in _FACTOR and all(level > 0 for level in dimension.values)
            near = nearest(dimension.values, number, log=log)
            return self.unit(dimension.values[near])
        if isinstance(dimension, Normal):
            return self.unit(number)
        inside = min(max(number, dimension.low), dimension.high)
        if isinstance(dimension, IntRange):
            return self.unit(min(max(round(inside), dimension.low), dimension.high))
        return self.unit(inside)

    def _next(self, value: Any, direction: int) -> Any | None:
        """Give the neighbouring value of a quantised dimension, None if there is none."""
        dimension = self.dimension
        if isinstance(dimension, Choice):
            index = round(self.unit(value) * (len(dimension.values) - 1)) + direction
            return dimension.values[index] if 0 <= index < len(dimension.values) else None
        step = dimension.step
        if step is None:
            return None
        moved = value + direction * step
        if isinstance(dimension, FloatRange | IntRange) and not (
            dimension.low <= moved <= dimension.high
        ):
            return None
        return self.at(self.unit(moved))

    def others(self, value: Any, rng: random.Random) -> list[Any]:
        """Give a choice's other values in random order."""
        rest = [level for level in self.levels or () if not self.same(level, value)]
        rng.shuffle(rest)
        return rest


def nearest(levels: tuple[Any, ...], number: float, *, log: bool) -> int:
    """Give the index of the level nearest to a number (in ratio, if ``log``)."""
    scale: Callable[[float], float] = math.log if log and number > 0 else float
    return min(range(len(levels)), key=lambda i: abs(scale(levels[i]) - scale(number)))


def axes_of(space: SearchSpace) -> tuple[tuple[Axis, ...], str]:
    """Give every dimension as an axis, in the user's order, and the family of models."""
    roles, family = assign_roles(space.dimensions)
    axes = tuple(Axis(name, dim, roles[name]) for name, dim in space.dimensions.items())
    return axes, family
