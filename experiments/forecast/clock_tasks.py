"""What the runs by time train: the demo's CNN, and the 14-parameter CNN on MNIST and CIFAR-10."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from experiments.common.idx import mnist
from experiments.common.real import cnn, images
from experiments.common.real.cnn_training import CNNRun, Settings, settings_of
from experiments.common.real.training import DigitsTask
from raymimic.demo import SPACE, Split
from raymimic.demo.training import Training

NAMES = ("demo", "mnist_cnn", "cifar10_cnn")


class Task(Protocol):
    """A space, its published default, and a training; picklable, for it goes to each trial."""

    epochs: int

    @property
    def space(self) -> dict[str, Any]: ...
    @property
    def default(self) -> dict[str, Any]: ...
    def train(self, config: dict[str, Any], seed: int) -> Iterator[dict[str, float]]:
        """Metrics of each epoch, among them val_loss: NaN where it diverged or cannot be built."""
        ...


@dataclass(frozen=True)
class DemoCNN:
    """The demo's nine parameters; its seed's own draw of as many training as validation images."""

    split: Split
    epochs: int

    @property
    def space(self) -> dict[str, Any]:
        return dict(SPACE)

    @property
    def default(self) -> dict[str, Any]:
        return DigitsTask().default()  # of the same nine parameters

    def train(self, config: dict[str, Any], seed: int) -> Iterator[dict[str, float]]:
        run = Training(config, self.split, seed)
        for _ in range(self.epochs):
            yield run.epoch()


@dataclass(frozen=True)
class ConfigurableCNN:
    """The 14 parameters of `experiments.common.real.cnn`; the seed draws weights and order."""

    data: images.Images
    settings: Settings

    @property
    def epochs(self) -> int:
        return self.settings.epochs

    @property
    def space(self) -> dict[str, Any]:
        return cnn.param_space()

    @property
    def default(self) -> dict[str, Any]:
        return cnn.default()

    def train(self, config: dict[str, Any], seed: int) -> Iterator[dict[str, float]]:
        most = self.settings.most_multiply_adds
        needed = cnn.multiply_adds(config, self.data.shape, images.CLASSES, self.settings.width)
        if most is not None and needed > most:
            yield {"val_loss": float("nan")}
            return
        run = CNNRun(config, self.data, self.settings, seed, "cpu")
        for _ in range(self.epochs):
            yield run.epoch()


def task_of(name: str, seed: int, *, data_dir: Path, count: int, epochs: int) -> Task:
    """Load a task; ``count`` and ``epochs`` are the demo's, the others are a preset's."""
    if name == "demo":
        return DemoCNN(_split(data_dir, seed, count), epochs)
    settings = settings_of("cpu")
    counts = (settings.train_images, settings.val_images, settings.test_images)
    data = images.load(name.removesuffix("_cnn"), data_dir, counts, settings.image_size)
    return ConfigurableCNN(data, settings)


def _split(data_dir: Path, seed: int, count: int) -> Split:
    """``count`` training and as many validation images of the training set; no test images."""
    pixels, labels = mnist(data_dir, "train")
    rows = np.random.default_rng(seed).permutation(len(labels))[: 2 * count]
    scaled = (pixels[rows].astype(np.float32) / 255 - 0.1307) / 0.3081  # MNIST's mean and sd
    some, other = slice(count), slice(count, 2 * count)
    told = labels[rows]
    return Split(
        "mnist", scaled[some], told[some], scaled[other], told[other], scaled[:0], told[:0]
    )
