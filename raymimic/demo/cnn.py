"""A small convolutional network and its optimizer, built from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raymimic.errors import MissingExtra

try:
    import torch
    from torch import nn
except ImportError:
    raise MissingExtra(
        'the demo needs torch, which is not installed; cure: pip install "raymimic[demo]"'
    ) from None

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
}
OPTIMIZERS = ("sgd", "adam", "adamw")

_SMALL = 16  # images up to this size keep it through the first convolution
_POOL_FROM = 8  # feature maps of at least this size are halved after each block


def build_model(config: Mapping[str, Any], shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build ``depth`` blocks of convolution, norm and activation, then two linear layers.

    Uses ``width`` (channels), ``depth``, ``activation``, ``batch_norm`` and ``dropout`` (before
    each linear layer) of the configuration. ``shape`` is (channels, height, width) of an image.
    The first convolution halves images above 16 pixels, which keeps an epoch short on one core.
    """
    channels, height, width = shape
    activation = _one_of("activation", config["activation"], ACTIVATIONS)
    layers: list[nn.Module] = []
    for block in range(config["depth"]):
        stride = 2 if block == 0 and min(height, width) > _SMALL else 1
        layers.append(nn.Conv2d(channels, config["width"], 3, stride=stride, padding=1))
        channels = config["width"]
        height, width = -(-height // stride), -(-width // stride)
        if config["batch_norm"]:
            layers.append(nn.BatchNorm2d(channels))
        layers.append(activation())
        if min(height, width) >= _POOL_FROM:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    hidden = 4 * config["width"]
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Dropout(config["dropout"]),
        nn.Linear(channels * height * width, hidden),
        activation(),
        nn.Dropout(config["dropout"]),
        nn.Linear(hidden, classes),
    )


def build_optimizer(config: Mapping[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """Build the ``optimizer`` with ``lr`` and ``weight_decay``; SGD has a momentum of 0.9."""
    name = _one_of("optimizer", config["optimizer"], {name: name for name in OPTIMIZERS})
    settings = {"lr": config["lr"], "weight_decay": config["weight_decay"]}
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, **settings)
    adam = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return adam(model.parameters(), **settings)


def _one_of(key: str, value: Any, known: Mapping[str, Any]) -> Any:
    if value not in known:
        raise ValueError(f"{key} must be one of {', '.join(known)}, but is {value!r}")
    return known[value]
