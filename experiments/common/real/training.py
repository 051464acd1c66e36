"""Real trainings as tasks: `mnist_cnn` and `cifar10_cnn` (14 parameters), and `digits`.

    tasks = training.tasks("cpu", data_dir=DIR, cache_dir=OUT / "trainings")
    for metrics in tasks["mnist_cnn"].train(config, seed=0, trial=0): ...

Weights and data order depend on ``seed`` alone, so the same configuration under the same seed is
one training, whoever asks for it: it is computed once and read from ``cache_dir`` afterwards.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from experiments.common.real import cnn, images
from experiments.common.real.cache import Config, Training, TrainingCache
from experiments.common.real.cnn_training import CNNRun, Settings, settings_of
from experiments.common.task import NotApplicable, TrainingFailed
from raymimic import demo
from raymimic.demo.training import Training as DemoTraining


class _Run(Protocol):
    def epoch(self) -> dict[str, float]: ...
    def test(self) -> float: ...


# Other work on the machine does not count; a thread that waits for a GPU uses no core.
_clock = time.perf_counter if torch.cuda.is_available() else time.thread_time


class TrainingTask:
    """A real training as a `Task`. ``train`` yields `METRICS` after every epoch, score val_loss.

    ``value`` and ``test`` are those of the last training of a configuration in this process, NaN
    unless it was trained to its end. ``regret`` is NaN: nobody knows the optimum.
    """

    family = "training"
    metric = "val_loss"
    mode = "min"

    def __init__(self, name: str, cache_dir: Path | None) -> None:
        self.name = name
        self._cache_dir = cache_dir
        self._last: dict[str, tuple[float, float]] = {}

    epochs: int

    def param_space(self) -> dict[str, Any]:
        raise NotImplementedError

    def default(self) -> Config:
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Return all that the result depends on, besides configuration and seed."""
        raise NotImplementedError

    def start(self, config: Config, seed: int) -> _Run:
        """Build a training; raises TrainingFailed for what cannot be built."""
        raise NotImplementedError

    @cached_property
    def _cache(self) -> TrainingCache:
        return TrainingCache(self._cache_dir, self.name, self.settings())

    def train(self, config: Config, seed: int, trial: int) -> Iterator[dict[str, float]]:
        """Yield the metrics of each epoch; ``trial`` changes nothing. Raises TrainingFailed.

        A diverged epoch is yielded with its NaN before the failure. Closing the iterator early
        keeps the epochs so far.
        """
        del trial
        key = self._cache.key(config)
        self._last.pop(key, None)
        for epoch, (metrics, test) in enumerate(self._outcomes(config, seed), start=1):
            if epoch == self.epochs:
                self._last[key] = metrics[self.metric], test
            yield dict(metrics)

    def _outcomes(self, config: Config, seed: int) -> Iterator[tuple[dict[str, float], float]]:
        """Yield (metrics, test accuracy, NaN but in the last epoch): the known epochs first."""
        done = self._cache.read(config, seed)
        for row in done.rows:
            yield row, done.test
        if not done.complete(self.epochs):
            done = yield from self._compute(config, seed, known=len(done.rows))
        if done.error:
            raise TrainingFailed(done.error)

    def _compute(
        self, config: Config, seed: int, known: int
    ) -> Generator[tuple[dict[str, float], float], None, Training]:
        """Train from the beginning, yield what comes after the ``known`` epochs, keep it all."""
        done = Training()
        try:
            run = self.start(config, seed)
            for epoch in range(1, self.epochs + 1):
                began = _clock()
                done.rows.append(run.epoch())
                done.seconds.append(_clock() - began)
                finite = math.isfinite(done.rows[-1][self.metric])
                if finite and epoch == self.epochs:
                    done.test = run.test()
                if epoch > known:  # kept before it is told: nobody may ask for more
                    self._cache.write(config, seed, done)
                    yield done.rows[-1], done.test
                if not finite:
                    raise TrainingFailed(f"training diverged in epoch {epoch}")
        except (TrainingFailed, torch.OutOfMemoryError) as failure:
            done.error = str(failure)
            self._cache.write(config, seed, done)
        return done

    def train_seconds(self, config: Config, seed: int) -> list[float]:
        """Return what each epoch took when it was computed: core seconds, on a GPU wall seconds."""
        return list(self._cache.read(config, seed).seconds)

    def value(self, config: Config) -> float:
        return self._last.get(self._cache.key(config), (math.nan, math.nan))[0]

    def test(self, config: Config) -> float:
        return self._last.get(self._cache.key(config), (math.nan, math.nan))[1]

    def regret(self, config: Config) -> float:
        del config
        return math.nan

    def worst(self, n: int) -> list[Config]:
        del n
        raise NotApplicable(f"{self.name} is no table: its worst configurations are unknown")


