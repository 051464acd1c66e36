"""The rows of one trial, growing at the end: the unit that `CurveHistory` is made of."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from raymimic.curves.curve import Curve

GAP = float("nan")
"""Fills a metric's column at epochs where it was not reported."""


class TrialRows:
    """Growing columns of one trial: 8 bytes per value.

    One thread may append while others call `snapshot` or pickle: a row becomes visible when its
    epoch is appended, which happens last, and readers copy no further than the epochs they saw.
    Whatever is not an append at the end makes a new object (`with_row`) and leaves this one as is.
    The dictionaries are replaced, never changed in place, so a reader may walk through them.
    """

    __slots__ = ("columns", "epochs", "nan_epochs")

    def __init__(
        self,
        epochs: Iterable[int] = (),
        columns: Mapping[str, Iterable[float]] | None = None,
        nan_epochs: Mapping[str, frozenset[int]] | None = None,
    ) -> None:
        self.epochs = array("q", epochs)
        self.columns = {name: array("d", values) for name, values in (columns or {}).items()}
        self.nan_epochs: dict[str, frozenset[int]] = dict(nan_epochs or {})

    def __len__(self) -> int:
        return len(self.epochs)

    def append(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add a row after all others; ``epoch`` must be above the last one."""
        values = {name: float(value) for name, value in metrics.items()}  # raises before any change
        rows = len(self.epochs)
        for name, value in values.items():
            column = self.columns.get(name)
            if column is None:
                column = array("d", [GAP]) * rows
                self.columns = {**self.columns, name: column}
            column.append(value)
            if value != value:  # reported as NaN: told from a gap by its epoch
                nans = self.nan_epochs.get(name, frozenset()) | {epoch}
                self.nan_epochs = {**self.nan_epochs, name: nans}
        if len(values) < len(self.columns):
            for column in self.columns.values():
                if len(column) == rows:
                    column.append(GAP)
        self.epochs.append(epoch)

    def with_row(self, epoch: int, metrics: Mapping[str, float], *, restarted: bool) -> TrialRows:
        """New rows with this one put in its place; a restart drops all later epochs."""
        curve = self.snapshot()
        changed = _rows_below(curve, epoch)
        changed.append(epoch, metrics)
        if not restarted:
            for index in np.flatnonzero(curve.epochs > epoch):
                changed.append(*_row(curve, int(index)))
        return changed

    def snapshot(self) -> Curve:
        """A copy of the rows complete at this moment."""
        epochs, columns, nan_epochs = self._state()
        return Curve(
            np.frombuffer(epochs, np.int64) if epochs else np.empty(0, np.int64),
            {name: np.frombuffer(values, np.float64) for name, values in columns.items()},
            nan_epochs,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return TrialRows, self._state()

    def _state(self) -> tuple[Any, dict[str, Any], dict[str, frozenset[int]]]:
        epochs = self.epochs[:]  # before the columns: they are never shorter than this
        columns = {name: values[: len(epochs)] for name, values in self.columns.items()}
        nan_epochs = self.nan_epochs
        if nan_epochs:
            end = epochs[-1] if epochs else -1
            nan_epochs = {
                name: frozenset(nan for nan in nans if nan <= end)
                for name, nans in nan_epochs.items()
                if name in columns
            }
        return epochs, columns, nan_epochs


def _rows_below(curve: Curve, epoch: int) -> TrialRows:
    """The rows before an epoch; a metric not reported in any of them has no column."""
    count = int(np.searchsorted(curve.epochs, epoch))
    columns, nan_epochs = {}, {}
    for name, values in curve.columns.items():
        nans = frozenset(nan for nan in curve.nan_epochs.get(name, ()) if nan < epoch)
        if nans:
            nan_epochs[name] = nans
        if nans or not np.isnan(values[:count]).all():
            columns[name] = values[:count]
    return TrialRows(curve.epochs[:count], columns, nan_epochs)


def _row(curve: Curve, index: int) -> tuple[int, dict[str, float]]:
    epoch = int(curve.epochs[index])
    metrics = {}
    for name, values in curve.columns.items():
        value = float(values[index])
        if value == value or epoch in curve.nan_epochs.get(name, ()):
            metrics[name] = value
    return epoch, metrics
