"""The arms: what is done to a training, beside what its own optimizer does.

plain          nothing
guided         the Modulator with the keyless advisor
guided@SPEC    the Modulator with the advisor SPEC ("anthropic:MODEL", "openai:MODEL"), waited
               for at the end of each epoch; its ledger is kept under OUT/ledgers
knobs_only     guided, without its weight operations
weights_only   guided, without its knob changes
random_deltas  guided, its weight operations replaced by noise of the same norm
random_knobs   guided, its knob changes made in a random direction, no weight operations
cosine         the learning rate falls to 0 over the run
plateau        the learning rate halves when validation has not improved for two epochs
fixed_lr3      another constant: learning rate 3e-3
fixed          the best constant learning rate and dropout of a random search: see recipes.py
ramp           every knob of the user rises from its low to its high end over the run
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.modulation.task import StudyError, Trainee

EMA: float | None = 0.98  # decay per step of the guided arms' average of the weights

Recipe = Mapping[str, float]


class Arm:
    """Does nothing; the base of the others. One object guides one training."""

    def __init__(self, trainee: Trainee, seed: int) -> None:
        self.trainee, self.seed = trainee, seed
        self.optimizer = trainee.optimizer
        self.values = {name: knob.start for name, knob in trainee.knobs.items()}

    @property
    def knobs(self) -> Mapping[str, float]:
        """The user's knobs as the loop is to read them now."""
        return self.values

    @property
    def lr(self) -> float:
        """The learning rate of the next step, of the first group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """Stand in for ``optimizer.step()``."""
        self.optimizer.step()

    def epoch_end(self, metrics: Mapping[str, Any]) -> None:
        """Take an epoch's metrics and prepare the next epoch."""

    def told(self) -> dict[str, Any]:
        """What to write beside the epoch's metrics."""
        return {}

    def summary(self) -> dict[str, Any]:
        """What to write once, at the end."""
        return {}


class Constant(Arm):
    """Other constants from the start on; the network's dropout layers share one."""

    def __init__(self, trainee: Trainee, seed: int, recipe: Recipe) -> None:
        super().__init__(trainee, seed)
        self.recipe = dict(recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.get("lr", group["lr"])
        for layer in trainee.model.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = recipe.get("dropout", layer.p)

    def summary(self) -> dict[str, Any]:
        return {"recipe": self.recipe}


class Cosine(Arm):
    """Anneal to 0, per epoch."""

    def __init__(self, trainee: Trainee, seed: int) -> None:
        super().__init__(trainee, seed)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, T_max=trainee.epochs
        )

    def epoch_end(self, metrics: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._schedule.step()


class Plateau(Arm):
    """Halve the learning rate after more than one epoch without improvement."""

    def __init__(self, trainee: Trainee, seed: int) -> None:
        super().__init__(trainee, seed)
        self._schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, mode=trainee.mode, factor=0.5, patience=1
        )

    def epoch_end(self, metrics: Mapping[str, Any]) -> None:
        self._schedule.step(metrics[self.trainee.metric])


class Ramp(Arm):
    """Raise the user's knobs evenly: a curriculum without an advisor."""

    def __init__(self, trainee: Trainee, seed: int) -> None:
        super().__init__(trainee, seed)
        if not trainee.knobs:
            raise StudyError("the arm ramp needs a study with knobs of its own, as curriculum has")
        self._done = 0
        self._set()

    def _set(self) -> None:
        share = min(1.0, self._done / max(1, self.trainee.epochs - 1))
        for name, knob in self.trainee.knobs.items():
            self.values[name] = knob.low + share * (knob.high - knob.low)

    def epoch_end(self, metrics: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._done += 1
        self._set()


def dropout_of(model: nn.Module) -> float | None:
    """The first dropout layer's rate."""
    return next((layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)), None)


def _guided(advice: str) -> Callable[..., Arm]:
    def make(trainee: Trainee, seed: int) -> Arm:
        from experiments.modulation.guided import (
            Guided,  # needs raymimic.modulation, the other arms do not
        )

        return Guided(trainee, seed, advice)

    return make


_SIMPLE: dict[str, Callable[[Trainee, int], Arm]] = {
    "plain": Arm,
    "cosine": Cosine,
    "plateau": Plateau,
    "ramp": Ramp,
    "fixed_lr3": lambda trainee, seed: Constant(trainee, seed, {"lr": 3e-3}),
    **{
        name: _guided(name)
        for name in ("guided", "knobs_only", "weights_only", "random_deltas", "random_knobs")
    },
}
NAMES = (*_SIMPLE, "fixed")


def known(name: str) -> bool:
    """Whether there is such an arm."""
    return name in NAMES or name.startswith("guided@")


def attach(
    name: str, trainee: Trainee, seed: int, recipe: Recipe | None = None, ledger: Path | None = None
) -> Arm:
    """Set an arm on a fresh training; ``recipe`` is what `fixed` and its candidates hold."""
    if recipe is not None:
        return Constant(trainee, seed, recipe)
    if name.startswith("guided@"):
        from experiments.modulation.guided import Guided

        return Guided(trainee, seed, name.removeprefix("guided@"), ledger=ledger)
    return _SIMPLE[name](trainee, seed)


def worse(value: float, than: float | None, mode: str) -> bool:
    """Whether ``value`` is no improvement; what is not finite never is one, the first always."""
    if not math.isfinite(value):
        return True
    if than is None:
        return False
    return value >= than if mode == "min" else value <= than
