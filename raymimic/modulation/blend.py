"""The update: ``param += (1 - alpha) * optimizer_update + alpha * delta``, at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
)

_LINEAR = (SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, RAdam, RMSprop)
"""Their update is the learning rate times something that does not depend on it, so a share of
the update is the update at a share of the learning rate, and costs nothing."""

StepFunction = Callable[[], Any]


class Blend:
    """Steps an optimizer with a share of its update and a delta spread over the steps.

    ``lr_factor`` multiplies the learning rates of all groups during a step and leaves them as they
    were after it, so a learning-rate schedule goes on undisturbed. ``gains`` multiply single
    parameters' updates (0: frozen). While no delta is active, every factor is 1 and nothing is
    frozen, a step is the optimizer's own, bit for bit. Nothing here waits for a device.
    """

    def __init__(self, optimizer: Optimizer, parameters: Mapping[str, Tensor]) -> None:
        self.optimizer = optimizer
        self.parameters = dict(parameters)
        self.lr_factor = 1.0
        self.gains: dict[str, float] = {}
        self.alpha = 0.0
        self.deltas: dict[str, Tensor] = {}
        self.steps_planned = 0
        self.steps_left = 0

    @property
    def active(self) -> bool:
        """Whether a delta is being added."""
        return self.steps_left > 0 and self.alpha > 0.0 and bool(self.deltas)

    def begin(self, deltas: Mapping[str, Tensor], alpha: float, steps: int) -> None:
        """Add ``alpha * deltas`` in equal parts over the next ``steps`` steps."""
        self.deltas, self.alpha = dict(deltas), alpha
        self.steps_planned = self.steps_left = steps

    def end(self) -> None:
        """Forget the delta; what was not added yet is left out."""
        self.begin({}, 0.0, 0)

    @torch.no_grad()
    def step(self, take_step: StepFunction) -> Any:
        """Let ``take_step`` move the parameters, then make the blend of what it did."""
        alpha = self.alpha if self.active else 0.0
        through_lr = type(self.optimizer) in _LINEAR
        lr_factor = self.lr_factor * (1.0 - alpha if through_lr else 1.0)
        parts = self._parts(1.0 if through_lr else 1.0 - alpha)
        starts = {name: self.parameters[name].detach().clone() for name in parts}
        with self._learning_rates(lr_factor):
            result = take_step()
        for part in set(parts.values()):  # a weight of 1 gives the start back exactly
            names = [name for name in parts if parts[name] == part]
            moved = [self.parameters[name] for name in names]
            torch._foreach_lerp_(moved, [starts[name] for name in names], 1.0 - part)
        if alpha:
            self._add(alpha / self.steps_planned)
        return result

    def _parts(self, share: float) -> dict[str, float]:
        """Which parameters get how much of their update, where that is not all of it."""
        parts = dict.fromkeys(self.parameters, share) if share != 1.0 else {}
        return parts | {name: gain * share for name, gain in self.gains.items() if gain != 1.0}

    def _add(self, weight: float) -> None:
        moved = [self.parameters[name] for name in self.deltas]
        torch._foreach_add_(moved, list(self.deltas.values()), alpha=weight)
        self.steps_left -= 1
        if not self.steps_left:
            self.end()

    @contextmanager
    def _learning_rates(self, factor: float) -> Iterator[None]:
        if factor == 1.0:
            yield
            return
        groups = self.optimizer.param_groups
        own = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] = group["lr"] * factor
        try:
            yield
        finally:
            for group, lr in zip(groups, own, strict=True):
                group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to go on in the middle of an interval."""
        return {
            "lr_factor": self.lr_factor,
            "gains": dict(self.gains),
            "alpha": self.alpha,
            "deltas": {name: delta.detach().clone() for name, delta in self.deltas.items()},
            "steps_planned": self.steps_planned,
            "steps_left": self.steps_left,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where `state_dict` was made."""
        self.lr_factor, self.gains = state["lr_factor"], dict(state["gains"])
        self.deltas = {
            name: delta.to(self.parameters[name]) for name, delta in state["deltas"].items()
        }
        self.alpha = state["alpha"]
        self.steps_planned, self.steps_left = state["steps_planned"], state["steps_left"]
