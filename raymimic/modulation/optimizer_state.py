"""What one optimizer keeps, and how it is put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from raymimic.modulation.copies import any_nan, copy_of, plain, put_back
from raymimic.modulation.optimizers import Group

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


class OptimizerState:
    """What one optimizer keeps: its state by parameter, its groups' run state, its own counts."""

    def __init__(self, optimizer: Optimizer, *, owns_state: bool) -> None:
        self.optimizer, self._owns_state = optimizer, owns_state
        self.states: dict[Tensor, Any] = {}
        self.shared: dict[str, Any] = {}
        self.groups: list[tuple[list[Tensor], Group]] = []
        self.counts: dict[str, Any] = {}
        self.keyed: dict[str, dict[Tensor, Any]] = {}  # attributes that are a state of their own

    def take(self) -> None:
        """Copy it as it is now."""
        held, attributes = self._held, getattr(self.optimizer, "__dict__", {})
        self.states = {p: copy_of(held[p]) for p in _parameters(self.optimizer) if p in held}
        self.shared = {key: copy_of(value) for key, value in held.items() if isinstance(key, str)}
        self.groups = [
            (list(group["params"]), {k: copy_of(v) for k, v in group.items() if k != "params"})
            for group in self.optimizer.param_groups
        ]
        own = {key: value for key, value in attributes.items() if key not in _TORCHS}
        self.counts = {key: copy_of(value) for key, value in own.items() if plain(value)}
        self.keyed = {key: copy_of(value) for key, value in own.items() if _by_tensor(value)}

    @property
    def _held(self) -> Any:
        """State by parameter; none of a wrapper that shows another's or has none."""
        return self.optimizer.state if self._owns_state else {}

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
        for key, value in (self.counts | self.keyed).items():
            setattr(self.optimizer, key, put_back(value, getattr(self.optimizer, key, None)))

    def _kept_groups(self) -> list[Group]:
        """What was kept of each present group, found by its parameters: groups are reordered.

        Nothing of one that was added since.
        """
        kept = {parameter: group for parameters, group in self.groups for parameter in parameters}
        known = [[p for p in g["params"] if p in kept] for g in self.optimizer.param_groups]
        return [kept[parameters[0]] if parameters else {} for parameters in known]

    def _restore_state(self) -> None:
        held = self._held
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
        return any_nan([list(self._held.values()), kept])

    def state_dict(self) -> dict[str, Any]:
        """The copies themselves, not copies of them; parameters by their present places."""
        return {
            "states": by_place(self.states, _parameters(self.optimizer)),
            "shared": self.shared,
            "groups": self._kept_groups(),
            "counts": self.counts,
            "keyed": {
                key: by_place(value, _parameters(self.optimizer))
                for key, value in self.keyed.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.states = by_parameter(state["states"], _parameters(self.optimizer))
        groups = [list(group["params"]) for group in self.optimizer.param_groups]
        self.groups = list(zip(groups, state["groups"], strict=False))
        self.shared, self.counts = dict(state["shared"]), dict(state["counts"])
        self.keyed = {
            key: by_parameter(value, _parameters(self.optimizer))
            for key, value in state["keyed"].items()
        }


def state_of(optimizer: Optimizer) -> Any:
    """State by parameter, None of a wrapper without one."""
    return getattr(optimizer, "state", None)


def _by_tensor(value: Any) -> bool:
    """Whether it is a dict from parameters to what is kept of them."""
    if not (isinstance(value, dict) and value):
        return False
    return all(isinstance(key, Tensor) and plain(entry) for key, entry in value.items())


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def by_place(kept: Mapping[Tensor, Any], parameters: Sequence[Tensor]) -> dict[int, Any]:
    """What is kept of parameters by their places, as it is saved."""
    return {place: kept[p] for place, p in enumerate(parameters) if p in kept}


def by_parameter(kept: Mapping[int, Any], parameters: Sequence[Tensor]) -> dict[Tensor, Any]:
    """What was saved by places for the present parameters."""
    return {p: kept[place] for place, p in enumerate(parameters) if place in kept}


def _run_state(group: Group) -> list[Any]:
    return [value for key, value in group.items() if key not in _SETTINGS]
