"""What is optimised: any numbers of a trial's last result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from raymimic.evolution.individuals import Individual
from raymimic.records import Objective


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
