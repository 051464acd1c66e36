"""The update: ``param += (1 - alpha) * optimizer_update + alpha * delta``, at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass
class _Step:
    """A step under way: what will be made of it, and the learning rates to give back, if any."""

    alpha: float
    parts: dict[str, float]
    starts: dict[str, Tensor]
    rates: list[Any] = field(default_factory=list)


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
        self._step: _Step | None = None

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

    def step(self, take_step: StepFunction) -> Any:
        """Let ``take_step`` move the parameters, then make the blend of what it did."""
        self.before_step()
        try:
            result = take_step()
        except BaseException:
            self.abandon_step()
            raise
        self.after_step()
        return result

    @torch.no_grad()
    def before_step(self) -> None:
        """Get ready for a step that someone else takes; `after_step` makes the blend of it."""
        self.abandon_step()
        alpha = self.alpha if self.active else 0.0
        through_lr = type(self.optimizer) in _LINEAR
        parts = self._parts(1.0 if through_lr else 1.0 - alpha)
        self._step = _Step(
            alpha, parts, {name: self.parameters[name].detach().clone() for name in parts}
        )
        factor = self.lr_factor * (1.0 - alpha if through_lr else 1.0)
        if factor != 1.0:
            groups = self.optimizer.param_groups
            self._step.rates = [group["lr"] for group in groups]
            for group in groups:
                group["lr"] = group["lr"] * factor

    @torch.no_grad()
    def after_step(self) -> bool:
        """Make the blend of the step that was taken; returns whether one was under way."""
        step = self._step
        self.abandon_step()
        if step is None:
            return False
        for part in set(step.parts.values()):  # a weight of 1 gives the start back exactly
            names = [name for name in step.parts if step.parts[name] == part]
            moved = [self.parameters[name] for name in names]
            torch._foreach_lerp_(moved, [step.starts[name] for name in names], 1.0 - part)
        if step.alpha:
            self._add(step.alpha / self.steps_planned)
        return True

    def abandon_step(self) -> None:
        """Give the optimizer its learning rates back; a step that broke off has no blend."""
        if self._step is not None and self._step.rates:
            for group, lr in zip(self.optimizer.param_groups, self._step.rates, strict=True):
                group["lr"] = lr
        self._step = None

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
