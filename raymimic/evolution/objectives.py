"""What is optimised: any numbers of a trial's last result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raymimic.evolution.individuals import Individual
from raymimic.records import Mode


@dataclass(frozen=True)
class Objective:
    """A metric's name in the result, and whether more or less of it is better."""

    name: str
    mode: Mode

    def loss(self, values: Mapping[str, float]) -> float:
        """Its value with less being better; NaN where it is missing."""
        value = values.get(self.name, math.nan)
        return -value if self.mode == "max" else value


def losses(individuals: Iterable[Individual], objectives: Sequence[Objective]) -> np.ndarray:
    """Array (individuals, objectives), less being better in every column."""
    rows = [[one.loss(individual.values) for one in objectives] for individual in individuals]
    return np.array(rows, dtype=float).reshape(len(rows), len(objectives))


def scored(individuals: Iterable[Individual], objectives: Sequence[Objective]) -> list[Individual]:
    """Those with a finite number for every objective; a failed trial has none."""
    return [
        individual
        for individual in individuals
        if individual.status in ("done", "stopped")
        and all(math.isfinite(one.loss(individual.values)) for one in objectives)
    ]
