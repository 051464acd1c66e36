"""From the operations that an advisor names to deltas and gains of single parameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from raymimic.advisor import AMOUNTS, RAW_LIMIT, Operation
from raymimic.modulation.names import matching, owner
from raymimic.modulation.weights import Anchors

_GAINS: dict[str, float | None] = {"freeze": 0.0, "unfreeze": 1.0, "lr_gain": None}


class Refused(Exception):
    """An operation cannot be done; the text says why and what could."""


@dataclass
class Compiled:
    """What operations come to: deltas by parameter, gains by parameter, and both in words."""

    deltas: dict[str, Tensor] = field(default_factory=dict)
    gains: dict[str, float] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


@dataclass
class Workshop:
    """Makes deltas from operations.

    ``keys`` are the parameters' names in the model's state, ``starts`` their values at the start of
    the last interval. ``seed`` fixes what is drawn; ``class_accuracy`` is that of each class on
    validation.
    """

    model: nn.Module
    parameters: Mapping[str, Tensor]
    keys: Mapping[str, str]
    anchors: Anchors
    starts: Mapping[str, Tensor]
    class_accuracy: Sequence[float] = ()
    seed: int = 0

    @torch.no_grad()
    def compile(self, operations: Sequence[Operation]) -> Compiled:
        """Give every operation's effect; one that cannot be done is dropped and the reason kept."""
        made = Compiled()
        for place, operation in enumerate(operations):
            try:
                _check(operation)
                names = self._names(operation)
                if operation.kind in _GAINS:
                    gain = _GAINS[operation.kind]
                    value = operation.amount if gain is None else gain
                    made.gains |= dict.fromkeys(names, value)
                else:
                    for name, delta in self._deltas(operation, names, place).items():
                        made.deltas[name] = (
                            made.deltas[name] + delta if name in made.deltas else delta
                        )
            except Refused as reason:
                made.dropped.append(f"{in_words(operation)}: {reason}")
            else:
                made.applied.append(in_words(operation))
        return made

    def _names(self, operation: Operation) -> list[str]:
        names = matching(self.parameters, operation.params)
        if not names:
            known = ", ".join(list(self.parameters)[:8])
            raise Refused(f"no trained parameter is called so; there are {known}")
        return names

    def _deltas(self, operation: Operation, names: list[str], place: int) -> dict[str, Tensor]:
        make = getattr(self, f"_{operation.kind}")
        generator = torch.Generator().manual_seed(self.seed * 1000 + place)
        deltas = {name: make(operation, name, generator) for name in names}
        for name, delta in deltas.items():
            if not bool(torch.isfinite(delta).all()):
                raise Refused(f"its delta for {name} is not finite")
        return deltas

    def _pull(self, operation: Operation, name: str, _: torch.Generator) -> Tensor:
        if operation.toward not in self.anchors.known:
            known = ", ".join(self.anchors.known)
            raise Refused(f"there are no {operation.toward} weights; there are {known}")
        target = self.anchors.of(operation.toward, name, self.keys[name])
        return operation.amount * (target - self.parameters[name])

    def _shrink(self, operation: Operation, name: str, _: torch.Generator) -> Tensor:
        return -operation.amount * self.parameters[name].detach()

    def _scale(self, operation: Operation, name: str, _: torch.Generator) -> Tensor:
        return (operation.amount - 1.0) * self.parameters[name].detach()

    def _extrapolate(self, operation: Operation, name: str, _: torch.Generator) -> Tensor:
        return operation.amount * (self.parameters[name].detach() - self.starts[name])

    def _noise(self, operation: Operation, name: str, generator: torch.Generator) -> Tensor:
        parameter = self.parameters[name].detach()
        rms = parameter.float().square().mean().sqrt()
        # Drawn on the host: the same on any device.
        drawn = torch.randn(parameter.shape, generator=generator).to(parameter)
        return operation.amount * rms.to(parameter) * drawn

    def _reinit(self, _: Operation, name: str, generator: torch.Generator) -> Tensor:
        module, leaf = owner(self.model, name)
        if not callable(getattr(module, "reset_parameters", None)):
            raise Refused(
                f"{type(module).__name__}, which holds {name}, cannot be initialised anew"
            )
        fresh: Any = copy.deepcopy(module).cpu()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            fresh.reset_parameters()
        return getattr(fresh, leaf).to(self.parameters[name]) - self.parameters[name].detach()

    def _class_bias(self, operation: Operation, name: str, _: torch.Generator) -> Tensor:
        parameter, accuracy = self.parameters[name], self.class_accuracy
        if not accuracy:
            raise Refused('epoch_end() was given no "class_accuracy"')
        if parameter.shape != (len(accuracy),):
            raise Refused(
                f"{name} has shape {tuple(parameter.shape)}, and there are {len(accuracy)} classes"
            )
        by_class = torch.tensor(accuracy, dtype=torch.float64)
        return (operation.amount * (by_class.mean() - by_class)).to(parameter)

    def _delta(self, operation: Operation, name: str, _: torch.Generator) -> Tensor:
        parameter = self.parameters[name]
        if parameter.numel() >= RAW_LIMIT:
            raise Refused(
                f"{name} has {parameter.numel()} elements; under {RAW_LIMIT} can be given"
            )
        try:
            values = torch.tensor(operation.values, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise Refused("values must be nested lists of numbers of equal length") from None
        if values.shape != parameter.shape:
            raise Refused(
                f"{name} has shape {tuple(parameter.shape)}, the values {tuple(values.shape)}"
            )
        return values.to(parameter)


def _check(operation: Operation) -> None:
    if operation.kind not in _WORDS:
        raise Refused(f"there is no such operation; there are {', '.join(_WORDS)}")
    if operation.kind not in AMOUNTS:
        return
    low, high = AMOUNTS[operation.kind]
    if not (math.isfinite(operation.amount) and low <= operation.amount <= high):
        raise Refused(f"amount must be from {low:g} to {high:g}")


_WORDS: dict[str, Callable[[Operation], str]] = {
    "pull": lambda o: f"pull {o.params} toward {o.toward} by {o.amount:g}",
    "shrink": lambda o: f"shrink {o.params} by {o.amount:g}",
    "scale": lambda o: f"scale {o.params} by {o.amount:g}",
    "lr_gain": lambda o: f"updates of {o.params} x{o.amount:g}",
    "extrapolate": lambda o: f"extrapolate {o.params} by {o.amount:g}",
    "noise": lambda o: f"noise of {o.amount:g} rms on {o.params}",
    "reinit": lambda o: f"initialise {o.params} anew",
    "freeze": lambda o: f"freeze {o.params}",
    "unfreeze": lambda o: f"unfreeze {o.params}",
    "class_bias": lambda o: f"class bias of {o.amount:g} on {o.params}",
    "delta": lambda o: f"given delta on {o.params}",
}


def in_words(operation: Operation) -> str:
    """Say in a few words what an operation does."""
    words = _WORDS.get(operation.kind)
    return words(operation) if words else str(operation.kind)
