"""Learning curves as short text: informative epochs, few columns, four significant digits."""

from __future__ import annotations

import math

import numpy as np

from raymimic.advisor.base import TrialRecord
from raymimic.curves import Curve

_POINTS = 12
_COLUMNS = 4


def number(value: float | None) -> str:
    """Write a number with four significant digits; "none" for None."""
    return "none" if value is None else f"{value:.4g}"


def curve_lines(trial: TrialRecord, metric: str, points: int = _POINTS) -> list[str]:
    """One line a column, ``metric`` first: "val_loss 1:2.301 2:1.52 5:0.71"."""
    curve = trial.curve
    if curve is None or not len(curve):
        return []
    rows = _informative(curve, trial, metric, points)
    names = [metric, *(name for name in curve.columns if name != metric)]
    lines: list[str] = []
    for name in names:
        if name in curve.columns and len(lines) < _COLUMNS:
            text = _cells(curve, name, rows)
            if text:
                lines.append(f"{name} {text}")
    return lines


def _cells(curve: Curve, name: str, rows: list[int]) -> str:
    values, nan_epochs = curve.column(name), curve.nan_epochs.get(name, frozenset())
    cells = []
    for row in rows:
        epoch, value = int(curve.epochs[row]), float(values[row])
        if not math.isnan(value) or epoch in nan_epochs:  # a gap says nothing
            cells.append(f"{epoch}:{number(value)}")
    return " ".join(cells)


def _informative(curve: Curve, trial: TrialRecord, metric: str, points: int) -> list[int]:
    """Row numbers: first and last, the metric's extremes, onsets, and an even spread between."""
    size = len(curve)
    if size <= points:
        return list(range(size))
    rows = {0, size - 1}
    values = curve.columns.get(metric)
    if values is not None and np.isfinite(values).any():
        rows.add(int(np.nanargmin(np.where(np.isfinite(values), values, np.nan))))
        rows.add(int(np.nanargmax(np.where(np.isfinite(values), values, np.nan))))
    for signal in trial.diagnosis.signals if trial.diagnosis else ():
        if signal.onset is not None:
            rows.add(min(int(np.searchsorted(curve.epochs, signal.onset)), size - 1))
    for row in np.linspace(0, size - 1, points).round().astype(int).tolist():
        if len(rows) >= points:
            break
        rows.add(row)
    return sorted(rows)
