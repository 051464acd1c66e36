"""Simulated trainings: a space, curves that look like trainings, and results as Tune words them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.common.fake_tune import FakeTrial, flat, result_of

METRIC, MODE = "val_loss", "min"

_CRASHES = 0.005
_DIVERGES = 0.02
_OVERFITS = 0.1
_PACES = (0.8, 1.2)


@dataclass
class Course:
    """One simulated training; ``crashes`` is the epoch after which it dies, if it does.

    ``pace`` is how long its epochs take, of the usual time.
    """

    trial: FakeTrial
    config: dict[str, Any]
    columns: dict[str, list[float]]
    crashes: int | None
    pace: float
    epoch: int = 0

    @property
    def trial_id(self) -> str:
        return self.trial.trial_id

    def next_result(self, length: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The next epoch's result as Tune has it, and flattened as searchers and schedulers see it.

        Entries are those of a real run of Tune; four of them are the user's metrics.
        """
        metrics = {name: values[self.epoch] for name, values in self.columns.items()}
        self.epoch += 1
        result = result_of(self.trial_id, metrics, self.epoch, length)
        return {**result, "config": self.config}, flat(result, self.config)


def course(trial_id: str, config: dict[str, Any], length: int, seed: int, faults: bool) -> Course:
    """A training of ``config``: how low it gets depends on the distance from a hidden optimum.

    With ``faults`` some diverge and some overfit; a few crash in any case.
    """
    rng = random.Random(f"{seed} {trial_id}")
    away = (
        abs(math.log10(config["lr"]) + 2.5) / 2.5
        + abs(math.log10(config["weight_decay"]) + 4) / 5
        + abs(config["dropout"] - 0.2)
        + abs(math.log2(config["width"]) - 8) / 7
        + (0.2 if config["optimizer"] == "sgd" else 0.0)
    )
    lowest, rate = 0.2 + 0.3 * away, rng.uniform(0.03, 0.15) / (1 + away)
    epochs = np.arange(1, length + 1)
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, 0.01, (2, length))
    train = lowest + (2.3 - lowest) * np.exp(-rate * epochs) + noise[0]
    val = 1.05 * train + noise[1]
    kind = rng.random() if faults else 1.0
    if kind < _DIVERGES:
        val[rng.randrange(length) :] = math.nan
    elif kind < _DIVERGES + _OVERFITS:
        val += 0.02 * np.maximum(0, epochs - rng.uniform(0.1, 0.6) * length)
    columns = {
        "val_loss": val, "train_loss": train, "val_acc": 1 - val / 3, "train_acc": 1 - train / 3,
    }  # fmt: skip
    crashes = rng.randrange(1, length + 1) if rng.random() < _CRASHES else None
    lists = {name: values.tolist() for name, values in columns.items()}
    return Course(FakeTrial(trial_id), config, lists, crashes, rng.uniform(*_PACES))
