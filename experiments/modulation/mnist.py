"""The seed's study: its CNN on subsets of MNIST, with a validation split apart from the test."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from experiments.common import idx
from experiments.modulation.supervised import Part, Parts, Supervised
from experiments.modulation.task import Study, StudyError
from raymimic.demo import DataError

EPOCHS = 10
_FULL = 60_000

ALL_ARMS = (
    "plain", "guided", "knobs_only", "weights_only", "random_deltas", "random_knobs", "cosine",
    "plateau", "fixed_lr3", "fixed",
)  # fmt: skip


@functools.cache
def _pools(data_dir: Path) -> tuple[np.ndarray, np.ndarray, Part]:
    """Bytes and labels of the 60,000 training images, and the 10,000 test images ready to use."""
    try:
        train, (pixels, labels) = (idx.mnist(data_dir, part) for part in ("train", "t10k"))
    except DataError as error:
        raise StudyError(str(error)) from None
    return *train, (normalised(pixels), torch.from_numpy(labels))


def normalised(pixels: np.ndarray) -> torch.Tensor:
    """Bytes as torchvision's ToTensor and Normalize(.5, .5) give them: -1 to 1."""
    return torch.from_numpy(pixels.astype(np.float32)).div_(255).sub_(0.5).div_(0.5)


def counts(size: int) -> tuple[int, int]:
    """(training, validation) images of a size: validation is never larger than training.

    As many as the training set up to 2,000. "60000", all training images, is 55,000 and 5,000.
    """
    if not 0 < size <= _FULL:
        raise StudyError(f"a size must lie between 1 and {_FULL} images, but is {size}")
    if size == _FULL:
        return 55_000, 5_000
    return size, min(size, 2_000, _FULL - size)


def load(size: int, seed: int, data_dir: Path | None) -> Parts:
    """Draw the images of one seed; training and validation are disjoint, test is always whole."""
    if data_dir is None:
        raise StudyError("MNIST is read from disk; cure: give --data-dir, the folder of MNIST/raw/")
    pixels, labels, test = _pools(data_dir)
    train, val = counts(size)
    rows = np.random.default_rng(seed).permutation(len(labels))[: train + val]
    parts = [
        (normalised(pixels[some]), torch.from_numpy(labels[some]))
        for some in np.split(rows, [train])
    ]
    return Parts(parts[0], parts[1], test)


def network(seed: int) -> nn.Sequential:
    """Build the seed's CNN, 225,034 parameters; equal weights for equal seeds."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10),
    )  # fmt: skip


def build(size: int, seed: int, data_dir: Path | None) -> Supervised:
    """One training of the seed's protocol: Adam 1e-3, batches of 32, 10 epochs."""
    return Supervised(network(seed), load(size, seed, data_dir), seed, EPOCHS)


def with_flipped_labels(share: float) -> Callable[[int, int, Path | None], Supervised]:
    """The same with ``share`` of the training labels replaced by another class, drawn by seed.

    Validation labels stay right: a user with noisy labels often owns a small clean set.
    """

    def build_noisy(size: int, seed: int, data_dir: Path | None) -> Supervised:
        parts = load(size, seed, data_dir)
        inputs, labels = parts.train
        rng = np.random.default_rng([seed, 1])
        rows = torch.from_numpy(rng.permutation(len(labels))[: round(share * len(labels))])
        other = torch.from_numpy(rng.integers(1, 10, size=len(rows)))
        labels[rows] = (labels[rows] + other) % 10
        noisy = Parts((inputs, labels), parts.val, parts.test)
        return Supervised(network(seed), noisy, seed, EPOCHS)

    return build_noisy


STUDIES = (
    Study(
        "mnist",
        "The seed's CNN on MNIST. Validation: other training images, as many as are trained on, at "
        "most 2,000; size 60000 means 55,000 for training and 5,000 for validation. Test: the "
        "10,000 test images, read once.",
        build,
        sizes=(10, 100, 600, 6_000, _FULL),
        arms=ALL_ARMS,
    ),
    *(
        Study(
            f"label_noise_{percent}",
            f"As mnist, with {percent}% of the training labels flipped; validation labels are "
            "right.",
            with_flipped_labels(percent / 100),
            sizes=(600, 6_000),
            arms=("plain", "guided", "cosine", "plateau", "random_deltas"),
        )
        for percent in (20, 40)
    ),
)
