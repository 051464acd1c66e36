"""Tables of finished trainings as tasks: a trial is a look-up, so thousands take minutes.

Every range is the table's own; configurations between its rows take the nearest row's results.
Losses that are no numbers are failures: the trial reports the epochs before and then fails.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from experiments.common.defaults import ADAM, FC_NET, MLP_CLASSIFIER, NOISY_DIGITS
from experiments.common.grids import Column, NearestRow
from experiments.common.task import TrainingFailed
from raymimic.records import Config, Mode


class Source(NamedTuple):
    """Where a table lies below the tables' folder, and what a practitioner would try first."""

    file: str
    default: Config


_TASKSET = "taskset/imdb_patch{}.parquet"
SOURCES: dict[str, Source] = {
    "digits_noisy": Source("curves/digits_noisy.parquet", NOISY_DIGITS),
    "hb_australian": Source("hpobench/australian.parquet", MLP_CLASSIFIER),
    "hb_blood": Source("hpobench/blood_transfusion.parquet", MLP_CLASSIFIER),
    "hb_car": Source("hpobench/car.parquet", MLP_CLASSIFIER),
    "hb_segment": Source("hpobench/segment.parquet", MLP_CLASSIFIER),
    "hb_vehicle": Source("hpobench/vehicle.parquet", MLP_CLASSIFIER),
    "hl_naval": Source("hpolib/naval_propulsion.parquet", FC_NET),
    "hl_parkinsons": Source("hpolib/parkinsons_telemonitoring.parquet", FC_NET),
    "hl_slice": Source("hpolib/slice_localization.parquet", FC_NET),
    "ts_lstm_avg_p128": Source(_TASKSET.format("128_LSTM128_avg_bs64"), ADAM),
    "ts_lstm_p128": Source(_TASKSET.format("128_LSTM128_bs64"), ADAM),
    "ts_gru": Source(_TASKSET.format("32_GRU128_bs128"), ADAM),
    "ts_irnn": Source(_TASKSET.format("32_IRNN64_relu_last_bs128"), ADAM),
    "ts_lstm_e128": Source(_TASKSET.format("32_LSTM128_E128_bs128"), ADAM),
    "ts_lstm": Source(_TASKSET.format("32_LSTM128_bs128"), ADAM),
    "ts_vrnn_relu": Source(_TASKSET.format("32_VRNN64_relu_avg_bs128"), ADAM),
    "ts_vrnn_tanh": Source(_TASKSET.format("32_VRNN64_tanh_avg_bs128"), ADAM),
}

# The ranges TaskSet's own settings were drawn from (Metz et al. 2020, "Adam8p"); of 1 - beta there.
_TASKSET_COLUMNS = (
    Column("learning_rate", "log", 1e-8, 10.0),
    Column("beta1", "one_minus_log", 0.0, 0.9999),
    Column("beta2", "one_minus_log", 0.0, 0.999999),
    Column("epsilon", "log", 1e-10, 1e3),
    Column("l1", "log", 1e-8, 10.0),
    Column("l2", "log", 1e-8, 10.0),
    Column("linear_decay", "log", 1e-7, 1e-4),
    Column("exponential_decay", "log", 1e-6, 1e-3),
)

# Names of curve columns as searchers see them; what is not listed is withheld.
_SHOWN = {
    "train_loss": "train_loss",
    "train_acc": "train_acc",
    "val_loss": "val_loss",
    "valid_loss": "val_loss",
    "val_acc": "val_acc",
}


