"""SPEA2: Zitzler, Laumanns and Thiele, TIK-Report 103, ETH Zurich, 2001.

Distances are taken between objectives scaled to [0, 1] over the rows: else parameters, in hundred
thousands, would leave nothing of accuracy. (DEAP 1.4.4 does not scale, and its density reads only
half of the distances; pymoo 0.6.2 agrees with this file where objectives are scaled.)
"""

from __future__ import annotations

import numpy as np

from raymimic.pareto.dominance import dominance


def select_spea2(losses: np.ndarray, k: int) -> list[int]:
    """The ``k`` rows of SPEA2's next archive, best first."""
    if not len(losses):
        return []
    dominates = dominance(losses)
    distances = _distances(losses)
    fitness = _raw_fitness(dominates) + _density(distances)
    chosen = [int(row) for row in np.flatnonzero(~dominates.any(axis=0))]
    if len(chosen) > k:
        chosen = _truncate(chosen, distances, k)
    chosen.sort(key=fitness.__getitem__)
    others = [int(row) for row in np.argsort(fitness, kind="stable") if row not in set(chosen)]
    return (chosen + others)[:k]


def _distances(losses: np.ndarray) -> np.ndarray:
    spread = np.ptp(losses, axis=0)
    scaled = losses / np.where(spread > 0, spread, 1.0)
    found = np.sqrt(((scaled[:, None, :] - scaled[None, :, :]) ** 2).sum(axis=2))
    np.fill_diagonal(found, np.inf)
    return np.asarray(found)


def _raw_fitness(dominates: np.ndarray) -> np.ndarray:
    """The strengths of all that dominate a row, a strength being how many rows one dominates."""
    strength = dominates.sum(axis=1)
    raw: np.ndarray = (dominates * strength[:, None]).sum(axis=0).astype(float)
    return raw


def _density(distances: np.ndarray) -> np.ndarray:
    """1 / (distance to the k-th nearest neighbour + 2), k the root of the number of rows."""
    count = len(distances)
    k = min(max(1, int(np.sqrt(count))), count) - 1
    nearest = np.sort(distances, axis=1)[:, k]
    found: np.ndarray = 1.0 / (nearest + 2.0)
    return np.asarray(found)


def _truncate(chosen: list[int], distances: np.ndarray, k: int) -> list[int]:
    """Drop the row nearest to another, ties by the next nearest, until ``k`` are left."""
    kept = list(chosen)
    while len(kept) > k:
        near = np.sort(distances[np.ix_(kept, kept)], axis=1)
        kept.pop(min(range(len(kept)), key=lambda row: tuple(near[row])))
    return kept
