"""What the results so far say about single edits: which direction helped, from where, how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raymimic.advisor.base import TrialRecord
from raymimic.advisor.propose.axes import SAME
from raymimic.advisor.propose.known_trials import Field

_COMPARED = 60


@dataclass(frozen=True)
class Neighbour:
    """A trial that differs from another on one axis only, ``gap`` unit coordinates away."""

    trial: TrialRecord
    gap: float
    better: bool


def neighbours(field: Field, index: int, axis: int, direction: int) -> list[Neighbour]:
    """Give the trials one edit away from a trial along an axis, nearest first; failures are worse.

    On an unordered axis the direction means nothing and every other category counts.
    """
    here = field.units[index]
    found = []
    for rows, trials, failed in (
        (field.units, field.trials, False),
        (field.failed, field.failures, True),
    ):
        if not len(rows):
            continue
        apart = np.abs(rows - here) > SAME
        only_here = apart[:, axis] & (apart.sum(axis=1) == 1)
        for row in np.flatnonzero(only_here).tolist():
            gap = float(rows[row, axis] - here[axis])
            if field.axes[axis].ordered and gap * direction < 0:
                continue
            better = not failed and field.better(trials[row], field.trials[index])
            found.append(Neighbour(trials[row], abs(gap), better))
    return sorted(found, key=lambda neighbour: neighbour.gap)


def track_record(field: Field) -> dict[tuple[int, int], tuple[int, int]]:
    """Count how often moving along an axis helped and hurt: {(axis, direction): (helped, hurt)}.

    Taken from all pairs of good trials that differ on that one ordered axis only.
    """
    counts: dict[tuple[int, int], tuple[int, int]] = {}
    units = field.units[:_COMPARED]
    for worse in range(1, len(units)):
        apart = np.abs(units[:worse] - units[worse]) > SAME
        for best in np.flatnonzero(apart.sum(axis=1) == 1).tolist():
            if not field.better(field.trials[best], field.trials[worse]):
                continue
            axis = int(np.flatnonzero(apart[best])[0])
            if not field.axes[axis].ordered:
                continue
            way = 1 if units[best, axis] > units[worse, axis] else -1
            for direction in (way, -way):
                helped, hurt = counts.get((axis, direction), (0, 0))
                won = direction == way
                counts[axis, direction] = (helped + won, hurt + (not won))
    return counts


def parabola_lowest(
    left: tuple[float, float], here: tuple[float, float], right: tuple[float, float]
) -> float | None:
    """Give the place of the minimum of the parabola through three (place, height) points.

    None where they lie on a line or the parabola opens downwards. The standard three-point
    formula of successive parabolic interpolation (Press et al., Numerical Recipes, section 10.2).
    """
    a, b = here[0] - left[0], here[0] - right[0]
    fa, fb = here[1] - left[1], here[1] - right[1]
    curvature = a * fb - b * fa
    if a <= 0 or b >= 0 or curvature == 0 or fa > 0 or fb > 0:
        return None
    return here[0] - 0.5 * (a * a * fb - b * b * fa) / curvature
