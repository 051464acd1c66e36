"""All learning curves of a search, column by column; no Ray, no diagnosis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from raymimic.curves.curve import Curve
from raymimic.curves.rows import TrialRows

_KEYS = ("trial_id", "epoch")
_KEY_LIKE = re.compile(r"(trial_id|epoch)_*")


class CurveHistory:
    """Every reported row of every trial, in the order the trials came.

    Append is amortised O(1) and touches only its own trial; the memory is 8 bytes per value.
    One thread may append while others read, copy, pickle or export. Tables have the columns
    ``trial_id``, ``epoch``, then one per metric; a gap is null and a value reported as NaN is NaN,
    so every export comes back exactly. (A metric that is itself called ``epoch`` or ``trial_id``
    gets an underscore appended in tables, and loses it on the way back.)

    >>> from raymimic import CurveHistory
    >>> history = CurveHistory()
    >>> history.append("t1", 1, {"loss": 0.9})
    >>> history.append("t1", 2, {"loss": 0.5})
    >>> history.curve("t1").epochs.tolist()
    [1, 2]
    """

    def __init__(self) -> None:
        self._trials: dict[str, TrialRows] = {}
        self._rows = 0

    def append(
        self, trial_id: str, epoch: int, metrics: Mapping[str, float], *, restarted: bool = False
    ) -> None:
        """Add what a trial reported at an epoch.

        A metric missing from ``metrics`` is a gap; NaN and inf are kept as reported. An epoch that
        is already there is replaced as a whole. ``restarted=True`` says that the trial began again
        from this epoch: its rows from there on are dropped first. Raises TypeError or ValueError,
        changing nothing, for a value that is no number.
        """
        trial = self._trials.get(trial_id)
        if trial is None:
            trial = TrialRows()
            trial.append(epoch, metrics)
            self._trials[trial_id] = trial
            self._rows += 1
        elif epoch > trial.epochs[-1]:
            trial.append(epoch, metrics)
            self._rows += 1
        else:
            changed = trial.with_row(epoch, metrics, restarted=restarted)
            self._trials[trial_id] = changed
            self._rows += len(changed) - len(trial)

    def curve(self, trial_id: str) -> Curve:
        """A snapshot of one trial's rows. Raises KeyError for an unknown trial."""
        return self._trials[trial_id].snapshot()

    def only(self, trial_ids: Iterable[str]) -> CurveHistory:
        """The history of some trials alone, to be pickled: it shares their rows."""
        part = CurveHistory()
        part._trials = {name: self._trials[name] for name in trial_ids if name in self._trials}
        part._rows = sum(map(len, part._trials.values()))
        return part

    @property
    def trial_ids(self) -> tuple[str, ...]:
        """All trials with at least one row, in the order of their first."""
        return tuple(self._trials)

    @property
    def rows(self) -> int:
        """Number of rows over all trials."""
        return self._rows

    def __contains__(self, trial_id: object) -> bool:
        return trial_id in self._trials

    def __len__(self) -> int:
        return len(self._trials)

    def __getstate__(self) -> dict[str, Any]:
        trials = dict(self._trials)  # another thread may add a trial meanwhile
        return {"_trials": trials}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._trials = state["_trials"]
        self._rows = sum(map(len, self._trials.values()))

    def to_arrow(self) -> pa.Table:
        """One table, the rows of a trial together and by rising epoch."""
        curves = {trial_id: rows.snapshot() for trial_id, rows in dict(self._trials).items()}
        names = list(dict.fromkeys(name for curve in curves.values() for name in curve.columns))
        lengths = [len(curve) for curve in curves.values()]
        ids = pa.DictionaryArray.from_arrays(
            np.repeat(np.arange(len(curves), dtype=np.int32), lengths),
            pa.array(list(curves), pa.string()),
        )
        epochs = _joined([curve.epochs for curve in curves.values()], np.int64)
        table = {"trial_id": ids.cast(pa.string()), "epoch": pa.array(epochs)}
        for name in names:
            table[_escaped(name)] = _arrow_column(list(curves.values()), name)
        return pa.table(table)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> CurveHistory:
        """Inverse of `to_arrow`; the rows may come in any order.

        Raises ValueError if a key column is missing or a trial holds the same epoch twice.
        """
        for key in _KEYS:
            if key not in table.column_names:
                raise ValueError(
                    f"a table of curves must have the columns {_KEYS}, got {table.column_names!r}"
                )
        ids = table["trial_id"].cast(pa.string()).combine_chunks().dictionary_encode()
        codes = np.asarray(ids.indices)
        epochs = np.asarray(table["epoch"].cast(pa.int64()))
        order = np.lexsort((epochs, codes))
        codes, epochs = codes[order], epochs[order]
        twice = np.flatnonzero((codes[1:] == codes[:-1]) & (epochs[1:] == epochs[:-1]))
        trials = ids.dictionary.to_pylist()
        if twice.size:
            trial_id, epoch = trials[codes[twice[0]]], epochs[twice[0]]
            raise ValueError(
                f"a trial must have one row per epoch, got two for trial {trial_id!r} at epoch "
                f"{epoch}; drop one of them"
            )
        metrics = {
            _unescaped(name): _numpy_column(table[name], order)
            for name in table.column_names
            if name not in _KEYS
        }
        history = cls()
        ends = np.cumsum(np.bincount(codes, minlength=len(trials))).tolist()
        start = 0
        for trial_id, end in zip(trials, ends, strict=True):
            history._trials[trial_id] = _trial_rows(epochs, metrics, slice(start, end))
            start = end
        history._rows = start
        return history

    def to_parquet(self, path: str | Path) -> None:
        """Write `to_arrow` as a Parquet file."""
        pq.write_table(self.to_arrow(), path)

    @classmethod
    def from_parquet(cls, path: str | Path) -> CurveHistory:
        """Read what `to_parquet` wrote."""
        return cls.from_arrow(pq.read_table(path))

    def to_pandas(self) -> pd.DataFrame:
        """A data frame; metrics have the type ``double[pyarrow]``, which tells NA from NaN."""
        return self.to_arrow().to_pandas(
            types_mapper={pa.float64(): pd.ArrowDtype(pa.float64())}.get
        )

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame) -> CurveHistory:
        """Inverse of `to_pandas`; NaN in a plain float column counts as a gap."""
        return cls.from_arrow(pa.Table.from_pandas(frame, preserve_index=False))


