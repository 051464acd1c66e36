"""Dominance and non-dominated sorting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def dominance(losses: np.ndarray) -> np.ndarray:
    """Boolean array (n, n): row i is nowhere worse than j and somewhere better."""
    no_worse = (losses[:, None, :] <= losses[None, :, :]).all(axis=2)
    better = (losses[:, None, :] < losses[None, :, :]).any(axis=2)
    return np.asarray(no_worse & better)


def ranks(losses: np.ndarray) -> np.ndarray:
    """Each row's front: 0 where nothing dominates it, 1 where only rows of front 0 do, ..."""
    found = np.full(len(losses), -1)
    left, rank = np.arange(len(losses)), 0
    while len(left):
        free = front(losses[left])
        found[left[free]] = rank
        left, rank = np.delete(left, free), rank + 1
    return found


def front(losses: np.ndarray) -> np.ndarray:
    """Indices of the rows that no other dominates, in order; equal rows are all in it.

    In time rows x front and in memory rows: a long search has 10,000 of them.
    """
    left, found = np.lexsort(losses.T[::-1]) if losses.size else np.arange(len(losses)), []
    while len(left):  # the first in lexicographic order is dominated by none of those left
        first, row = left[0], losses[left[0]]
        found.append(first)
        equal = (losses[left] == row).all(axis=1)
        beaten = (losses[left] >= row).all(axis=1) & ~equal
        found += left[equal][1:].tolist()
        left = left[~beaten & ~equal]
    return np.sort(np.array(found, dtype=int))


class Front:
    """A front that grows row by row; NaN counts as the worst value."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> np.ndarray:
        """Array (rows, objectives)."""
        return np.array(self._rows)

    def add(self, losses: Sequence[float]) -> bool:
        """Take in a row; whether no other dominates it now."""
        row = tuple(math.inf if math.isnan(loss) else loss for loss in losses)
        if any(_dominates(other, row) for other in self._rows):
            return False
        self._rows = [*(other for other in self._rows if not _dominates(row, other)), row]
        return True


def _dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
