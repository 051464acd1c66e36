"""The update: ``param += (1 - alpha) * optimizer_update + alpha * delta``, at every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from raymimic.modulation.optimizers import Group, Optimizers


@dataclass
class _Step:
    """A step under way: what will be made of it, and the learning rates to give back, if any."""

    alpha: float
    parts: dict[str, float]
    starts: dict[str, Tensor]
    rates: list[_Rate] = field(default_factory=list)


@dataclass
class _Rate:
    """A group's learning rate: the schedule's own value, and what stands there for the step."""

    group: Group
    own: Any
    turned: Any

    @classmethod
    def turn(cls, group: Group, factor: float) -> _Rate:
        """Multiply it, in place where it is a tensor: a captured or compiled step reads that."""
        rate = group["lr"]
        if isinstance(rate, Tensor):
            own = rate.detach().clone()
            rate.mul_(factor)
            return cls(group, own, rate)
        group["lr"] = rate * factor
        return cls(group, rate, group["lr"])

    def give_back(self) -> None:
        """Put the own value back, unless the optimizer itself has set another rate."""
        if isinstance(self.turned, Tensor):
            self.turned.copy_(self.own)
        elif self.group["lr"] is self.turned:
            self.group["lr"] = self.own


class Blend:
    """Steps an optimizer with a share of its update and a delta spread over the steps.

    ``lr_factor`` multiplies the learning rates of all groups during a step and leaves them as they
    were after it, so a learning-rate schedule goes on undisturbed. ``gains`` multiply single
    parameters' updates (0: frozen). While no delta is active, every factor is 1 and nothing is
    frozen, a step is the optimizer's own, bit for bit. Nothing here waits for a device.
    """

    def __init__(self, optimizers: Optimizers, parameters: Mapping[str, Tensor]) -> None:
        self.optimizers, self.parameters = optimizers, parameters
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

    @torch.no_grad()
    def before_step(self) -> None:
        """Get ready for a step that someone else takes; `after_step` makes the blend of it."""
        self.abandon_step()
        alpha = self.alpha if self.active else 0.0
        rated = self.optimizers.rated
        through_lr = self.optimizers.linear and len(rated) == len(self.optimizers.groups)
        parts = self._parts(1.0 if through_lr else 1.0 - alpha)
        self._step = _Step(
            alpha, parts, {name: self.parameters[name].detach().clone() for name in parts}
        )
        factor = self.lr_factor * (1.0 - alpha if through_lr else 1.0)
        if factor != 1.0:
            # A tensor may be the rate of several groups: it is multiplied once.
            once = {id(g["lr"] if isinstance(g["lr"], Tensor) else g): g for g in rated}
            self._step.rates = [_Rate.turn(group, factor) for group in once.values()]

    @torch.no_grad()
    def after_step(self) -> bool:
        """Make the blend of the step that was taken; returns whether one was under way."""
        step = self._step
        self.abandon_step()
        if step is None:
            return False
        for part in set(step.parts.values()):  # a weight of 1 gives the start back exactly
            names = [n for n, own in step.parts.items() if own == part and n in self.parameters]
            moved = [self.parameters[name] for name in names]
            torch._foreach_lerp_(moved, [step.starts[name] for name in names], 1.0 - part)
        if step.alpha:
            self._add(step.alpha / self.steps_planned)
        return True

    @torch.no_grad()
    def abandon_step(self) -> None:
        """Give the optimizer its learning rates back; a step that broke off has no blend."""
        for rate in self._step.rates if self._step is not None else ():
            rate.give_back()
        self._step = None

    def _parts(self, share: float) -> dict[str, float]:
        """Which parameters get how much of their update, where that is not all of it."""
        parts = dict.fromkeys(self.parameters, share) if share != 1.0 else {}
        known = {name: gain for name, gain in self.gains.items() if name in self.parameters}
        return parts | {name: gain * share for name, gain in known.items() if gain != 1.0}

    def _add(self, weight: float) -> None:
        names = [name for name in self.deltas if name in self.parameters]
        moved = [self.parameters[name] for name in names]
        # `to`: the model may have changed its precision or device since.
        deltas = [self.deltas[name].to(p) for name, p in zip(names, moved, strict=True)]
        if moved:
            torch._foreach_add_(moved, deltas, alpha=weight)
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
            name: delta.to(self.parameters[name])
            for name, delta in state["deltas"].items()
            if name in self.parameters
        }
        self.alpha = state["alpha"]
        self.steps_planned, self.steps_left = state["steps_planned"], state["steps_left"]
