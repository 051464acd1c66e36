"""Copies of the weights: the start of the interval, and the anchors that a pull may name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from raymimic.advisor import Anchor

Copies = dict[str, Tensor]

_LEFT = 0.05
"""A moving average that is more than this share its own start says little of late weights."""


class Snapshot:
    """The run at one moment: the model's state and the optimizer's, for a way back.

    Takes one copy of both on their devices (float32 weights with Adam: 12 bytes a parameter). The
    optimizer's own settings (learning rates, a schedule's) are not part of it.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.weights: Copies = {}
        self.states: dict[int, dict[str, Any]] = {}
        self.take()

    def take(self) -> None:
        """Copy the run as it is now."""
        self.weights = copied(self.model.state_dict(keep_vars=False))
        self.states = {
            place: {key: _copy(value) for key, value in self.optimizer.state[parameter].items()}
            for place, parameter in enumerate(_parameters(self.optimizer))
            if parameter in self.optimizer.state
        }

    def restore(self) -> None:
        """Put model and optimizer back to the copy, which stays."""
        self.model.load_state_dict(self.weights)
        for place, parameter in enumerate(_parameters(self.optimizer)):
            if place in self.states:
                state = {key: _copy(value) for key, value in self.states[place].items()}
                self.optimizer.state[parameter] = state
            else:
                self.optimizer.state.pop(parameter, None)

    @property
    def finite(self) -> bool:
        """Whether all weights in the copy are finite. Waits for the device."""
        return all(bool(torch.isfinite(w).all()) for w in self.weights.values())

    def state_dict(self) -> dict[str, Any]:
        """The copies themselves, not copies of them."""
        return {"weights": self.weights, "states": self.states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.weights, self.states = dict(state["weights"]), dict(state["states"])


class Anchors:
    """Weights to pull toward: the best and the initial ones, and an average where asked for.

    ``best`` (the model's whole state) and ``initial`` lie in host memory, 4 bytes a parameter
    each; ``ema``, the exponential moving average over steps, lies beside the parameters.
    """

    def __init__(
        self, model: nn.Module, parameters: Mapping[str, Tensor], ema_decay: float | None
    ) -> None:
        self.model, self.parameters, self.ema_decay = model, dict(parameters), ema_decay
        self.initial: Copies = copied(self.parameters, "cpu")
        self.best: Copies = {}
        self.ema: Copies = copied(self.parameters) if ema_decay is not None else {}
        self._start_share = 1.0  # how much of the average still is where it began

    @torch.no_grad()
    def average(self) -> None:
        """Take the present weights into the average."""
        if self.ema_decay is not None:
            latest = [self.parameters[name].detach() for name in self.ema]
            torch._foreach_lerp_(list(self.ema.values()), latest, 1.0 - self.ema_decay)
            self._start_share *= self.ema_decay

    @torch.no_grad()
    def restart_average(self) -> None:
        """The weights were put back: what the average saw since is gone."""
        for name, average in self.ema.items():
            average.copy_(self.parameters[name])
        self._start_share = 1.0

    def keep_best(self) -> None:
        """The present weights are the best so far."""
        self.best = copied(self.model.state_dict(), "cpu")

    def restore_best(self) -> None:
        """Put the best weights into the model; raises RuntimeError before the first epoch's end."""
        if not self.best:
            raise RuntimeError(
                "the best weights are known once epoch_end() was given a finite metric; call "
                "restore_best() after it"
            )
        self.model.load_state_dict(self.best)

    @property
    def known(self) -> tuple[Anchor, ...]:
        """The anchors that can be pulled toward now; an average once it has left its start."""
        found: list[Anchor] = ["initial"]
        if self.best:
            found.append("best")
        if self.ema and self._start_share < _LEFT:
            found.append("ema")
        return tuple(found)

    def of(self, anchor: Anchor, name: str, key: str) -> Tensor:
        """The anchor's value of a parameter, by plain name and by its key in the model's state."""
        parameter = self.parameters[name]
        if anchor == "best":
            return self.best[key].to(parameter)
        return (self.ema if anchor == "ema" else self.initial)[name].to(parameter)

    def state_dict(self) -> dict[str, Any]:
        """The copies themselves, not copies of them."""
        return {
            "initial": self.initial,
            "best": self.best,
            "ema": copied(self.ema),  # the live one changes in place
            "start_share": self._start_share,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.initial, self.best = dict(state["initial"]), dict(state["best"])
        self._start_share = state["start_share"]
        self.ema = {n: average.to(self.parameters[n]) for n, average in state["ema"].items()}


def copied(tensors: Mapping[str, Tensor], device: str | None = None) -> Copies:
    """Detached copies, on another device if given."""
    return {
        name: tensor.detach().to(device or tensor.device, copy=True)
        for name, tensor in tensors.items()
    }


def _copy(value: Any) -> Any:
    # LBFGS keeps lists of tensors and changes them in place.
    return value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