class TableTask:
    """A table as a `task.Task`.

    ``finals`` is rows x training seeds (one column where there is a single training), ``curves``
    rows x epochs by metric (empty for a table of final values), ``tests`` the final test metric.
    """

    def __init__(
        self,
        name: str,
        family: str,
        columns: tuple[Column, ...],
        rows: list[Config],
        default: Config,
        *,
        metric: str,
        mode: Mode,
        finals: np.ndarray,
        curves: Mapping[str, np.ndarray],
        tests: np.ndarray,
    ) -> None:
        self.name, self.family, self.metric, self.mode = name, family, metric, mode
        self.epochs = len(next(iter(curves.values()))[0]) if curves else 1
        self._columns, self._rows, self._default = columns, rows, default
        self.finals, self._curves, self._tests = finals, curves, tests
        self._nearest = NearestRow(columns, [list(row.values()) for row in rows])
        means = finals.mean(axis=1)
        trained = np.isfinite(means)
        for curve in curves.values():
            trained &= np.isfinite(curve).all(axis=1)
        self._values = np.where(trained, means, math.inf if mode == "min" else -math.inf)
        losses = self._values if mode == "min" else -self._values
        self._order = np.argsort(losses, kind="stable")
        best, median = losses.min(), np.median(losses)
        self._regrets = (losses - best) / (median - best)

    def param_space(self) -> dict[str, Any]:
        return {column.name: column.domain() for column in self._columns}

    def default(self) -> Config:
        return dict(self._default)

    def train(self, config: Config, seed: int, trial: int) -> Iterator[dict[str, float]]:
        row = self._nearest(config)
        if self._curves:
            yield from self._epochs_of(row)
            return
        # One of the table's trainings, the same for all methods at the same trial of a seed.
        draw = random.Random(f"{self.name} {seed} {trial}").randrange(self.finals.shape[1])
        score = float(self.finals[row, draw])
        if not math.isfinite(score):
            raise TrainingFailed(f"{self.metric} is {score}")
        yield {self.metric: score}

    def _epochs_of(self, row: int) -> Iterator[dict[str, float]]:
        for epoch in range(self.epochs):
            metrics = {name: float(curve[row, epoch]) for name, curve in self._curves.items()}
            if not all(map(math.isfinite, metrics.values())):
                raise TrainingFailed(f"epoch {epoch + 1}: {metrics}")
            yield metrics

    def train_seconds(self, config: Config, seed: int) -> list[float]:
        del config, seed
        return []

    def value(self, config: Config) -> float:
        return float(self._values[self._nearest(config)])

    def regret(self, config: Config) -> float:
        return float(self._regrets[self._nearest(config)])

    def test(self, config: Config) -> float:
        return float(self._tests[self._nearest(config)])

    def unused_row(self, config: Config, used: Collection[int]) -> int:
        """The row nearest to a configuration that is not among ``used``."""
        return self._nearest.unused(config, used)

    @property
    def values(self) -> np.ndarray:
        """The true score of each row; infinitely bad where a training failed."""
        return self._values

    def row(self, config: Config) -> int:
        """The number of the row whose results a configuration takes."""
        return self._nearest(config)

    def config_of(self, row: int) -> Config:
        """The configuration of a row."""
        return dict(self._rows[row])

    def best(self, n: int) -> list[Config]:
        """The ``n`` best configurations, best first."""
        return [dict(self._rows[row]) for row in self._order[:n]]

    def worst(self, n: int) -> list[Config]:
        return [dict(self._rows[row]) for row in self._order[::-1][:n]]


def load(name: str, folder: Path) -> TableTask:
    """Read the table of that name from the tables' ``folder``."""
    source = SOURCES[name]
    table = pq.read_table(folder / source.file)
    about = {key.decode(): text.decode() for key, text in table.schema.metadata.items()}
    names = json.loads(about["config_columns"])
    family = source.file.split("/")[0]
    frame = table.to_pandas()
    rows = frame[names].to_dict(orient="records")
    if family == "taskset":
        columns = _TASKSET_COLUMNS
    else:
        columns = tuple(Column.of_grid(key, [row[key] for row in rows]) for key in names)
    mode: Mode = "max" if about["objective"].startswith("maximise") else "min"
    curves = _curves(frame, skip=1 if family == "taskset" else 0)
    metric = "val_loss" if curves else "objective"
    finals = curves[metric][:, -1:] if curves else _stack(frame["objective"])
    tests = _stack(frame["test_loss"])[:, -1] if curves else np.full(len(rows), math.nan)
    return TableTask(
        name,
        family,
        columns,
        rows,
        source.default,
        metric=metric,
        mode=mode,
        finals=finals,
        curves=curves,
        tests=tests,
    )


def scores(name: str, folder: Path) -> np.ndarray:
    """The final scores, settings x training seeds, with the sign that makes lower better."""
    task = load(name, folder)
    return task.finals if task.mode == "min" else -task.finals


def _curves(frame: pd.DataFrame, skip: int) -> dict[str, np.ndarray]:
    """The shown curves without the first ``skip`` points (TaskSet's first is before training)."""
    return {
        shown: _stack(frame[column])[:, skip:]
        for column, shown in _SHOWN.items()
        if column in frame
    }


def _stack(column: pd.Series) -> np.ndarray:
    return np.stack(column.to_numpy()).astype(float)
