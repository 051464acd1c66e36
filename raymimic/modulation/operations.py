"""From the operations that an advisor names to deltas and gains of single parameters.

Each kind of `OPERATIONS` has its function here, in `DELTAS` or in `GAINS`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from raymimic.advisor import OPERATIONS, RAW_LIMIT, Operation
from raymimic.modulation.names import matching, owner
from raymimic.modulation.weights import Anchors


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
class Run:
    """What operations are made from: the model and what is known of its weights.

    ``starts`` are the parameters' values at the start of the last interval. ``seed`` fixes what is
    drawn; ``class_accuracy`` is that of each class on validation.
    """

    model: nn.Module
    parameters: Mapping[str, Tensor]
    anchors: Anchors
    starts: Mapping[str, Tensor]
    class_accuracy: Sequence[float] = ()
    seed: int = 0


@torch.no_grad()
def compiled(operations: Sequence[Operation], run: Run) -> Compiled:
    """Give every operation's effect; one that cannot be done is dropped and the reason kept."""
    made = Compiled()
    for place, operation in enumerate(operations):
        try:
            _check(operation)
            names = _names(operation, run)
            if operation.kind in GAINS:
                made.gains |= dict.fromkeys(names, GAINS[operation.kind](operation))
            else:
                for name, delta in _deltas(operation, names, run, place).items():
                    known = made.deltas.get(name)
                    made.deltas[name] = delta if known is None else known + delta
        except Refused as reason:
            made.dropped.append(f"{in_words(operation)}: {reason}")
        else:
            made.applied.append(in_words(operation))
    return made


def _check(operation: Operation) -> None:
    kind = OPERATIONS.get(operation.kind)
    if kind is None:
        raise Refused(f"there is no such operation; there are {', '.join(OPERATIONS)}")
    if kind.bounds is None:
        return
    low, high = kind.bounds
    if not (math.isfinite(operation.amount) and low <= operation.amount <= high):
        raise Refused(f"amount must be from {low:g} to {high:g}")


def _names(operation: Operation, run: Run) -> list[str]:
    names = matching(run.parameters, operation.params)
    if not names:
        known = ", ".join(list(run.parameters)[:8])
        raise Refused(f"no trained parameter is called so; there are {known}")
    return names


def _deltas(operation: Operation, names: list[str], run: Run, place: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(run.seed * 1000 + place)
    deltas = {name: DELTAS[operation.kind](operation, name, run, generator) for name in names}
    for name, delta in deltas.items():
        if not bool(torch.isfinite(delta).all()):
            raise Refused(f"its delta for {name} is not finite")
    return deltas


def in_words(operation: Operation) -> str:
    """Say in a few words what an operation does."""
    kind = OPERATIONS.get(operation.kind)
    if kind is None:
        return str(operation.kind)
    return kind.words.format(
        params=operation.params, toward=operation.toward, amount=operation.amount
    )


# -- one function for each kind --------------------------------------------------------------------


def _pull(operation: Operation, name: str, run: Run, _: torch.Generator) -> Tensor:
    if operation.toward not in run.anchors.known:
        known = ", ".join(run.anchors.known)
        raise Refused(f"there are no {operation.toward} weights; there are {known}")
    target = run.anchors.of(operation.toward, name)
    return operation.amount * (target - run.parameters[name])


def _shrink(operation: Operation, name: str, run: Run, _: torch.Generator) -> Tensor:
    return -operation.amount * run.parameters[name].detach()


def _scale(operation: Operation, name: str, run: Run, _: torch.Generator) -> Tensor:
    return (operation.amount - 1.0) * run.parameters[name].detach()


def _extrapolate(operation: Operation, name: str, run: Run, _: torch.Generator) -> Tensor:
    return operation.amount * (run.parameters[name].detach() - run.starts[name])


def _noise(operation: Operation, name: str, run: Run, generator: torch.Generator) -> Tensor:
    parameter = run.parameters[name].detach()
    rms = parameter.abs().float().square().mean().sqrt()
    # Drawn on the host: the same on any device.
    kind = torch.complex64 if parameter.is_complex() else torch.float32
    drawn = torch.randn(parameter.shape, generator=generator, dtype=kind).to(parameter)
    return operation.amount * rms.to(parameter) * drawn


def _reinit(_: Operation, name: str, run: Run, generator: torch.Generator) -> Tensor:
    module, leaf = owner(run.model, name)
    if not callable(getattr(module, "reset_parameters", None)):
        raise Refused(f"{type(module).__name__}, which holds {name}, cannot be initialised anew")
    try:
        fresh: Any = copy.deepcopy(module).cpu()
    except (RuntimeError, TypeError, NotImplementedError):
        raise Refused(f"{type(module).__name__}, which holds {name}, cannot be copied") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        fresh.reset_parameters()
    return getattr(fresh, leaf).to(run.parameters[name]) - run.parameters[name].detach()


def _class_bias(operation: Operation, name: str, run: Run, _: torch.Generator) -> Tensor:
    parameter, accuracy = run.parameters[name], run.class_accuracy
    if not accuracy:
        raise Refused('epoch_end() was given no "class_accuracy"')
    if parameter.shape != (len(accuracy),):
        raise Refused(
            f"{name} has shape {tuple(parameter.shape)}, and there are {len(accuracy)} classes"
        )
    by_class = torch.tensor(accuracy, dtype=torch.float64)
    return (operation.amount * (by_class.mean() - by_class)).to(parameter)


def _delta(operation: Operation, name: str, run: Run, _: torch.Generator) -> Tensor:
    parameter = run.parameters[name]
    if parameter.numel() >= RAW_LIMIT:
        raise Refused(f"{name} has {parameter.numel()} elements; under {RAW_LIMIT} can be given")
    try:
        values = torch.tensor(operation.values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise Refused("values must be nested lists of numbers of equal length") from None
    if values.shape != parameter.shape:
        raise Refused(
            f"{name} has shape {tuple(parameter.shape)}, the values {tuple(values.shape)}"
        )
    return values.to(parameter)


DELTAS: Mapping[str, Callable[[Operation, str, Run, torch.Generator], Tensor]] = {
    "pull": _pull,
    "shrink": _shrink,
    "scale": _scale,
    "extrapolate": _extrapolate,
    "noise": _noise,
    "reinit": _reinit,
    "class_bias": _class_bias,
    "delta": _delta,
}
"""What is added to a parameter over the interval, by kind."""

GAINS: Mapping[str, Callable[[Operation], float]] = {
    "freeze": lambda _: 0.0,
    "unfreeze": lambda _: 1.0,
    "lr_gain": lambda operation: operation.amount,
}
"""By what the optimizer's update of a parameter is multiplied from now on, by kind."""
