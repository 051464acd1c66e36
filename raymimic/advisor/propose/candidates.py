"""Where the statistical proposer looks: the belief, everywhere, and around the best trials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from raymimic.advisor.propose.axes import Axis, Floats
from raymimic.advisor.propose.prior import Priors

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
        parts.append(_steps(axes, best[rng.integers(len(best), size=_NEAR)], rng))
    return snapped(axes, np.vstack(parts))


def snapped(axes: Sequence[Axis], units: Floats) -> Floats:
    """Give the coordinates of the valid configurations nearest to the rows."""
    return np.column_stack([axis.snapped(units[:, i]) for i, axis in enumerate(axes)])


def every(axes: Sequence[Axis]) -> Floats:
    """Give the coordinates of all configurations of a finite space."""
    columns = []
    for axis in axes:
        count = axis.dimension.size or 1
        if axis.levels is not None:
            columns.append(np.linspace(0.0, 1.0, count) if count > 1 else np.zeros(1))
        else:
            numbers = np.linspace(*axis.bounds, count)
            columns.append(np.array([axis.unit_of_number(float(number)) for number in numbers]))
    return np.array(list(itertools.product(*columns)), dtype=np.float64)


def _steps(axes: Sequence[Axis], start: Floats, rng: np.random.Generator) -> Floats:
    """Change some coordinates of each row; a step over the end of a range is turned back.

    So no candidate lies on the end of a continuous range but where a trial was already.
    """
    count, width = start.shape
    moved = rng.random((count, width)) < rng.choice(_SHARES, size=(count, 1))
    moved[np.arange(count), rng.integers(width, size=count)] = True
    steps = rng.normal(size=(count, width)) * rng.choice(_STEPS, size=(count, 1))
    folded = np.abs(start + steps) % 2.0
    target = np.where(folded > 1.0, 2.0 - folded, folded)
    for i, axis in enumerate(axes):
        if not axis.ordered:
            target[:, i] = axis.drawn(rng, count)
    return np.where(moved, target, start)
