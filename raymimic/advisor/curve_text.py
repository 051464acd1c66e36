"""Learning curves as short text: informative epochs, few columns, four significant digits."""

from __future__ import annotations

import math

import numpy as np

from raymimic.advisor.base import TrialRecord
from raymimic.curves import Curve, find_pair
from raymimic.foreign import name_text

POINTS = 12
_LAST = 4  # epochs at the end that are never thinned: late noise decides scores
_OTHERS = 6


def number(value: float | None) -> str:
    """Write a number with four significant digits; "none" for None."""
    return "none" if value is None else f"{value:.4g}"


def curve_lines(trial: TrialRecord, metric: str, points: int = POINTS) -> list[str]:
    """``metric`` and its training or held-out twin as "val_loss 1:2.301 2:1.52 5:0.71".

    Of the other columns only the last values, in one line: whole curves of them would cost as
    many tokens again and decide little. Of a single report the same: its metric is the score.
    """
    curve = trial.curve
    if curve is None or not len(curve):
        return []
    rows = _informative(curve, trial, metric, points)
    pair = find_pair(tuple(curve.columns), metric) if len(curve) > 1 else None
    twins = [pair.held_out, pair.train] if pair else []
    whole = list(dict.fromkeys(name for name in [metric, *twins] if name in curve.columns))
    lines = _columns(curve, whole, rows) if len(curve) > 1 or trial.score is None else []
    others = [name for name in curve.columns if name not in whole][:_OTHERS]
    ends = [(name_text(name), curve.last(name)) for name in others]
    last = [f"{name} {number(value)}" for name, value in ends if value is not None]
    return [*lines, f"at the end: {', '.join(last)}"] if last else lines


def column_lines(trial: TrialRecord, metric: str, names: list[str], points: int) -> list[str]:
    """The columns ``names``, a line each, at the epochs that matter for ``metric``."""
    curve = trial.curve
    if curve is None or not len(curve):
        return []
    rows = _informative(curve, trial, metric, points)
    return _columns(curve, names, rows)


def _columns(curve: Curve, names: list[str], rows: list[int]) -> list[str]:
    return [f"{name_text(name)} {text}" for name in names if (text := _cells(curve, name, rows))]


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
    rows = {0, *range(max(0, size - min(_LAST, points // 2)), size)}
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
