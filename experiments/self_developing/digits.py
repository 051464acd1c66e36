"""A small task for merging: a weak base on noisy digits, and three experts tuned from it.

scikit-learn's digits with Gaussian noise of .25 on pixels of 0 to 1. The base, an MLP
64-128-128-10, sees 120 samples; each expert is tuned on all training samples of some labels and 40
of the base's. Dev 400 and test 600 samples are kept apart from all training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from raymimic import MergeTask

LABELS = {"low": (0, 1, 2, 3), "middle": (4, 5, 6), "high": (7, 8, 9)}
_NOISE, _BASE, _REPLAY, _DEV, _TEST = 0.25, 120, 40, 400, 600

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Digits:
    """The task with its data; ``dev`` and ``test`` are (inputs, labels)."""

    task: MergeTask
    dev: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def make(seed: int) -> Digits:
    """The task of a seed: data split, noise and initial weights."""
    inputs, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    noisy = inputs / 16 + rng.normal(0, _NOISE, inputs.shape)
    x, y = torch.from_numpy(noisy[order]).float(), torch.from_numpy(labels[order])
    dev, test = slice(0, _DEV), slice(_DEV, _DEV + _TEST)
    train_x, train_y = x[_DEV + _TEST :], y[_DEV + _TEST :]
    torch.manual_seed(seed)
    model = network()
    _fit(model, train_x[:_BASE], train_y[:_BASE], epochs=15)
    base = _state(model)
    experts = {}
    for name, wanted in LABELS.items():
        mine = torch.isin(train_y, torch.tensor(wanted))
        model.load_state_dict(base)
        _fit(
            model,
            torch.cat([train_x[mine], train_x[:_REPLAY]]),
            torch.cat([train_y[mine], train_y[:_REPLAY]]),
            epochs=20,
        )
        experts[name] = _state(model)
    return Digits(MergeTask(base, experts, seed=seed), (x[dev], y[dev]), (x[test], y[test]))


def accuracy(state: State, data: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Share of the samples that a model with these weights names rightly."""
    model = network()
    model.load_state_dict(state)
    with torch.no_grad():
        return float((model(data[0]).argmax(1) == data[1]).float().mean())


def scored(state: State, data: tuple[torch.Tensor, torch.Tensor]) -> dict[str, float]:
    """Accuracy with its standard error, as `merge_trainable` reports them."""
    found = accuracy(state, data)
    return {"score": found, "score_error": math.sqrt(found * (1 - found) / len(data[1]))}


def _fit(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(y)).split(32):
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _state(model: nn.Module) -> State:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
