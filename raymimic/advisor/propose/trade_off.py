"""Several objectives in the place of one score: a Gaussian process each, and the front they make.

Expected hypervolume improvement: Emmerich, Deutz & Klinkenberg 2011, "Hypervolume-based expected
improvement: monotonicity properties and exact computation".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raymimic.advisor.belief.axes import Floats
from raymimic.advisor.propose.gp import GaussianProcess, expected_improvement
from raymimic.pareto import boxes, front, reference_of, select_nsga2

Fit = Callable[[Floats, Floats], GaussianProcess]

_CORNERS = {2: 100, 3: 30, 4: 12}
"""So many trials of a front are looked at by the number of objectives: boxes grow with a power."""


class TradeOff:
    """What `GaussianProcess` is for one score: the gain is in the volume that the front dominates.

    ``values`` (points, objectives): lower is better. An objective in which all are alike says
    nothing and is left out. The front is that of the predicted means at the points, so that luck
    makes no front.
    """

    def __init__(self, points: Floats, values: Floats, fit: Fit) -> None:
        told = np.ptp(values, axis=0) > 0
        self._models = [fit(points, column) for column in values[:, told].T]
        self.explained = float(np.mean([model.explained for model in self._models]))
        self._look()

    def expect(self, points: Floats) -> None:
        """Take points for tried, as `GaussianProcess.expect`."""
        if len(points):
            for model in self._models:
                model.expect(points)
            self._look()

    def _look(self) -> None:
        means = np.column_stack([model.fitted for model in self._models])
        best = means[front(means)]
        if len(best) > (limit := _CORNERS.get(best.shape[1], len(best))):
            best = best[select_nsga2(best, limit)]
        worst = reference_of(best)
        self._volume = float(np.prod(worst - best.min(axis=0)))
        self._lower, self._upper = boxes(best, worst.tolist())

    def log_improvement(self, points: Floats) -> Floats:
        """Give the log of the expected gain in volume, as a share of the box around the front.

        Exact for independent objectives: over each box of what is not dominated yet, the product
        of the expected lengths by which it is entered.
        """
        gain = np.ones((len(points), len(self._lower)))
        for column, model in enumerate(self._models):
            mean, sd = model.standard(points)
            gain *= _entered(mean, sd, self._lower[:, column], self._upper[:, column])
        return np.asarray(np.log(np.maximum(gain.sum(axis=1) / self._volume, 1e-300)))


def _entered(mean: Floats, sd: Floats, lower: Floats, upper: Floats) -> Floats:
    """Give E[(upper - max(lower, y))+] for y ~ N(mean, sd): rows by boxes."""
    ends, inverse = np.unique(np.concatenate([lower, upper]), return_inverse=True)
    below = np.zeros((len(mean), len(ends)))
    finite = np.isfinite(ends)
    z = (ends[finite] - mean[:, None]) / sd[:, None]
    below[:, finite] = sd[:, None] * expected_improvement(z)
    return np.maximum(below[:, inverse[len(lower) :]] - below[:, inverse[: len(lower)]], 0.0)
