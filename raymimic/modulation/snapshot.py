"""The run at one moment: what is trained, and whatever else model and optimizers keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from raymimic.modulation.copies import (
    Copies,
    all_finite,
    any_nan,
    copied,
    copy_of,
    fill,
    holds_values,
    is_broken_since,
    plain,
    put_back,
)
from raymimic.modulation.frozen import Frozen
from raymimic.modulation.names import plain_name
from raymimic.modulation.optimizers import Group, Optimizers

_SETTINGS = frozenset(
    (
        "params", "lr", "initial_lr", "max_lr", "min_lr", "swa_lr", "momentum", "betas",
        "base_momentum", "max_momentum", "weight_decay",
    )
)  # fmt: skip
"""What a schedule, the user or a knob sets in a parameter group. The rest is the optimizer's own
run state (Prodigy's estimate, the counts and the mode of schedule-free ones)."""

_TORCHS = frozenset(vars(Optimizer([torch.zeros(1)], {})))
"""Attributes of every optimizer: its groups and state, which are kept as such, and its hooks."""


class ModelState:
    """What a model keeps beside its parameters: buffers, extra state, tensors as attributes.

    Buffers that no ``state_dict`` holds are among them; frozen parameters only if the loop moves
    them.
    """

    def __init__(self, model: nn.Module, frozen: Frozen) -> None:
        self.model, self.frozen = model, frozen
        self.buffers: Copies = {}
        self.attributes: Copies = {}
        self.extra: dict[str, Any] = {}

    def take(self, device: str | None = None) -> None:
        """Copy it as it is now, to another device if given."""
        self.frozen.look()
        self.buffers = copied(self._buffers(), device)
        self.attributes = copied(self._attributes(), device)
        self.extra = {
            name: copy_of(module.get_extra_state())
            for name, module in _modules(self.model)
            if type(module).get_extra_state is not nn.Module.get_extra_state
        }

    def notice(self) -> None:
        """Frozen parameters that have moved since are as they were at the copy, for all we know."""
        self.frozen.look()
        self.buffers = copied(self.frozen.parameters) | self.buffers

    def restore(self) -> None:
        """Put the model back to the copy; what came into being since stays as it is."""
        present = self._buffers() | self._attributes()
        for name, kept in (self.buffers | self.attributes).items():
            tensor = present.get(name)
            if tensor is not None and tensor.shape == kept.shape:
                fill(tensor, kept)
        for name, module in _modules(self.model):
            if name in self.extra:
                module.set_extra_state(copy_of(self.extra[name]))

    def broken_since(self) -> bool:
        """Whether a buffer is not finite that was finite in the copy (a mask of -inf never was)."""
        return is_broken_since(self._buffers(), self.buffers)

    def _buffers(self) -> Copies:
        found = {
            plain_name(name): buffer
            for name, buffer in self.model.named_buffers()
            if holds_values(buffer)
        }
        return found | self.frozen.parameters

    def _attributes(self) -> Copies:
        return {
            f"{name}.{key}": value
            for name, module in _modules(self.model)
            for key, value in vars(module).items()
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter)
            and value.is_leaf and holds_values(value)
        }  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """The copies themselves, not copies of them."""
        return {"buffers": self.buffers, "attributes": self.attributes, "extra": self.extra}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.buffers, self.attributes = dict(state["buffers"]), dict(state["attributes"])
        self.extra = dict(state["extra"])
        self.frozen.moved |= self.buffers.keys()


