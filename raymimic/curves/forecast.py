"""What a training that was stopped early would have ended at, judged by those that went on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymimic.curves.curve import Curve

_NEAREST = 5
"""So many finished trainings that stood closest at the same epoch decide."""

_LEAST = 3


class Finished:
    """The finished trainings of a search, as far as they report ``metric``."""

    def __init__(self, curves: Sequence[Curve], metric: str) -> None:
        self._metric = metric
        self._curves = [curve for curve in curves if curve.final(metric) is not None]

    def forecast(self, curve: Curve) -> float:
        """Give the value a stopped training would have ended at, in the metric's own unit.

        Its last finite value, moved by the median change that the finished trainings nearest to it
        at that epoch went through from there to their end; that value itself where fewer than three
        went further. Raises ValueError for a curve without a finite value.
        """
        value = curve.last(self._metric)
        if value is None:
            raise ValueError(f"a forecast needs a finite {self._metric!r}, the curve has none")
        epoch = int(curve.epochs[-1])
        pairs = [
            (then, final)
            for other in self._curves
            if int(other.epochs[-1]) > epoch
            and (then := _at(other, self._metric, epoch)) is not None
            and (final := other.final(self._metric)) is not None
        ]
        if len(pairs) < _LEAST:
            return value
        then, final = np.array(pairs, dtype=np.float64).T
        nearest = np.argsort(np.abs(then - value), kind="stable")[:_NEAREST]
        return value + float(np.median(final[nearest] - then[nearest]))


def _at(curve: Curve, metric: str, epoch: int) -> float | None:
    """The metric's last finite value up to an epoch."""
    values = curve.column(metric)[curve.epochs <= epoch]
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None
