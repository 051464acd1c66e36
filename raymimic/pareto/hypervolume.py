"""The volume that a set of rows dominates, up to a reference point."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from raymimic.pareto.dominance import Front, front

_BEYOND = 0.1


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


def boxes(losses: np.ndarray, reference: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Cut what no row dominates, up to ``reference``, into boxes: their lower and upper corners.

    The boxes (boxes, objectives) do not overlap; lower corners may be -inf. By the same slicing:
    of ``n`` rows there are at most (n + 1) ** (objectives - 1) boxes.
    """
    bound = np.asarray(reference, dtype=float)
    inside = losses[(losses < bound).all(axis=1)]
    if len(bound) == 1:
        return np.full((1, 1), -np.inf), inside.min(initial=bound[0]).reshape(1, 1)
    lowers, uppers = [], []
    levels = np.concatenate([[-np.inf], np.unique(inside[:, -1]), bound[-1:]])
    for low, high in pairwise(levels):
        lower, upper = boxes(inside[inside[:, -1] <= low, :-1], reference[:-1])
        lowers.append(np.column_stack([lower, np.full(len(lower), low)]))
        uppers.append(np.column_stack([upper, np.full(len(upper), high)]))
    return np.vstack(lowers), np.vstack(uppers)


def reference_of(best: np.ndarray) -> np.ndarray:
    """A reference point for the rows of a front: a tenth of its span beyond its worst ends.

    So its ends count, too, and little (Ishibuchi et al. 2018, Evol. Comput. 26(3)).
    """
    span = np.ptp(best, axis=0)
    return np.asarray(best.max(axis=0) + _BEYOND * np.where(span > 0, span, 1.0))


def volumes(losses: np.ndarray) -> list[float]:
    """How much of the box around the whole front the rows dominate after 1, 2, ... of them, 0 to 1.

    Rows with a NaN dominate nothing.
    """
    whole = losses[np.isfinite(losses).all(axis=1)]
    if not len(whole):
        return [0.0] * len(losses)
    best = whole[front(whole)]
    reference = reference_of(best)
    box = float(np.prod(reference - best.min(axis=0)))
    kept, found = Front(), [0.0]
    for row in losses.tolist():
        grown = np.isfinite(row).all() and kept.add(row)
        found.append(hypervolume(kept.rows, reference.tolist()) / box if grown else found[-1])
    return found[1:]
