"""The two data sets of the study, split once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from raymimic.evolution import Limits, TrainingTask
from raymimic.evolve.data import read_data

Labels = np.ndarray

SEEDS = {"mnist1d": "conv1d", "cifar10": "exquisite-net-v2"}
"""The program that each set's evolutions begin with."""


def task_of(data: str, seed: int, folder: Path | None) -> tuple[TrainingTask, Labels]:
    """The task on one of the sets; ``folder`` is for CIFAR-10."""
    if data == "mnist1d":
        return mnist1d(seed)
    if folder is None:
        raise SystemExit("CIFAR-10 needs --folder, where its parquet files lie")
    return cifar10(seed, folder)


def mnist1d(seed: int) -> tuple[TrainingTask, Labels]:
    """3,000 / 1,000 / 1,000 signals of 40 samples, 15 epochs; and the test labels."""
    arrays = read_data("mnist1d")
    y_test = arrays.pop("y_test")
    task = TrainingTask(**arrays, epochs=15, batch_size=100, seed=seed, limits=Limits(seconds=180))
    return task, y_test


def cifar10(seed: int, folder: Path) -> tuple[TrainingTask, Labels]:
    """5,000 / 2,000 / 2,000 colour images of 32 pixels, 8 epochs; and the test labels.

    ``folder`` holds cifar10-train.parquet and cifar10-test.parquet with the columns "img" and
    "label" (images as encoded bytes), as on the Hugging Face hub.
    """
    x, y = _images(folder / "cifar10-train.parquet", 7000)
    x_test, y_test = _images(folder / "cifar10-test.parquet", 2000)
    mean, scale = x[:5000].mean((0, 2, 3), keepdims=True), x[:5000].std((0, 2, 3), keepdims=True)
    task = TrainingTask(
        (x[:5000] - mean) / scale, y[:5000], (x[5000:] - mean) / scale, y[5000:],
        x_test=(x_test - mean) / scale, epochs=8, batch_size=128, seed=seed,
        limits=Limits(seconds=1200),
    )  # fmt: skip
    return task, y_test


def _images(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd
    from PIL import Image

    table = pd.read_parquet(path)
    image, label = ("img", "label") if "img" in table else table.columns[:2]
    rows = np.random.default_rng(0).permutation(len(table))[:count]
    pixels = [
        np.asarray(Image.open(io.BytesIO(cell["bytes"] if isinstance(cell, dict) else cell)))
        for cell in table[image].iloc[rows]
    ]
    x = np.stack(pixels).astype(np.float32).transpose(0, 3, 1, 2) / 255
    return x, table[label].iloc[rows].to_numpy(np.int64)