class OptimizerState:
    """What one optimizer keeps: its state by parameter, its groups' run state, its own counts."""

    def __init__(self, optimizer: Optimizer, *, owns_state: bool) -> None:
        self.optimizer, self._owns_state = optimizer, owns_state
        self.states: dict[Tensor, Any] = {}
        self.shared: dict[str, Any] = {}
        self.groups: list[tuple[list[Tensor], Group]] = []
        self.counts: dict[str, Any] = {}

    def take(self) -> None:
        """Copy it as it is now."""
        held = self.optimizer.state if self._owns_state else {}
        self.states = {p: copy_of(held[p]) for p in _parameters(self.optimizer) if p in held}
        self.shared = {key: copy_of(value) for key, value in held.items() if isinstance(key, str)}
        self.groups = [
            (list(group["params"]), {k: copy_of(v) for k, v in group.items() if k != "params"})
            for group in self.optimizer.param_groups
        ]
        self.counts = {
            key: copy_of(value)
            for key, value in vars(self.optimizer).items()
            if key not in _TORCHS and plain(value)
        }

    def restore(self, *, rates: bool) -> None:
        """Put it back; settings that a schedule or a user makes stay, unless they are NaN.

        ``rates``: the learning rates are the optimizer's own and are put back, too.
        """
        if self._owns_state:
            self._restore_state()
        for group, kept in zip(self.optimizer.param_groups, self._kept_groups(), strict=True):
            for key, value in kept.items():
                own = key not in _SETTINGS or (rates and key == "lr")
                if own or any_nan(group.get(key)):
                    group[key] = put_back(value, group.get(key))
        for key, value in self.counts.items():
            setattr(self.optimizer, key, put_back(value, getattr(self.optimizer, key, None)))

    def _kept_groups(self) -> list[Group]:
        """What was kept of each present group, found by its parameters: groups are reordered.

        Nothing of one that was added since.
        """
        kept = {parameter: group for parameters, group in self.groups for parameter in parameters}
        known = [[p for p in g["params"] if p in kept] for g in self.optimizer.param_groups]
        return [kept[parameters[0]] if parameters else {} for parameters in known]

    def _restore_state(self) -> None:
        held: Any = self.optimizer.state
        for parameter in _parameters(self.optimizer):
            if parameter in self.states:
                held[parameter] = put_back(self.states[parameter], held.get(parameter))
            else:
                held.pop(parameter, None)
        for key in [key for key in held if isinstance(key, str) and key not in self.shared]:
            del held[key]
        for key, value in self.shared.items():
            held[key] = put_back(value, held.get(key))

    @property
    def training(self) -> bool | None:
        """The mode of a schedule-free one, which holds other weights for validation."""
        return self.optimizer.param_groups[0].get("train_mode")

    def go_into(self, training: bool | None) -> None:
        """Change to that mode if it is in the other; moves the weights."""
        if training is not None and training is not self.training:
            optimizer: Any = self.optimizer
            (optimizer.train if training else optimizer.eval)()

    def broken(self) -> bool:
        """Whether the optimizer remembers a NaN. Waits for the device."""
        kept = [value for group in self.optimizer.param_groups for value in _run_state(group)]
        return any_nan([list(self.optimizer.state.values()), kept])

    def state_dict(self) -> dict[str, Any]:
        """The copies themselves, not copies of them; parameters by their present places."""
        return {
            "states": _by_place(self.states, _parameters(self.optimizer)),
            "shared": self.shared,
            "groups": self._kept_groups(),
            "counts": self.counts,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.states = _by_parameter(state["states"], _parameters(self.optimizer))
        groups = [list(group["params"]) for group in self.optimizer.param_groups]
        self.groups = list(zip(groups, state["groups"], strict=False))
        self.shared, self.counts = dict(state["shared"]), dict(state["counts"])


class Snapshot:
    """A way back: trained parameters, all else the model keeps, and the optimizers' state.

    One copy on their devices (float32 weights with Adam: 12 bytes a trained parameter); frozen
    parameters are not in it. Learning rates and other settings of the optimizer stay as they are.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Optimizers,
        parameters: Mapping[str, Tensor],
        frozen: Frozen,
    ) -> None:
        self.optimizers, self.parameters = optimizers, parameters
        self.model = ModelState(model, frozen)
        owners = {id(optimizer.state): optimizer for optimizer in optimizers.every}
        self.states = [
            OptimizerState(optimizer, owns_state=owners[id(optimizer.state)] is optimizer)
            for optimizer in optimizers.every
        ]
        self.weights: Copies = {}
        self.others: dict[Tensor, Tensor] = {}
        self.take()

    def take(self) -> None:
        """Copy the run as it is now."""
        self.weights = copied(self.parameters)
        self.others = {parameter: copy_of(parameter) for parameter in self._others()}
        self.model.take()
        for state in self.states:
            state.take()

    def include(self, name: str) -> None:
        """A parameter that is trained from now on is as it was at the interval's start."""
        self.weights.setdefault(name, copy_of(self.parameters[name]))

    def forget(self, name: str) -> None:
        """A parameter has another shape: what was kept of it fits no more."""
        del self.weights[name]
        for state in self.states:
            state.states.pop(self.parameters[name], None)

    def restore(self) -> None:
        """Put model and optimizers back to the copy, which stays."""
        modes = [state.training for state in self.states]
        for state in self.states:
            state.restore(rates=self.optimizers.sets_rates)
        present = self._others()
        for parameter in present:
            if parameter in self.others and parameter.shape == self.others[parameter].shape:
                fill(parameter, self.others[parameter])
        for name, values in self.weights.items():
            if name in self.parameters:
                fill(self.parameters[name], values)
        self.model.restore()
        for state, training in zip(self.states, modes, strict=True):
            state.go_into(training)

    @property
    def finite(self) -> bool:
        """Whether all trained weights in the copy are finite. Waits for the device."""
        return all_finite(list(self.weights.values()))

    def broken_since(self) -> str:
        """What broke since the copy was taken, in words; "" if nothing. Waits for the device."""
        if not all_finite(list(self.parameters.values())):
            return "weights are NaN or infinite"
        if any(state.broken() for state in self.states):
            return "the optimizer's state is NaN"
        return "a buffer is NaN or infinite" if self.model.broken_since() else ""

    def _others(self) -> list[Tensor]:
        """What the optimizers train that is not the model's: a loss's own parameters."""
        known = set(self.parameters.values())
        return [p for p in self.optimizers.parameters if p not in known and p.requires_grad]

    def state_dict(self) -> dict[str, Any]:
        """The copies themselves, not copies of them."""
        return {
            "weights": self.weights,
            "others": _by_place(self.others, self.optimizers.parameters),
            "model": self.model.state_dict(),
            "optimizers": [state.state_dict() for state in self.states],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.weights = dict(state["weights"])
        self.others = _by_parameter(state["others"], self.optimizers.parameters)
        self.model.load_state_dict(state["model"])
        for mine, kept in zip(self.states, state["optimizers"], strict=True):
            mine.load_state_dict(kept)


def _modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(plain_name(f"{name}.").rstrip("."), module) for name, module in model.named_modules()]


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _by_place(kept: Mapping[Tensor, Any], parameters: Sequence[Tensor]) -> dict[int, Any]:
    return {place: kept[p] for place, p in enumerate(parameters) if p in kept}


def _by_parameter(kept: Mapping[int, Any], parameters: Sequence[Tensor]) -> dict[Tensor, Any]:
    return {p: kept[place] for place, p in enumerate(parameters) if place in kept}


def _run_state(group: Group) -> list[Any]:
    return [value for key, value in group.items() if key not in _SETTINGS]
