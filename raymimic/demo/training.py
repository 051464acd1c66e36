"""Training the demo's network: the Tune trainable, its search space and the final test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import ray
import torch
from ray import tune
from torch.nn import functional

from raymimic.demo.cnn import ACTIVATIONS, OPTIMIZERS, build_model, build_optimizer
from raymimic.demo.data import CLASSES, Images, Labels, Split

SPACE: dict[str, Any] = {
    "lr": tune.loguniform(1e-5, 1.0),
    "weight_decay": tune.loguniform(1e-6, 1e-1),
    "dropout": tune.uniform(0.0, 0.8),
    "width": tune.lograndint(8, 65),  # Tune's upper bound is exclusive
    "depth": tune.randint(1, 5),
    "optimizer": tune.choice(list(OPTIMIZERS)),
    "batch_size": tune.choice([16, 32, 64, 128, 256]),
    "activation": tune.choice(list(ACTIVATIONS)),
    "batch_norm": tune.choice([True, False]),
}

EPOCHS = {"digits": 15, "mnist": 6, "fashion-mnist": 6, "cifar10": 8}  # sensible per data set

_SCORE_BATCH = 1000  # samples scored at once; bounds memory, does not change results
_NAN = (math.nan, math.nan)


def trainable(split: Split, epochs: int, seed: int = 0) -> Callable[[dict[str, Any]], None]:
    """Return what `ray.tune.Tuner` takes: `train_cnn` on ``split``, less its test samples."""
    return tune.with_parameters(train_cnn, split=split.without_test(), epochs=epochs, seed=seed)


def train_cnn(config: dict[str, Any], *, split: Split, epochs: int, seed: int = 0) -> None:
    """Train one configuration inside a Tune trial, reporting after every epoch.

    Reports train_loss, val_loss, train_accuracy and val_accuracy, all measured after the epoch
    with dropout off. When training has diverged, they are NaN for that epoch and the trial ends
    there, without error: the curve shows the epoch and no further time is lost. Runs on the GPU
    that Tune assigned to the trial, else on one CPU core.
    """
    run = Training(config, split, seed, _assigned_device())
    for _ in range(epochs):
        metrics = run.epoch()
        tune.report(metrics)
        if _diverged(metrics):
            return


def evaluate_test(
    config: Mapping[str, Any], split: Split, epochs: int, seed: int = 0
) -> dict[str, float]:
    """Train ``config`` again on the CPU and score it on the test samples, once.

    Returns test_loss and test_accuracy beside the last epoch's other metrics, which equal those
    of the trial with the same arguments if that ran on the CPU too. NaN when training diverges.
    """
    run = Training(config, split, seed)
    metrics: dict[str, float] = {}
    for _ in range(epochs):
        metrics = run.epoch()
        if _diverged(metrics):
            return {**metrics, "test_loss": math.nan, "test_accuracy": math.nan}
    loss, accuracy = run.score(split.test_images, split.test_labels)
    return {**metrics, "test_loss": loss, "test_accuracy": accuracy}


def _diverged(metrics: Mapping[str, float]) -> bool:
    return any(math.isnan(value) for value in metrics.values())


def _assigned_device() -> str:
    # get_gpu_ids starts a Ray of its own where none runs, hence the first question
    has_gpu = ray.is_initialized() and ray.get_gpu_ids() and torch.cuda.is_available()
    return "cuda" if has_gpu else "cpu"


class Training:
    """One network in training: call `epoch` as often as there are epochs.

    Equal arguments give equal weights, data order and metrics on the same CPU.
    """

    def __init__(
        self, config: Mapping[str, Any], split: Split, seed: int, device: str = "cpu"
    ) -> None:
        torch.set_num_threads(1)  # trials share the machine; more threads would fight
        torch.manual_seed(seed)
        self._split = split
        self._device = device
        self._batch_size = int(config["batch_size"])
        channels, height, width = split.train_images.shape[1:]
        self._model = build_model(config, (channels, height, width), CLASSES).to(device)
        self._optimizer = build_optimizer(config, self._model)
        self._order = torch.Generator().manual_seed(seed)
        # torch.tensor copies: Ray hands out read-only arrays, which from_numpy warns about
        self._images = torch.tensor(split.train_images, device=device)
        self._labels = torch.tensor(split.train_labels, device=device)

    def epoch(self) -> dict[str, float]:
        """Train for one epoch and return the four metrics of `train_cnn`."""
        split = self._split
        train = val = _NAN
        if self._step_through():
            # as many training as validation samples: the two losses cost the same
            some = len(split.val_labels)
            train = self.score(split.train_images[:some], split.train_labels[:some])
            val = self.score(split.val_images, split.val_labels)
        return {
            "train_loss": train[0],
            "val_loss": val[0],
            "train_accuracy": train[1],
            "val_accuracy": val[1],
        }

    def score(self, images: Images, labels: Labels) -> tuple[float, float]:
        """Return (mean cross-entropy in nats, accuracy from 0 to 1); NaN for a broken network."""
        self._model.eval()
        loss = 0.0
        right = 0
        with torch.no_grad():
            for start in range(0, len(labels), _SCORE_BATCH):
                part = slice(start, start + _SCORE_BATCH)
                logits = self._model(torch.tensor(images[part], device=self._device))
                target = torch.tensor(labels[part], device=self._device)
                loss += functional.cross_entropy(logits, target, reduction="sum").item()
                right += int((logits.argmax(dim=1) == target).sum())
        if not math.isfinite(loss):
            return _NAN
        return loss / len(labels), right / len(labels)

    def _step_through(self) -> bool:
        """Take one optimizer step per batch; False as soon as a loss is not finite."""
        self._model.train()
        order = torch.randperm(len(self._labels), generator=self._order)
        for rows in order.to(self._device).split(self._batch_size):
            loss = functional.cross_entropy(self._model(self._images[rows]), self._labels[rows])
            if not math.isfinite(loss.item()):
                return False
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
        return True
