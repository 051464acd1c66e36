"""MNIST and CIFAR-10 for the CNN search, cut and resized the same way for every method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from experiments.common.idx import mnist
from raymimic.demo import DataError
from raymimic.demo.sources import Pool, cifar10_pools

CLASSES = 10
_SEED = 0  # of the split: one task has one split, whatever the seed of the training

Part = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Images:
    """(images, labels) of each part: float32 (n, channels, side, side), standardised; int64.

    Train and validation are disjoint draws from the official training set, test is drawn from the
    official test set.
    """

    train: Part
    val: Part
    test: Part

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, side, side) of an image."""
        channels, side, _ = self.train[0].shape[1:]
        return channels, side, side


def load(data: str, data_dir: Path, counts: tuple[int, int, int], side: int) -> Images:
    """Load (train, validation, test) ``counts`` of "mnist" or "cifar10", resized to ``side``.

    Nothing is downloaded. Raises DataError when files are missing, hold too little, or ``data``
    is neither.
    """
    if data not in ("mnist", "cifar10"):
        raise DataError(f"the data must be mnist or cifar10, but is {data!r}")
    pools = mnist_pools(data_dir) if data == "mnist" else cifar10_pools(data_dir)
    train_count, val_count, test_count = counts
    rows = _draw(pools[0], train_count + val_count)
    parts = [
        _part(pools[0], rows[:train_count], side),
        _part(pools[0], rows[train_count:], side),
        _part(pools[1], _draw(pools[1], test_count), side),
    ]
    seen = parts[0][0]
    mean, sd = seen.mean(dim=(0, 2, 3), keepdim=True), seen.std(dim=(0, 2, 3), keepdim=True)
    train, val, test = (((images - mean) / sd, labels) for images, labels in parts)
    return Images(train, val, test)


def _draw(pool: Pool, count: int) -> np.ndarray:
    if not 0 < count <= len(pool.labels):
        raise DataError(f"there are {len(pool.labels)} images to draw from, asked for: {count}")
    return np.random.default_rng(_SEED).permutation(len(pool.labels))[:count]


def _part(pool: Pool, rows: np.ndarray, side: int) -> Part:
    images = torch.from_numpy(pool.pick(rows))
    if images.shape[-1] != side:
        images = functional.interpolate(
            images, size=(side, side), mode="bilinear", antialias=True, align_corners=False
        )
    return images, torch.from_numpy(pool.labels[rows])


def mnist_pools(data_dir: Path) -> tuple[Pool, Pool]:
    """Read (train, test) of MNIST's four idx files in MNIST/raw, gzipped or not."""
    return _mnist_pool(data_dir, "train"), _mnist_pool(data_dir, "t10k")


def _mnist_pool(data_dir: Path, part: str) -> Pool:
    pixels, labels = mnist(data_dir, part)
    return Pool(labels, lambda rows: pixels[rows].astype(np.float32) / np.float32(255))
