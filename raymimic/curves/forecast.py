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
        return self.forecasts([curve])[0]

    def forecasts(self, curves: Sequence[Curve]) -> list[float]:
        """Give the `forecast` of each; of thousands in little more time than of a few."""
        values = np.array([self._last(curve) for curve in curves], dtype=np.float64)
        epochs = np.array([curve.epochs[-1] for curve in curves], dtype=np.int64)
        for epoch in np.unique(epochs).tolist():
            then, final = self._then_and_final(epoch)
            if len(then) >= _LEAST:
                rows = np.flatnonzero(epochs == epoch)
                values[rows] += _changes(values[rows], then, final - then)
        return list(map(float, values))

    def _last(self, curve: Curve) -> float:
        value = curve.last(self._metric)
        if value is None:
            raise ValueError(f"a forecast needs a finite {self._metric!r}, the curve has none")
        return value

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


def _changes(values: Floats, then: Floats, change: Floats) -> Floats:
    """For each value the median change that those nearest to it went through."""
    away = np.abs(then[None, :] - values[:, None])
    nearest = np.argsort(away, axis=1, kind="stable")[:, :_NEAREST]
    return np.asarray(np.median(change[nearest], axis=1))


def _value_at(curve: Curve, metric: str, epoch: int) -> float | None:
    """The metric's last finite value up to an epoch."""
    values = curve.column(metric)[curve.epochs <= epoch]
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None
