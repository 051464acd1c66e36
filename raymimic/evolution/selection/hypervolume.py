"""The volume that a set of rows dominates, up to a reference point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymimic.evolution.selection.pareto import front


def hypervolume(losses: np.ndarray, reference: Sequence[float]) -> float:
    """Exact volume between the rows and ``reference`` (its losses are the worst that count).

    By slicing along the last objective (While et al., IEEE Trans. Evol. Comput. 10(1), 2006): fast
    for two or three objectives.
    """
    bound = np.asarray(reference, dtype=float)
    inside = losses[(losses < bound).all(axis=1)]
    if not len(inside):
        return 0.0
    inside = inside[front(inside)]
    if inside.shape[1] == 1:
        return float(bound[0] - inside.min())
    order = np.argsort(inside[:, -1], kind="stable")
    levels = np.append(inside[order, -1], bound[-1])
    return sum(
        float(levels[number + 1] - levels[number])
        * hypervolume(inside[order[: number + 1], :-1], reference[:-1])
        for number in range(len(order))
        if levels[number + 1] > levels[number]
    )
