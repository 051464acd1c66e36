"""Dominance and non-dominated sorting."""

from __future__ import annotations

import numpy as np


def dominance(losses: np.ndarray) -> np.ndarray:
    """Boolean array (n, n): row i is nowhere worse than j and somewhere better."""
    no_worse = (losses[:, None, :] <= losses[None, :, :]).all(axis=2)
    better = (losses[:, None, :] < losses[None, :, :]).any(axis=2)
    return np.asarray(no_worse & better)


def ranks(losses: np.ndarray) -> np.ndarray:
    """Each row's front: 0 where nothing dominates it, 1 where only rows of front 0 do, ..."""
    dominates = dominance(losses)
    found = np.full(len(losses), -1)
    rank = 0
    while (found < 0).any():
        left = found < 0
        free = left & ~dominates[left].any(axis=0)
        found[free] = rank
        rank += 1
    return found


def front(losses: np.ndarray) -> np.ndarray:
    """Indices of the rows that no other dominates, in order; equal rows are all in it."""
    return np.flatnonzero(~dominance(losses).any(axis=0))
