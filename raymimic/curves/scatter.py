"""How far a metric moves from one epoch to the next by chance alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_RECENT = 8  # epochs; the noise of long ago was another learning rate's

_SCATTER = 1.4826 / math.sqrt(6.0)
"""From the median size of second differences to the standard deviation of Gaussian noise."""


def noise_of(values: npt.NDArray[np.float64]) -> float | None:
    """Standard deviation from epoch to epoch: what is left when straight trends are taken out.

    The median of second differences; for two values their distance, for one None. Never less than
    the smallest step seen: an accuracy on a few examples moves in whole ones.
    """
    if values.size < 2:
        return None
    steps = np.abs(np.diff(values[-_RECENT:]))
    smallest = float(steps[steps > 0].min(initial=np.inf)) if steps.any() else 0.0
    if values.size == 2:
        return smallest
    bends = np.abs(np.diff(values[-_RECENT:], n=2))
    return max(float(np.median(bends)) * _SCATTER, smallest)
