"""The run at one moment: what is trained, and whatever else model and optimizers keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from raymimic.foreign import error_text
from raymimic.modulation.copies import (
    Copies,
    all_finite,
    copied,
    copy_of,
    fill,
    fits,
    holds_values,
    is_broken_since,
)
from raymimic.modulation.frozen import Frozen
from raymimic.modulation.names import plain_name
from raymimic.modulation.optimizer_state import (
    OptimizerState,
    by_parameter,
    by_place,
    state_of,
)
from raymimic.modulation.optimizers import Optimizers


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

    def restore(self) -> str:
        """Put the model back to the copy; what came into being since stays as it is.

        Returns in words what a module of the user's did not take back, "" if nothing.
        """
        present = self._buffers() | self._attributes()
        for name, kept in (self.buffers | self.attributes).items():
            tensor = present.get(name)
            if tensor is not None and fits(tensor, kept):
                fill(tensor, kept)
        refused = ""
        for name, module in _modules(self.model):
            if name in self.extra:
                try:
                    module.set_extra_state(copy_of(self.extra[name]))
                except Exception as error:  # noqa: BLE001 - the user's own code; all else goes on
                    refused = f"set_extra_state() of {name} raises {error_text(error)}"
        return refused

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
        owners = {id(state_of(optimizer)): optimizer for optimizer in optimizers.every}
        self.states = [
            OptimizerState(
                optimizer,
                owns_state=state_of(optimizer) is not None
                and owners[id(state_of(optimizer))] is optimizer,
            )
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

    def restore(self) -> str:
        """Put model and optimizers back to the copy, which stays.

        Returns in words what a module of the user's did not take back, "" if nothing.
        """
        modes = [state.training for state in self.states]
        for state in self.states:
            state.restore(rates=self.optimizers.sets_rates)
        present = self._others()
        for parameter in present:
            if parameter in self.others and parameter.shape == self.others[parameter].shape:
                fill(parameter, self.others[parameter])
        for name, parameter in self._trained_since().items():
            if name in self.weights and parameter.shape == self.weights[name].shape:
                fill(parameter, self.weights[name])
        refused = self.model.restore()
        for state, training in zip(self.states, modes, strict=True):
            state.go_into(training)
        return refused

    @property
    def finite(self) -> bool:
        """Whether all trained weights in the copy are finite. Waits for the device."""
        return all_finite(list(self.weights.values()))

    def broken_since(self) -> str:
        """What broke since the copy was taken, in words; "" if nothing. Waits for the device."""
        if not all_finite(list(self._trained_since().values())):
            return "weights are NaN or infinite"
        if any(state.broken() for state in self.states):
            return "the optimizer's state is NaN"
        return "a buffer is NaN or infinite" if self.model.broken_since() else ""

    def _trained_since(self) -> Copies:
        """What is trained, and what was since the copy: layers may be frozen from step to step."""
        every = {plain_name(name): p for name, p in self.model.model.named_parameters()}
        was = {name: every[name] for name in self.weights if name in every}
        return was | dict(self.parameters)

    def _others(self) -> list[Tensor]:
        """What the optimizers train that is not the model's: a loss's own parameters."""
        known = set(self.parameters.values())
        return [p for p in self.optimizers.parameters if p not in known and p.requires_grad]

    def state_dict(self) -> dict[str, Any]:
        """The copies themselves, not copies of them."""
        return {
            "weights": self.weights,
            "others": by_place(self.others, self.optimizers.parameters),
            "model": self.model.state_dict(),
            "optimizers": [state.state_dict() for state in self.states],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.weights = dict(state["weights"])
        self.others = by_parameter(state["others"], self.optimizers.parameters)
        self.model.load_state_dict(state["model"])
        for mine, kept in zip(self.states, state["optimizers"], strict=True):
            mine.load_state_dict(kept)


def _modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(plain_name(f"{name}.").rstrip("."), module) for name, module in model.named_modules()]
