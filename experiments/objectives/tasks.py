"""Tables with a second objective that follows from the configuration: size or time of a network.

HPOBench's own runtimes are not in these tables, so the second objective is computed. Time is a
model, not a measurement: an epoch is so many steps, each with a fixed part and one that grows with
what is multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.common.tables import TableTask, load
from experiments.common.task import TrainingFailed
from raymimic.pareto import front, hypervolume
from raymimic.records import Config

_BEYOND = 0.1
"""The reference point lies so far beyond the true front's worst ends, as a share of its span."""

_STEP_MS, _MS_PER_MILLION = 0.3, 0.2
"""A step's fixed milliseconds, and those a million multiplications take: of a small CPU."""


def _fc(inputs: int, classes: int, widths: list[int]) -> int:
    """Weights and biases of a fully connected network."""
    sizes = [inputs, *widths, classes]
    return sum(a * b + b for a, b in pairwise(sizes))


def _mlp(inputs: int, classes: int) -> Callable[[Config], int]:
    return lambda row: _fc(inputs, classes, [row["width"]] * row["depth"])


def _two_layers(inputs: int) -> Callable[[Config], int]:
    return lambda row: _fc(inputs, 1, [row["n_units_1"], row["n_units_2"]])


def _log10(size: Callable[[Config], int]) -> Callable[[Config], float]:
    return lambda row: math.log10(size(row))


def _epoch_ms(size: Callable[[Config], int], samples: int) -> Callable[[Config], float]:
    def milliseconds(row: Config) -> float:
        steps = samples / row["batch_size"]
        return steps * (_STEP_MS + _MS_PER_MILLION * 3e-6 * size(row) * row["batch_size"])

    return milliseconds


class Second(NamedTuple):
    """The second objective, lower being better: its name as searchers see it, and its value."""

    name: str
    of: Callable[[Config], float]


# Inputs, classes and samples of the data sets: OpenML's and UCI's descriptions.
SECOND: dict[str, Second] = {
    # developed on
    "digits_noisy": Second("parameters", lambda r: _fc(64, 10, [r["width"]] * r["n_layers"])),
    "hb_australian": Second("log10_parameters", _log10(_mlp(14, 2))),
    # kept apart
    "hb_segment": Second("parameters", _mlp(19, 7)),
    "hb_vehicle": Second("epoch_ms", _epoch_ms(_mlp(18, 4), 846)),
    "hl_naval": Second("log10_parameters", _log10(_two_layers(14))),
    "hl_slice": Second("epoch_ms", _epoch_ms(_two_layers(385), 53_500)),
}
APART = ("hb_segment", "hb_vehicle", "hl_naval", "hl_slice")


class TwoObjectives:
    """A table's task with its second objective, and how much of the true front is found."""

    def __init__(self, name: str, folder: Path) -> None:
        self.table: TableTask = load(name, folder)
        self.name, self.second = name, SECOND[name]
        sign = -1.0 if self.table.mode == "max" else 1.0
        rows = [self.table.config_of(row) for row in range(len(self.table.values))]
        self._true = np.column_stack([sign * self.table.values, list(map(self.second.of, rows))])
        best = self._true[np.isfinite(self._true).all(axis=1)]
        best = best[front(best)]
        self._ideal, self._span = best.min(axis=0), np.ptp(best, axis=0)
        self._whole = self._volume(best)

    def _volume(self, losses: np.ndarray) -> float:
        scaled = (losses - self._ideal) / self._span
        return hypervolume(scaled, (1.0 + _BEYOND, 1.0 + _BEYOND))

    def share(self, rows: list[int]) -> float:
        """The volume that the true values of these rows dominate, as a share of all."""
        losses = self._true[rows]
        return self._volume(losses[np.isfinite(losses).all(axis=1)]) / self._whole

    def train(self, config: Config, seed: int, trial: int) -> dict[str, float] | None:
        """What a trial reports at its end; None if it fails."""
        try:
            *_, last = self.table.train(config, seed, trial)
        except TrainingFailed:
            return None
        second = self.second.of(self.table.config_of(self.table.row(config)))
        return {self.table.metric: last[self.table.metric], self.second.name: second}
