"""NSGA-II: Deb, Pratap, Agarwal and Meyarivan, IEEE Trans. Evol. Comput. 6(2), 2002."""

from __future__ import annotations

import random

import numpy as np

from raymimic.pareto.dominance import ranks


def crowding(losses: np.ndarray) -> np.ndarray:
    """Each row's crowding distance within one front; infinite at the ends of an objective."""
    count, width = losses.shape
    distance = np.zeros(count)
    for column in range(width):
        order = np.argsort(losses[:, column], kind="stable")
        values = losses[order, column]
        distance[order[[0, -1]]] = np.inf
        spread = values[-1] - values[0]
        if spread > 0:
            distance[order[1:-1]] += (values[2:] - values[:-2]) / spread
    return distance


def select_nsga2(losses: np.ndarray, k: int) -> list[int]:
    """The ``k`` best rows, best first: by front, within the last front by crowding distance."""
    return _order(losses)[:k]


def _order(losses: np.ndarray) -> list[int]:
    if not len(losses):
        return []
    rank = ranks(losses)
    order: list[int] = []
    for number in range(int(rank.max()) + 1):
        members = np.flatnonzero(rank == number)
        distance = crowding(losses[members])
        order += [int(one) for one in members[np.argsort(-distance, kind="stable")]]
    return order


def tournament(losses: np.ndarray, k: int, rng: random.Random) -> list[int]:
    """``k`` rows as parents, by binary tournaments on front and crowding; rows may repeat."""
    place = {row: number for number, row in enumerate(_order(losses))}
    rows = range(len(losses))
    return [min(rng.choice(rows), rng.choice(rows), key=place.__getitem__) for _ in range(k)]
