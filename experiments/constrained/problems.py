"""Tables of finished trainings with a limit that a search must learn.

What is limited is computed from the configuration, and no searcher is told how. The limit is the
lower quartile over the table's rows, so three of four configurations are beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.common.tables import TableTask, load
from experiments.common.task import TrainingFailed

QUANTILE = 0.25
OUT_OF_MEMORY = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB"


class Result(NamedTuple):
    """What a trial reports; ``loss`` is None where it ran out of memory."""

    loss: float | None
    size: float


def _layers(config: Mapping[str, Any]) -> list[int]:
    """Inputs, hidden units and outputs of the table's net."""
    if "n_units_1" in config:
        return [385, config["n_units_1"], config["n_units_2"], 1]
    if "n_layers" in config:
        return [64, *[config["width"]] * config["n_layers"], 10]
    return [18, *[config["width"]] * config["depth"], 4]


def parameters(config: Mapping[str, Any]) -> float:
    """Weights and biases of the net, in thousands."""
    layers = _layers(config)
    return sum((a + 1) * b for a, b in pairwise(layers)) / 1e3


def memory(config: Mapping[str, Any]) -> float:
    """Numbers held in a training step, in thousands: three for a weight, activations of a batch."""
    return 3 * parameters(config) + config["batch_size"] * sum(_layers(config)) / 1e3


class Problem:
    """A table whose trials report ``size`` and must keep it within ``limit``.

    ``kind`` "parameters": every trial gives its loss, and one beyond the limit does not count.
    "memory": one beyond it dies without a result.
    """

    def __init__(self, name: str, kind: str, folder: Path) -> None:
        self.task: TableTask = load(name, folder)
        self.kind = kind
        self._size = {"parameters": parameters, "memory": memory}[kind]
        rows = [self.task.config_of(row) for row in range(len(self.task.finals))]
        sizes = np.array([self._size(row) for row in rows])
        self.limit = float(np.quantile(sizes, QUANTILE))
        sign = 1.0 if self.task.mode == "min" else -1.0
        losses = sign * self.task.finals.mean(axis=1)
        losses[~np.isfinite(losses)] = math.inf
        self.best = float(losses[sizes <= self.limit].min())
        self.usual = float(np.median(losses))
        self.unlimited = float(losses.min())
        self._sign = sign

    def run(self, config: Mapping[str, Any], seed: int, trial: int) -> Result:
        """Train."""
        size = self._size(config)
        if self.kind == "memory" and size > self.limit:
            return Result(None, size)
        try:
            *_, last = self.task.train(dict(config), seed, trial)
            loss = self._sign * last[self.task.metric]
        except TrainingFailed:
            loss = math.nan
        return Result(loss if math.isfinite(loss) else None, size)

    def regret(self, config: Mapping[str, Any]) -> float:
        """True loss: 0 the best within the limit, 1 the table's median and whatever is worse."""
        loss = self._sign * self.task.value(dict(config))
        return min(1.0, (loss - self.best) / (self.usual - self.best))
