"""The demo's data sets, cut into train, validation and test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raymimic.demo.sources import DataError, Pool, cifar10_pools, digits, torchvision_pools
from raymimic.errors import MissingExtra

NAMES = ("digits", "mnist", "fashion-mnist", "cifar10")
CLASSES = 10  # of every data set here

_VAL_SAMPLES = {"digits": 400}
_TRAIN_SAMPLES = {"digits": 600}
_DEFAULT_VAL, _DEFAULT_TRAIN = 2000, 6000

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Disjoint train, validation and test samples.

    Images are float32 of shape (n, channels, height, width), standardised per channel by the
    training samples; labels are int64 from 0 to 9. Validation chooses between configurations;
    test is looked at once, at the end.
    """

    name: str
    train_images: Images
    train_labels: Labels
    val_images: Images
    val_labels: Labels
    test_images: Images
    test_labels: Labels

    def without_test(self) -> Split:
        """Return the same split with no test samples: what a trial may see."""
        return replace(self, test_images=self.test_images[:0], test_labels=self.test_labels[:0])


def load(
    name: str = "digits",
    data_dir: str | Path | None = None,
    train_samples: int | None = None,
    seed: int = 0,
) -> Split:
    """Load ``name`` (one of `NAMES`) as a stratified split that depends on ``seed`` only.

    ``train_samples`` is 600 for the digits (with 400 for validation and the other 797 for the
    test) and 6,000 for the others (with 2,000 for validation, both drawn from the official
    training set, and the whole official test set). All but the digits are read from ``data_dir``;
    nothing is ever downloaded. Raises DataError when data is missing or too little and
    MissingExtra when a package is.
    """
    if name not in NAMES:
        raise DataError(f"the data set must be one of {', '.join(NAMES)}, but is {name!r}")
    wanted = (
        train_samples if train_samples is not None else _TRAIN_SAMPLES.get(name, _DEFAULT_TRAIN)
    )
    pool, test_pool = _pools(name, data_dir)
    train_rows, val_rows, rest = _cut(
        pool.labels, wanted, _VAL_SAMPLES.get(name, _DEFAULT_VAL), seed
    )
    test_rows = rest if test_pool is None else np.arange(len(test_pool.labels))
    test_pool = test_pool or pool
    train_images = pool.pick(train_rows)
    mean = train_images.mean(axis=(0, 2, 3), keepdims=True)
    sd = train_images.std(axis=(0, 2, 3), keepdims=True)
    return Split(
        name=name,
        train_images=(train_images - mean) / sd,
        train_labels=pool.labels[train_rows],
        val_images=(pool.pick(val_rows) - mean) / sd,
        val_labels=pool.labels[val_rows],
        test_images=(test_pool.pick(test_rows) - mean) / sd,
        test_labels=test_pool.labels[test_rows],
    )


def _pools(name: str, data_dir: str | Path | None) -> tuple[Pool, Pool | None]:
    """Return (pool, official test pool or None where the pool itself must yield the test)."""
    if name == "digits":
        return digits(), None
    if data_dir is None or not Path(data_dir).is_dir():
        got = "none was given" if data_dir is None else f"{str(data_dir)!r} is no folder"
        raise DataError(
            f"{name} needs a data folder, but {got}; cure: name the folder that holds its files "
            "with --data-dir, or use the digits, which need none"
        )
    folder = Path(data_dir)
    if name == "mnist":
        return torchvision_pools("MNIST", folder, "MNIST/raw/ with the four *-ubyte files")
    if name == "fashion-mnist":
        return torchvision_pools(
            "FashionMNIST", folder, "FashionMNIST/raw/ with the four *-ubyte files"
        )
    return cifar10_pools(folder)


def _cut(
    labels: Labels, train_samples: int, val_samples: int, seed: int
) -> tuple[Labels, Labels, Labels]:
    """Draw disjoint, stratified rows for train and validation; return them and the rest."""
    most = len(labels) - val_samples - CLASSES
    if not CLASSES <= train_samples <= most:
        raise DataError(
            f"the number of training samples must be between {CLASSES} and {most} here "
            f"({val_samples} more are for validation), but is {train_samples!r}"
        )
    try:
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise MissingExtra(
            "the demo needs scikit-learn, which is not installed; "
            'cure: pip install "raymimic[demo]"'
        ) from None
    rows = np.arange(len(labels))
    train, others = train_test_split(
        rows, train_size=train_samples, stratify=labels, random_state=seed
    )
    val, rest = train_test_split(
        others, train_size=val_samples, stratify=labels[others], random_state=seed
    )
    return train, val, rest
