"""Regression by a small net: scikit-learn's diabetes, and a made-up table like California housing.

The made-up table stands in for the real one, which scikit-learn downloads: eight features of
similar kinds, a target with interactions, a kink and noise of 30% of its spread. Nothing learnt on
it says anything about California.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from experiments.modulation.supervised import Parts, Supervised
from experiments.modulation.task import Study, StudyError

EPOCHS = 40
_ROWS = 2_000


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """442 patients, ten features, the disease's progress after a year."""
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True)


def california_like() -> tuple[np.ndarray, np.ndarray]:
    """2,000 rows of eight features and a noisy target, the same at every call."""
    rng = np.random.default_rng(20_261)
    income, crowd = rng.gamma(4.0, 1.0, _ROWS), rng.lognormal(1.0, 0.3, _ROWS)
    age, rooms = rng.uniform(1, 52, _ROWS), rng.lognormal(1.6, 0.3, _ROWS)
    bedrooms, people = rooms * rng.uniform(0.15, 0.3, _ROWS), rng.lognormal(7.0, 0.7, _ROWS)
    north, east = rng.uniform(32, 42, _ROWS), rng.uniform(-124, -114, _ROWS)
    coast = np.exp(-((np.abs(east + 124 - 0.8 * (42 - north))) ** 2) / 4)
    clean = (
        0.5 * income
        + 2.0 * coast * np.sqrt(income)
        - 0.4 * np.log(crowd) * income / 4
        + 0.6 * np.maximum(age - 35, 0) / 10
        + 0.5 * np.sin(north)
        - bedrooms / rooms
    )
    noisy = clean + rng.normal(0, 0.3 * clean.std(), _ROWS)
    table = [income, age, rooms, bedrooms, people, crowd, north, east]
    return np.stack(table, axis=1), noisy


def builder(
    table: Callable[[], tuple[np.ndarray, np.ndarray]], most_val: int, test: int
) -> Callable[[int, int, Path | None], Supervised]:
    """Trainings on ``table``: rows drawn by seed, ``test`` rows that are the same for all seeds.

    Inputs and target are standardised by the training rows, so a loss of 1 is the mean's.
    """

    def build(size: int, seed: int, data_dir: Path | None) -> Supervised:  # noqa: ARG001
        features, target = table()
        fixed = np.random.default_rng(0).permutation(len(target))
        val = min(size, most_val)
        if not 0 < size + val <= len(fixed) - test:
            raise StudyError(f"{size} + {val} rows are not to be had beside {test} test rows")
        rows = np.random.default_rng(seed).permutation(fixed[test:])[: size + val]
        train = rows[:size]
        features, target = (
            torch.from_numpy(
                ((values - values[train].mean(axis=0)) / values[train].std(axis=0)).astype(
                    np.float32
                )
            )
            for values in (features, target)
        )
        split = (train, rows[size:], fixed[:test])
        parts = Parts(*((features[some], target[some]) for some in split))
        return Supervised(network(features.shape[1], seed), parts, seed, EPOCHS)

    return build


def network(features: int, seed: int) -> nn.Sequential:
    """Build a net of two hidden layers of 64; equal weights for equal seeds."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(features, 64), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 1),
    )  # fmt: skip


_ARMS = (
    "plain", "guided", "knobs_only", "weights_only", "random_deltas", "random_knobs", "cosine",
    "plateau", "fixed_lr3", "fixed",
)  # fmt: skip
_MEASURES = {"test_loss": "min", "test_r2": "max"}

STUDIES = (
    Study(
        "diabetes",
        "Scikit-learn's diabetes, net of two hidden layers of 64, 40 epochs; test: 142 rows.",
        builder(diabetes, most_val=100, test=142),
        sizes=(50, 200),
        measures=_MEASURES,
        arms=_ARMS,
    ),
    Study(
        "california_like",
        "A made-up table like California housing, 2,000 rows; test: 600 rows.",
        builder(california_like, most_val=400, test=600),
        sizes=(100, 1_000),
        measures=_MEASURES,
        arms=_ARMS,
    ),
)
