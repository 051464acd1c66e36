"""What a training that was stopped early would have ended at, judged by those that went on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raymimic.curves.curve import Curve

Floats = npt.NDArray[np.float64]

_COMPARED = 200
"""Only the latest so many finished trainings are compared, so that a call stays cheap."""

_NEAREST = 5
"""So many of them that stood closest at the same epoch decide."""

_LEAST = 3


class Finished:
    """The finished trainings of a search, oldest first, as far as they report ``metric``."""

    def __init__(self, curves: Sequence[Curve], metric: str) -> None:
        self._metric = metric
        finals = [(curve, curve.final(metric)) for curve in curves[-_COMPARED:]]
        self._ended = [(curve, final) for curve, final in finals if final is not None]
        self._at_epoch: dict[int, tuple[Floats, Floats]] = {}  # schedulers stop at few epochs

    def forecast(self, curve: Curve) -> float:
        """Give the value a stopped training would have ended at, in the metric's own unit.

        Its last finite value, moved by the median change that the finished trainings nearest to it
        at that epoch went through from there to their end; that value itself where fewer than three
        went further. Raises ValueError for a curve without a finite value.
        """
        value = curve.last(self._metric)
        if value is None:
            raise ValueError(f"a forecast needs a finite {self._metric!r}, the curve has none")
        then, final = self._then_and_final(int(curve.epochs[-1]))
        if len(then) < _LEAST:
            return value
        nearest = np.argsort(np.abs(then - value), kind="stable")[:_NEAREST]
        return value + float(np.median(final[nearest] - then[nearest]))

    def _then_and_final(self, epoch: int) -> tuple[Floats, Floats]:
        """Give the values at an epoch and at the end of all trainings that went further."""
        if epoch not in self._at_epoch:
            pairs = [
                (then, final)
                for curve, final in self._ended
                if int(curve.epochs[-1]) > epoch
                and (then := _value_at(curve, self._metric, epoch)) is not None
            ]
            rows = np.array(pairs, dtype=np.float64).reshape(len(pairs), 2)
            self._at_epoch[epoch] = rows[:, 0], rows[:, 1]
        return self._at_epoch[epoch]


def _value_at(curve: Curve, metric: str, epoch: int) -> float | None:
    """The metric's last finite value up to an epoch."""
    values = curve.column(metric)[curve.epochs <= epoch]
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None
