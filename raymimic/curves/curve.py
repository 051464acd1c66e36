"""One trial's learning curve as it stood at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_WORDS = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


@dataclass(frozen=True, eq=False)
class Curve:
    """Immutable view of one trial: a row per reported epoch, a column per metric.

    NaN in a column means "not reported at that epoch": a gap. Where a metric was reported *as* NaN
    the column holds NaN too and the epoch is listed in ``nan_epochs[metric]``, so that a diverged
    loss can be told from a validation run every five epochs. +-inf is always a reported value.
    Epochs rise strictly; the arrays are copies and read-only. Equal curves hold equal data.

    >>> from raymimic import Curve
    >>> curve = Curve.from_json({"epochs": [1, 2], "columns": {"loss": [0.9, 0.5]}})
    >>> curve.final("loss")
    0.5
    """

    epochs: Ints
    columns: Mapping[str, Floats]
    nan_epochs: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        epochs = _frozen(np.array(self.epochs, dtype=np.int64))
        columns = {
            name: _frozen(np.array(values, dtype=np.float64))
            for name, values in self.columns.items()
        }
        for name, values in columns.items():
            if values.shape != epochs.shape:
                raise ValueError(
                    f"column {name!r} must hold one value per epoch ({epochs.size}), "
                    f"got {values.shape!r}; use NaN where the metric was not reported"
                )
        object.__setattr__(self, "epochs", epochs)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "nan_epochs", dict(self.nan_epochs))

    def __len__(self) -> int:
        return int(self.epochs.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Curve):
            return NotImplemented
        return (
            np.array_equal(self.epochs, other.epochs)
            and self.columns.keys() == other.columns.keys()
            and self.nan_epochs == other.nan_epochs
            and all(
                np.array_equal(values, other.columns[name], equal_nan=True)
                for name, values in self.columns.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Curve, (self.epochs, self.columns, self.nan_epochs)  # copies stay read-only

    def column(self, name: str) -> Floats:
        """The metric's values, NaN where it was not reported. Raises KeyError if it never was."""
        return self.columns[name]

    def last(self, name: str) -> float | None:
        """The metric's last finite value, or None if there is none."""
        values = self.columns.get(name)
        if values is None:
            return None
        finite = values[np.isfinite(values)]
        return float(finite[-1]) if finite.size else None

    def final(self, name: str) -> float | None:
        """The metric as it was last reported, or None if that was not finite or never came."""
        values = self.columns.get(name)
        if values is None:
            return None
        nan_epochs = self.nan_epochs.get(name, frozenset())
        for epoch, value in zip(
            reversed(self.epochs.tolist()), reversed(values.tolist()), strict=True
        ):
            if value == value or epoch in nan_epochs:  # not a gap
                return value if np.isfinite(value) else None
        return None

    def since(self, epoch: int) -> Curve:
        """The part from ``epoch`` on."""
        kept = self.epochs >= epoch
        columns = {name: values[kept] for name, values in self.columns.items()}
        nans = {
            name: frozenset(nan for nan in epochs if nan >= epoch)
            for name, epochs in self.nan_epochs.items()
        }
        return Curve(self.epochs[kept], columns, nans)

    def reported(self, name: str) -> Iterator[tuple[int, float]]:
        """Each epoch at which the metric was reported, with its value."""
        values = self.columns.get(name)
        if values is not None:
            nans = self.nan_epochs.get(name, frozenset())
            for epoch, value in zip(self.epochs.tolist(), values.tolist(), strict=True):
                if value == value or epoch in nans:
                    yield epoch, value

    def rows(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Each epoch with the metrics reported there, as `CurveHistory.append` takes them."""
        for row, epoch in enumerate(self.epochs.tolist()):
            yield (
                epoch,
                {
                    name: float(values[row])
                    for name, values in self.columns.items()
                    if values[row] == values[row] or epoch in self.nan_epochs.get(name, ())
                },
            )

    def to_json(self) -> dict[str, Any]:
        """Strict JSON: a gap is null, reported non-finite values are "nan", "inf", "-inf"."""
        return {
            "epochs": self.epochs.tolist(),
            "columns": {name: self._cells(name) for name in self.columns},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Curve:
        """Exact inverse of `to_json`. Raises KeyError or ValueError for anything else."""
        epochs = data["epochs"]
        columns: dict[str, list[float]] = {}
        nan_epochs: dict[str, frozenset[int]] = {}
        for name, cells in data["columns"].items():
            columns[name] = [_value(cell) for cell in cells]
            nans = frozenset(
                epoch for epoch, cell in zip(epochs, cells, strict=True) if cell == "nan"
            )
            if nans:
                nan_epochs[name] = nans
        return cls(np.array(epochs, dtype=np.int64), columns, nan_epochs)  # type: ignore[arg-type]

    def _cells(self, name: str) -> list[float | str | None]:
        nans = self.nan_epochs.get(name, frozenset())
        cells: list[float | str | None] = []
        for epoch, value in zip(self.epochs.tolist(), self.columns[name].tolist(), strict=True):
            if value != value:  # NaN
                cells.append("nan" if epoch in nans else None)
            else:
                cells.append(str(value) if value in (np.inf, -np.inf) else value)
        return cells


def _value(cell: float | str | None) -> float:
    if cell is None:
        return np.nan
    if isinstance(cell, str):
        if cell not in _WORDS:
            raise ValueError(f"a curve's text cell must be one of {sorted(_WORDS)}, got {cell!r}")
        return _WORDS[cell]
    return float(cell)


def _frozen(array: Any) -> Any:
    array.setflags(write=False)
    return array
