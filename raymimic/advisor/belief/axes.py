"""One axis: a dimension with its role, in coordinates in which equal steps matter alike.

Coordinates run from 0 to 1. They are even in the logarithm where ratios matter (the user said so,
or published practice does), and in the logarithm of the distance to 1 for decay rates: 0.9, 0.99
and 0.999 are equally far apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.special import ndtr

from raymimic.advisor.belief.practice import practice_of
from raymimic.advisor.roles import assign_roles
from raymimic.records import Config, Scale
from raymimic.space import Choice, Dimension, IntRange, Normal, SearchSpace

Floats = npt.NDArray[np.float64]

SAME = 1e-4
"""Coordinates closer than this are the same value (as in `SearchSpace.key`)."""

_COMPLEMENTS = frozenset({"momentum", "beta1", "beta2", "discount", "gae_lambda"})
"""Roles of decay rates, whose distance to 1 is what matters."""

_SIZES = frozenset({"width", "batch_size", "n_estimators", "num_leaves", "min_child_weight"})
"""Roles of sizes, which matter in ratio."""

_RATIO = 4.0
"""A range of less than this factor is as good as linear."""

_NEAREST_TO_1 = 1e-7
"""Decay rates nearer to 1 than this are not told apart."""

DECADES = 300.0
"""Numbers lie within so many powers of ten: a belief may be as wide as one likes."""

_SMALLEST = 10.0**-DECADES

_TAIL = 1e-12
"""How far from 0 and 1 the coordinate of an unbounded dimension stays."""


@dataclass(frozen=True)
class Axis:
    """A named dimension, its role (None if the name tells nothing) and the family of models.

    One that exists only beside some values of a choice has the number of that choice's axis as
    ``parent``, and the choice's levels beside which it exists. Where it does not exist, its
    coordinate is NaN.
    """

    name: str
    dimension: Dimension
    role: str | None
    family: str
    parent: int | None = None
    beside: tuple[int, ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether "higher" and "lower" mean anything here."""
        return self.dimension.ordered

    @property
    def graded(self) -> bool:
        """Whether near coordinates are alike: ordered values, or layer lists by their size."""
        return self.dimension.graded if isinstance(self.dimension, Choice) else True

    @cached_property
    def levels(self) -> tuple[Any, ...] | None:
        """The values of a choice in the order of their coordinates, None for a range."""
        dimension = self.dimension
        if not isinstance(dimension, Choice):
            return None
        return tuple(dimension.values[place] for place in dimension.order)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The text of each value of a choice in the order of their coordinates, all different."""
        dimension = self.dimension
        if not isinstance(dimension, Choice):
            return ()
        return tuple(dimension.labels[place] for place in dimension.order)

    def label(self, value: Any) -> str:
        """Give the text of a choice's value."""
        assert isinstance(self.dimension, Choice)
        return self.dimension.labels[self.dimension.index(value)]

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and highest number of an ordered dimension; unbounded for a normal."""
        dimension = self.dimension
        if self.levels is not None:
            return float(self.levels[0]), float(self.levels[-1])
        if isinstance(dimension, Normal):
            return -math.inf, math.inf
        assert not isinstance(dimension, Choice)
        return dimension.low, dimension.high

    @cached_property
    def scale(self) -> Scale:
        """The scale of the coordinates, and of widths of a belief."""
        if not self.ordered or isinstance(self.dimension, Normal):
            return "linear"
        low, high = self.bounds
        if self.role in _COMPLEMENTS and high <= 1.0:
            return "log distance to 1"
        known = practice_of(self.role, self.family)
        ratios = self.role in _SIZES or (known is not None and known.log)
        said = bool(getattr(self.dimension, "log", False))
        return "log" if said or (ratios and low > 0 and high / low >= _RATIO) else "linear"

    def bent(self, numbers: Floats | float) -> Floats:
        """Give numbers' places on the scale: themselves, log10 of them, or -log10 of 1 - number."""
        if self.scale == "log":
            return np.asarray(np.log10(np.maximum(numbers, _SMALLEST)))
        if self.scale == "log distance to 1":
            return np.asarray(-np.log10(np.maximum(1.0 - np.asarray(numbers), _NEAREST_TO_1)))
        return np.asarray(numbers, dtype=np.float64)

    def straight(self, bent: Floats | float) -> Floats:
        """Give the numbers at places on the scale."""
        if self.scale == "log":
            return np.asarray(10.0 ** np.clip(bent, -DECADES, DECADES))
        if self.scale == "log distance to 1":
            return np.asarray(1.0 - 10.0 ** np.clip(-np.asarray(bent), -DECADES, DECADES))
        return np.asarray(bent, dtype=np.float64)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        low, high = self.bounds
        return float(self.bent(low)), float(self.bent(high))

    def unit(self, value: Any) -> float:
        """Give a value's coordinate."""
        return float(self.units([value])[0])

    def units(self, values: Sequence[Any]) -> Floats:
        """Give the coordinates of values."""
        if self.levels is not None:
            return np.array([self.dimension.to_unit(value) for value in values])
        return self._units_of_numbers(np.array(values, dtype=np.float64))

    def unit_of_number(self, number: float) -> float:
        """Give the coordinate of any number; it may lie outside 0 to 1 if the number is outside.

        Between the numbers of a list, and of those outside it the end's.
        """
        return float(self._units_of_numbers(np.float64(number)))

    def _units_of_numbers(self, numbers: Floats | np.float64) -> Floats:
        dimension = self.dimension
        if isinstance(dimension, Normal):
            return np.asarray(ndtr((numbers - dimension.mean) / dimension.sd))
        if self.levels is not None:
            places = self.bent(np.array(self.levels, dtype=np.float64))
            return np.asarray(np.interp(self.bent(numbers), places, np.linspace(0, 1, len(places))))
        low, high = self._ends
        return (self.bent(numbers) - low) / (high - low) if high > low else np.zeros_like(numbers)

    def at(self, unit: float) -> Any:
        """Give the valid value at (or next to) a coordinate."""
        dimension = self.dimension
        unit = min(1.0, max(0.0, unit))
        if isinstance(dimension, Choice | Normal):
            return dimension.from_unit(unit)
        low, high = self._ends
        number = float(self.straight(low + unit * (high - low)))
        number = min(max(number, dimension.low), dimension.high)
        if isinstance(dimension, IntRange):
            return dimension.from_unit(dimension.to_unit(round(number)))
        return dimension.from_unit(dimension.to_unit(number))

    def snapped(self, units: Floats) -> Floats:
        """Give the coordinates of the valid values nearest to ``units``."""
        dimension = self.dimension
        if isinstance(dimension, Choice):
            gaps = max(1, len(dimension.values) - 1)
            return np.asarray(np.rint(units * gaps) / gaps)
        if isinstance(dimension, Normal):
            return np.clip(units, _TAIL, 1.0 - _TAIL)
        low, high = self._ends
        if dimension.step is None or high <= low:
            return units
        numbers = np.rint(self.straight(low + units * (high - low)) / dimension.step)
        numbers = np.clip(numbers * dimension.step, dimension.low, dimension.high)
        return np.asarray((self.bent(numbers) - low) / (high - low))

    def drawn(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw coordinates evenly; of a choice, each value alike."""
        if self.levels is not None:
            gaps = max(1, len(self.levels) - 1)
            return np.asarray(rng.integers(len(self.levels), size=count) / gaps)
        return rng.random(count)

    def same(self, a: Any, b: Any) -> bool:
        """Whether two values are one and the same for the search."""
        return abs(self.unit(a) - self.unit(b)) <= SAME

    def show(self, value: Any) -> str:
        """Give a value as people write it."""
        if isinstance(value, float):
            near_1 = self.scale == "log distance to 1" and 0.999 < value < 1.0
            return f"{value:.7g}" if near_1 else f"{value:.3g}"
        return str(self.dimension.show(value))


def axes_of(space: SearchSpace) -> tuple[Axis, ...]:
    """Give every dimension as an axis, in the user's order."""
    roles, family = assign_roles(space.dimensions)
    order = {name: number for number, name in enumerate(space.dimensions)}
    axes = []
    for name, dimension in space.dimensions.items():
        axis, condition = Axis(name, dimension, roles[name], family), space.conditions.get(name)
        if condition is not None:
            choice = space.dimensions[condition.parent]
            assert isinstance(choice, Choice)
            levels = (choice.order.index(choice.index(value)) for value in condition.values)
            axis = replace(axis, parent=order[condition.parent], beside=tuple(sorted(levels)))
        axes.append(axis)
    return tuple(axes)


def units_of(axes: Sequence[Axis], configs: Iterable[Config]) -> Floats:
    """Give configurations as rows of coordinates."""
    rows = list(configs)
    units = np.full((len(rows), len(axes)), np.nan)
    for column, axis in enumerate(axes):
        having = [row for row, config in enumerate(rows) if axis.name in config]
        units[having, column] = axis.units([rows[row][axis.name] for row in having])
    return units


def level_of(axis: Axis, units: Floats) -> npt.NDArray[np.int_]:
    """Give the numbers of the levels at coordinates of a choice; below 0 where it is absent."""
    gaps = max(1, len(axis.labels) - 1)
    return np.asarray(np.rint(np.where(np.isnan(units), -1.0, units) * gaps), dtype=np.int_)


def without_absent(axes: Sequence[Axis], units: Floats) -> Floats:
    """Give the rows of coordinates with NaN for each parameter that does not exist in its row."""
    kept = np.array(units)
    for column, axis in enumerate(axes):
        if axis.parent is not None:
            levels = level_of(axes[axis.parent], kept[:, axis.parent])
            kept[~np.isin(levels, axis.beside), column] = np.nan
    return kept


def gaps_between(a: Floats, b: Floats) -> Floats:
    """Give the differences of all rows of ``a`` from all rows of ``b``, axes first.

    What exists in one of two rows alone is 1 apart, as far as an axis reaches.
    """
    gaps = a.T[:, :, None] - b.T[:, None, :]
    np.abs(gaps, out=gaps)  # in place: half the time of a second array
    absent, missing = np.isnan(a.T)[:, :, None], np.isnan(b.T)[:, None, :]
    if absent.any() or missing.any():
        np.copyto(gaps, absent != missing, where=absent | missing)
    return np.asarray(gaps)


def largest_gaps(a: Floats, b: Floats) -> Floats:
    """Give the largest along any axis of the differences that `gaps_between` gives."""
    sides = [np.hstack([np.nan_to_num(side), np.isnan(side)]) for side in (a, b)]
    return np.asarray(cdist(*sides, "chebyshev"))