class CNNTask(TrainingTask):
    """The 14-parameter CNN search on "mnist" or "cifar10"."""

    def __init__(
        self, data: str, settings: Settings, data_dir: Path, cache_dir: Path | None = None
    ) -> None:
        super().__init__(f"{data}_cnn", cache_dir)
        self.epochs = settings.epochs
        self._data, self._settings, self._data_dir = data, settings, data_dir
        self._device = "cuda" if torch.cuda.is_available() else "cpu"

    def param_space(self) -> dict[str, Any]:
        return cnn.param_space()

    def default(self) -> Config:
        return cnn.default()

    def settings(self) -> dict[str, Any]:
        return {**asdict(self._settings), "data": self._data, "device": self._device}

    @cached_property
    def _images(self) -> images.Images:
        wanted = self._settings
        counts = (wanted.train_images, wanted.val_images, wanted.test_images)
        return images.load(self._data, self._data_dir, counts, wanted.image_size)

    def start(self, config: Config, seed: int) -> _Run:
        most = self._settings.most_multiply_adds
        needed = cnn.multiply_adds(config, self._images.shape, images.CLASSES, self._settings.width)
        if most is not None and needed > most:
            raise TrainingFailed(
                f"the network needs {needed / 1e6:.0f} million multiply-adds an image, "
                f"the limit is {most / 1e6:.0f} million"
            )
        return CNNRun(config, self._images, self._settings, seed, self._device)


class DigitsTask(TrainingTask):
    """The demo's nine-parameter search on scikit-learn's digits; needs no data folder."""

    def __init__(self, cache_dir: Path | None = None, epochs: int | None = None) -> None:
        super().__init__("digits", cache_dir)
        self.epochs = demo.EPOCHS["digits"] if epochs is None else epochs

    def param_space(self) -> dict[str, Any]:
        return dict(demo.SPACE)

    def default(self) -> Config:
        """Return published defaults: sources as in `cnn.default`; batch 32 is Keras's."""
        return {
            "lr": 1e-3,
            "weight_decay": 1e-4,
            "dropout": 0.0,
            "width": 32,
            "depth": 2,
            "optimizer": "adam",
            "batch_size": 32,
            "activation": "relu",
            "batch_norm": True,
        }

    def settings(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    @cached_property
    def _split(self) -> demo.Split:
        return demo.load("digits")

    def start(self, config: Config, seed: int) -> _Run:
        return _DigitsRun(DemoTraining(config, self._split, seed), self._split)


@dataclass
class _DigitsRun:
    training: DemoTraining
    split: demo.Split

    def epoch(self) -> dict[str, float]:
        return self.training.epoch()

    def test(self) -> float:
        return self.training.score(self.split.test_images, self.split.test_labels)[1]


def tasks(
    preset: str = "cpu", *, data_dir: Path | None = None, cache_dir: Path | None = None
) -> dict[str, TrainingTask]:
    """Return the tasks by name; ``preset`` is read by `settings_of`.

    Without ``data_dir`` there is only `digits`, which no preset changes. Data is read at the first
    training.
    """
    settings = settings_of(preset)
    found: dict[str, TrainingTask] = {"digits": DigitsTask(cache_dir)}
    if data_dir is not None:
        for data in ("mnist", "cifar10"):
            task = CNNTask(data, settings, data_dir, cache_dir)
            found[task.name] = task
    return found
