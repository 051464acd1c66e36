"""Where the statistical proposer looks: the belief, everywhere, and around the best trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymimic.advisor.belief.axes import Axis, Floats, level_of, without_absent
from raymimic.advisor.belief.prior import Priors

_BELIEVED, _EVEN, _NEAR = 300, 300, 450

_SHARES = (0.0, 0.3, 0.6)
"""Shares of the parameters that a step changes; one is changed at least."""

_STEPS = (0.05, 0.1, 0.2, 0.4)
"""Standard deviations of a step in unit coordinates."""

LISTED = 1000
"""A space with no more configurations is looked at in full."""


def candidates(
    axes: Sequence[Axis], prior: Priors, best: Floats, rng: np.random.Generator
) -> Floats:
    """Give rows of coordinates, each of a valid configuration; ``best`` has those to step from."""
    parts = [
        np.column_stack([axis.drawn(rng, _EVEN) for axis in axes]),
        prior.drawn(rng, _BELIEVED),
    ]
    if len(best):
        start = best[rng.integers(len(best), size=_NEAR)]
        if np.isnan(start).any():  # a step into another branch begins where the belief is
            start = np.where(np.isnan(start), prior.drawn(rng, _NEAR), start)
        parts.append(_steps(axes, start, rng))
    return snapped(axes, np.vstack(parts))


def snapped(axes: Sequence[Axis], units: Floats) -> Floats:
    """Give the coordinates of the valid configurations nearest to the rows."""
    valid = np.column_stack([axis.snapped(units[:, i]) for i, axis in enumerate(axes)])
    return without_absent(axes, valid)


def every(axes: Sequence[Axis]) -> Floats:
    """Give the coordinates of all configurations of a finite space."""
    rows = np.empty((1, 0))
    for axis in axes:
        count = axis.dimension.size or 1
        if axis.levels is not None:
            column = np.linspace(0.0, 1.0, count) if count > 1 else np.zeros(1)
        else:
            numbers = np.linspace(*axis.bounds, count)
            column = np.array([axis.unit_of_number(float(number)) for number in numbers])
        exists = np.ones(len(rows), dtype=bool)
        if axis.parent is not None:
            exists = np.isin(level_of(axes[axis.parent], rows[:, axis.parent]), axis.beside)
        having, others = rows[exists], rows[~exists]
        rows = np.vstack(
            [
                np.column_stack([np.repeat(having, count, axis=0), np.tile(column, len(having))]),
                np.column_stack([others, np.full(len(others), np.nan)]),
            ]
        )
    return rows


def _steps(axes: Sequence[Axis], start: Floats, rng: np.random.Generator) -> Floats:
    """Change some coordinates of each row; a step over the end of a range is turned back.

    So no candidate lies on the end of a continuous range but where a trial was already.
    """
    count, width = start.shape
    moved = rng.random((count, width)) < rng.choice(_SHARES, size=(count, 1))
    exists = ~np.isnan(without_absent(axes, start))
    one = rng.integers(width, size=count) % exists.sum(axis=1)  # of those that exist
    moved[np.arange(count), np.argsort(~exists, axis=1, kind="stable")[np.arange(count), one]] = (
        True
    )
    steps = rng.normal(size=(count, width)) * rng.choice(_STEPS, size=(count, 1))
    folded = np.abs(start + steps) % 2.0
    target = np.where(folded > 1.0, 2.0 - folded, folded)
    for i, axis in enumerate(axes):
        if not axis.graded:
            target[:, i] = axis.drawn(rng, count)
    return np.where(moved, target, start)
