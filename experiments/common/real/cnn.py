"""The 14-parameter convolutional network: its search space, its default, its layers, its cost.

The space is the one of neuropt's benchmark (its domains; the network is written afresh from their
description). All 14 parameters act on every network that is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ray import tune
from torch import nn

from raymimic.demo.cnn import build_optimizer

MAX_CHANNELS = 512
MIN_CHANNELS = 8
SMALLEST_SIDE = 2  # feature maps up to this side are not pooled any further

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
}


def param_space() -> dict[str, Any]:
    """Return the 14 domains; Tune's integer ranges exclude their upper bound."""
    return {
        "n_blocks": tune.randint(2, 9),
        "base_channels": tune.randint(16, 129),
        "channel_growth": tune.uniform(1.0, 2.5),
        "kernel_size": tune.choice([3, 5]),
        "activation": tune.choice(list(ACTIVATIONS)),
        "use_residual": tune.choice([True, False]),
        "use_batchnorm": tune.choice([True, False]),
        "dropout": tune.uniform(0.0, 0.5),
        "pool_every": tune.randint(1, 5),
        "pool_type": tune.choice(["max", "avg"]),
        "fc_hidden": tune.randint(0, 513),
        "lr": tune.loguniform(1e-4, 1e-1),
        "weight_decay": tune.loguniform(1e-6, 1e-2),
        "optimizer": tune.choice(["sgd", "adam", "adamw"]),
    }


def default() -> dict[str, Any]:
    """Return the configuration that published defaults give, chosen before any training here.

    Adam with lr 1e-3: Kingma & Ba 2015 (arXiv 1412.6980), also the default of PyTorch and Keras.
    3x3 kernels, ReLU, max pooling after every second convolution, channels doubled whenever the
    image is halved (so times 2**0.5 a block): VGG, Simonyan & Zisserman 2015 (arXiv 1409.1556).
    Batch norm, and no dropout beside it: Ioffe & Szegedy 2015 (arXiv 1502.03167). Weight decay
    1e-4 and 32 channels at first: He et al. 2016 (arXiv 1512.03385) and the Keras and PyTorch
    MNIST examples, which also give the 128 hidden units. Skip connections are for deep networks
    (He et al.), four blocks are not.
    """
    return {
        "n_blocks": 4,
        "base_channels": 32,
        "channel_growth": 1.41,
        "kernel_size": 3,
        "activation": "relu",
        "use_residual": False,
        "use_batchnorm": True,
        "dropout": 0.0,
        "pool_every": 2,
        "pool_type": "max",
        "fc_hidden": 128,
        "lr": 1e-3,
        "weight_decay": 1e-4,
        "optimizer": "adam",
    }


def block_channels(config: Mapping[str, Any], width: float = 1.0) -> list[int]:
    """Return the output channels of each block: base x growth**i, within 8 and 512 x width.

    ``width`` is the width multiplier of MobileNet (Howard et al. 2017, arXiv 1704.04861): it
    scales every layer alike, so one space serves a laptop's cores and a GPU.
    """
    most = max(MIN_CHANNELS, int(MAX_CHANNELS * width))
    first, growth = config["base_channels"], config["channel_growth"]
    return [
        min(most, max(MIN_CHANNELS, int(width * first * growth**block)))
        for block in range(config["n_blocks"])
    ]


def multiply_adds(
    config: Mapping[str, Any], shape: tuple[int, int, int], classes: int, width: float = 1.0
) -> int:
    """Return the multiply-adds of one image's way forward, convolutions and linear layers only.

    ``shape`` is (channels, side, side). Known before anything is built, hence the same verdict on
    every machine.
    """
    before, side, _ = shape
    total = 0
    for block, after in enumerate(block_channels(config, width)):
        taps = config["kernel_size"] ** 2
        projection = 1 if config["use_residual"] and before != after else 0
        total += side * side * before * after * (taps + projection)
        side //= 2 if _pools(config, block, side) else 1
        before = after
    hidden = config["fc_hidden"]
    return total + (before * hidden + hidden * classes if hidden else before * classes)


class ConfigurableCNN(nn.Module):
    """Blocks of convolution, norm, activation and dropout; global average pooling; a head.

    ``shape`` is (channels, side, side) of an image, ``width`` as in `block_channels`. A missing key
    raises KeyError, an unknown activation or pooling ValueError.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        shape: tuple[int, int, int],
        classes: int,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        channels, side, _ = shape
        blocks: list[nn.Module] = []
        for number, after in enumerate(block_channels(config, width)):
            blocks.append(_Block(config, channels, after))
            if _pools(config, number, side):
                blocks.append(_pooling(config["pool_type"]))
                side //= 2
            channels = after
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = _head(config, channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


class _Block(nn.Module):
    def __init__(self, config: Mapping[str, Any], before: int, after: int) -> None:
        super().__init__()
        kernel, norm = config["kernel_size"], config["use_batchnorm"]
        layers: list[nn.Module] = [
            nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=not norm)
        ]
        if norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(_activation(config["activation"]))
        if config["dropout"] > 0:
            layers.append(nn.Dropout2d(config["dropout"]))
        self.body = nn.Sequential(*layers)
        self.shortcut: nn.Module | None = None
        if config["use_residual"]:
            same = before == after
            self.shortcut = nn.Identity() if same else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        after = self.body(images)
        return after if self.shortcut is None else after + self.shortcut(images)


def _pools(config: Mapping[str, Any], block: int, side: int) -> bool:
    return (block + 1) % config["pool_every"] == 0 and side > SMALLEST_SIDE


def _pooling(name: str) -> nn.Module:
    if name not in ("max", "avg"):
        raise ValueError(f"pool_type must be max or avg, but is {name!r}")
    return nn.MaxPool2d(2) if name == "max" else nn.AvgPool2d(2)


def _activation(name: str) -> nn.Module:
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, but is {name!r}")
    return ACTIVATIONS[name]()


def _head(config: Mapping[str, Any], channels: int, classes: int) -> nn.Module:
    hidden = config["fc_hidden"]
    if hidden == 0:
        return nn.Linear(channels, classes)
    return nn.Sequential(
        nn.Linear(channels, hidden),
        _activation(config["activation"]),
        nn.Dropout(config["dropout"]),
        nn.Linear(hidden, classes),
    )


__all__ = [
    "ConfigurableCNN",
    "block_channels",
    "build_optimizer",
    "default",
    "multiply_adds",
    "param_space",
]
