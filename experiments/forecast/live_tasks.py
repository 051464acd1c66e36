"""What `live` trains: the 14-parameter CNN, small, on data on which no other study trains it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits

from experiments.common.real import images
from experiments.common.real.cnn_training import Settings

_WRONG = 0.3  # share of MNIST's training labels that are drawn anew


class LiveTask(NamedTuple):
    """Where its images come from, how a net is trained, and the seconds that each slot has."""

    load: Callable[[Path], images.Images]
    settings: Settings
    seconds: float


def _digits(data_dir: Path) -> images.Images:
    del data_dir  # they come with scikit-learn
    digits = load_digits()
    pixels = torch.tensor(digits.images, dtype=torch.float32)[:, None]
    labels = torch.tensor(digits.target)
    rows = np.random.default_rng(7).permutation(len(labels))
    train, val, rest = rows[:600], rows[600:1200], rows[1200:]
    pixels = (pixels - pixels[train].mean()) / pixels[train].std()
    return images.Images(*((pixels[part], labels[part]) for part in (train, val, rest)))


def _mnist_noisy(data_dir: Path) -> images.Images:
    found = images.load("mnist", data_dir, (800, 1000, 100), 10)
    rng = np.random.default_rng(3)
    labels = found.train[1].clone()
    wrong = torch.tensor(rng.random(len(labels)) < _WRONG)
    labels[wrong] = torch.tensor(rng.integers(0, images.CLASSES, int(wrong.sum())))
    return images.Images((found.train[0], labels), found.val, found.test)


def _cifar_gray(data_dir: Path) -> images.Images:
    found = images.load("cifar10", data_dir, (900, 1000, 100), 12)
    parts = (found.train, found.val, found.test)
    return images.Images(*((pixels.mean(1, keepdim=True), labels) for pixels, labels in parts))


def _settings(side: int, most: int) -> Settings:
    return Settings(
        image_size=side, epochs=5, batch_size=32, width=0.25, most_multiply_adds=most
    )  # the numbers of images are those of the loaders


TASKS = {
    "digits": LiveTask(_digits, _settings(8, 15_000_000), 16.0),
    "mnist_noisy": LiveTask(_mnist_noisy, _settings(10, 25_000_000), 20.0),
    "cifar_gray": LiveTask(_cifar_gray, _settings(12, 40_000_000), 20.0),
}