def _arrow_column(curves: list[Curve], name: str) -> pa.Array:
    """A metric over all trials: null where it was not reported."""
    parts, gaps = [], []
    for curve in curves:
        values = curve.columns.get(name)
        if values is None:
            values = np.full(len(curve), np.nan)
        gap = np.isnan(values)
        nans = curve.nan_epochs.get(name)
        if nans:
            gap &= ~np.isin(curve.epochs, list(nans))
        parts.append(values)
        gaps.append(gap)
    return pa.array(_joined(parts, np.float64), mask=_joined(gaps, np.bool_))


def _numpy_column(column: pa.ChunkedArray, order: Any) -> tuple[Any, Any]:
    """Sorted (values with NaN at gaps, gaps)."""
    column = column.cast(pa.float64())
    gaps = np.asarray(column.is_null())[order]
    return np.asarray(column.fill_null(np.nan))[order], gaps


def _trial_rows(epochs: Any, metrics: dict[str, tuple[Any, Any]], rows: slice) -> TrialRows:
    columns, nan_epochs = {}, {}
    for name, (values, gaps) in metrics.items():
        if gaps[rows].all():
            continue  # this trial never reported it
        columns[name] = values[rows]
        nans = np.isnan(values[rows]) & ~gaps[rows]
        if nans.any():
            nan_epochs[name] = frozenset(epochs[rows][nans].tolist())
    return TrialRows(epochs[rows], columns, nan_epochs)


def _joined(parts: list[Any], dtype: Any) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _escaped(name: str) -> str:
    return name + "_" if _KEY_LIKE.fullmatch(name) else name


def _unescaped(name: str) -> str:
    return name[:-1] if _KEY_LIKE.fullmatch(name) else name
