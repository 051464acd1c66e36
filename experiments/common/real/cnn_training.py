"""One training of the 14-parameter CNN: its fixed settings, its presets, its epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional

from experiments.common.real import cnn, images
from experiments.common.real.cache import Config

METRICS = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
_SCORE_BATCH = 500  # images scored at once; bounds memory, does not change results


@dataclass(frozen=True)
class Settings:
    """What a CNN task trains; equal settings on equal machines give equal results.

    ``width`` scales all channels (see `cnn.block_channels`). A network above ``most_multiply_adds``
    per image (None: no limit) fails, in every method alike, before anything is computed.
    """

    train_images: int = 5000
    val_images: int = 1250
    test_images: int = 10_000
    image_size: int = 32
    epochs: int = 5
    batch_size: int = 128
    width: float = 1.0
    most_multiply_adds: int | None = None


# "full" is neuropt's benchmark: a GPU's work, 13 minutes to hours a training on one core. "cpu"
# keeps its 5 epochs of 39 or 40 steps with a quarter of the images, of the batch and of the
# channels and half the side of MNIST: 3.4 core-seconds a training in the mean of 60 random
# configurations (median 2, highest 17), of which one in twenty is beyond the limit.
PRESETS = {
    "full": Settings(),
    "cpu": Settings(
        train_images=1250,
        val_images=1000,
        test_images=2000,
        image_size=14,
        batch_size=32,
        width=0.25,
        most_multiply_adds=75_000_000,
    ),
}


def settings_of(text: str) -> Settings:
    """Read a preset and what differs from it: "cpu", "cpu,image_size=16,train_images=2000".

    Raises ValueError for an unknown preset or field and for a value that is no number.
    """
    preset, *changes = text.split(",")
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, but is {preset!r}")
    changed: dict[str, Any] = {}
    for change in changes:
        name, _, value = change.partition("=")
        if name not in Settings.__dataclass_fields__:
            known = ", ".join(Settings.__dataclass_fields__)
            raise ValueError(f"a preset has the fields {known}, not {name!r}")
        changed[name] = float(value) if name == "width" else int(value)
    return replace(PRESETS[preset], **changed)


class CNNRun:
    """One network in training: cosine schedule over the epochs, cross-entropy in nats."""

    def __init__(
        self, config: Config, data: images.Images, settings: Settings, seed: int, device: str
    ) -> None:
        torch.set_num_threads(1)  # several searches share the machine; one core each
        torch.backends.cudnn.deterministic = True
        torch.manual_seed(seed)
        self._order = torch.Generator().manual_seed(seed)
        self._batch = settings.batch_size
        model = cnn.ConfigurableCNN(config, data.shape, images.CLASSES, settings.width)
        # channels last: a quarter less time on a CPU, the same numbers up to rounding
        self._model = model.to(device, memory_format=torch.channels_last)
        self._optimizer = cnn.build_optimizer(config, self._model)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self._optimizer, T_max=settings.epochs
        )
        self._train, self._val = _on(device, data.train), _on(device, data.val)
        self._test_part, self._device = data.test, device

    def epoch(self) -> dict[str, float]:
        """Take one step a batch; train metrics are means over the steps, NaN when diverged."""
        torch.set_flush_denormal(True)  # vanishing weights would slow a CPU tenfold
        try:
            return self._epoch()
        finally:
            torch.set_flush_denormal(False)  # a setting of the whole process

    def _epoch(self) -> dict[str, float]:
        self._model.train()
        inputs, labels = self._train
        order = torch.randperm(len(labels), generator=self._order).to(self._device)
        loss_sum, right = 0.0, 0
        for rows in order.split(self._batch):
            logits = self._model(inputs[rows])
            loss = functional.cross_entropy(logits, labels[rows])
            if not math.isfinite(loss.item()):
                return dict.fromkeys(METRICS, math.nan)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            loss_sum += loss.item() * len(rows)
            right += int((logits.argmax(dim=1) == labels[rows]).sum())
        self._schedule.step()
        val_loss, val_accuracy = self._score(self._val)
        count = len(labels)
        return dict(
            zip(METRICS, (loss_sum / count, val_loss, right / count, val_accuracy), strict=True)
        )

    def test(self) -> float:
        """Accuracy on the test images."""
        return self._score(_on(self._device, self._test_part))[1]

    @torch.no_grad()
    def _score(self, part: images.Part) -> tuple[float, float]:
        self._model.eval()
        loss, right = 0.0, 0
        for inputs, labels in zip(
            part[0].split(_SCORE_BATCH), part[1].split(_SCORE_BATCH), strict=True
        ):
            logits = self._model(inputs)
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            right += int((logits.argmax(dim=1) == labels).sum())
        count = len(part[1])
        return (loss / count, right / count) if math.isfinite(loss) else (math.nan, math.nan)


def _on(device: str, part: images.Part) -> images.Part:
    return part[0].to(device, memory_format=torch.channels_last), part[1].to(device)
