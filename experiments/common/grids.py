"""A table's columns as search ranges, and any configuration of them as a row of the table."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ray import tune

Scale = Literal["linear", "log", "choice", "one_minus_log"]


@dataclass(frozen=True)
class Column:
    """One parameter: its range in the search, and the coordinate (0 to 1) in which rows are near.

    "one_minus_log" is for decay rates such as Adam's betas: searched as they are, but 0.9, 0.99 and
    0.999 are equally far apart.
    """

    name: str
    scale: Scale
    low: float
    high: float
    whole: bool = False
    values: tuple[Any, ...] = ()

    @classmethod
    def of_grid(cls, name: str, values: Sequence[Any]) -> Column:
        """The range that fits a grid: even steps or even ratios; two values or words: a choice."""
        distinct = tuple(sorted(set(values)))
        if len(distinct) <= 2 or any(isinstance(value, str) for value in distinct):
            return cls(name, "choice", 0, 0, values=distinct)
        numbers = np.array(distinct, dtype=float)
        whole = all(isinstance(value, int) for value in distinct)
        log = numbers[0] > 0 and _unevenness(np.log(numbers)) < _unevenness(numbers)
        return cls(name, "log" if log else "linear", distinct[0], distinct[-1], whole)

    def domain(self) -> Any:
        """The column as Ray Tune's domain."""
        if self.scale == "choice":
            return tune.choice(list(self.values))
        if self.whole:
            ints = tune.lograndint if self.scale == "log" else tune.randint
            return ints(int(self.low), int(self.high) + 1)  # Ray's upper bound is exclusive
        floats = tune.loguniform if self.scale == "log" else tune.uniform
        return floats(self.low, self.high)

    def unit(self, value: Any) -> float:
        """The value's place between 0 and 1."""
        if self.scale == "choice":
            return self.values.index(value) / max(1, len(self.values) - 1)
        place, low, high = map(self._bend, (float(value), self.low, self.high))
        return (place - low) / (high - low)

    def _bend(self, value: float) -> float:
        if self.scale == "log":
            return math.log(value)
        return -math.log1p(-value) if self.scale == "one_minus_log" else value


def _unevenness(points: np.ndarray) -> float:
    steps = np.diff(points)
    return float(steps.std() / steps.mean())


class NearestRow:
    """Finds the row of a table whose configuration is nearest, by the sum of squared differences.

    On a full grid that is the nearest grid point in every column.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
        self.columns = tuple(columns)
        self._points = np.array(
            [
                [column.unit(value) for column, value in zip(columns, row, strict=True)]
                for row in rows
            ]
        )
        self._latest: tuple[tuple[float, ...], int] | None = None

    def __call__(self, config: dict[str, Any]) -> int:
        """The index of the row; the same configuration again costs nothing."""
        point = tuple(column.unit(config[column.name]) for column in self.columns)
        if self._latest is None or self._latest[0] != point:
            distances = np.square(self._points - np.array(point)).sum(axis=1)
            self._latest = point, int(distances.argmin())
        return self._latest[1]

    def unused(self, config: dict[str, Any], used: Collection[int]) -> int:
        """The index of the nearest row that is not among ``used``."""
        point = np.array([column.unit(config[column.name]) for column in self.columns])
        distances = np.square(self._points - point).sum(axis=1)
        distances[list(used)] = np.inf
        return int(distances.argmin())
