"""What a study is: trainings of several sizes, and what the runner needs of each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

Mode = Literal["min", "max"]
Step = Callable[[], None]


class StudyError(Exception):
    """A study cannot be run here; the text says what is missing and how to get it."""


@dataclass(frozen=True)
class UserKnob:
    """A knob that the training loop reads; ``start`` is also its value where nothing moves it."""

    low: float
    high: float
    meaning: str
    start: float


class Trainee(Protocol):
    """One training: built anew, equal for equal (size, seed) whatever will be done to it."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    epochs: int
    steps_per_epoch: int | None  # None where it is not known beforehand
    metric: str
    mode: Mode
    knobs: Mapping[str, UserKnob]

    def epoch(self, step: Step, knobs: Mapping[str, float]) -> dict[str, Any]:
        """Train one epoch, calling ``step`` instead of the optimizer; validation metrics."""
        ...

    def test(self) -> dict[str, float]:
        """Score the weights as they are on data that nothing else has read."""
        ...


@dataclass(frozen=True)
class Study:
    """A family of trainings. ``measures`` are what `Trainee.test` gives, the first one leads."""

    name: str
    about: str
    build: Callable[[int, int, Path | None], Trainee]  # size, seed, folder of the data
    sizes: tuple[int, ...]
    measures: Mapping[str, Mode] = field(
        default_factory=lambda: {"test_accuracy": "max", "test_loss": "min"}
    )
    arms: tuple[str, ...] = ("plain", "guided")
    check: Callable[[], None] = lambda: None  # raises StudyError where the study cannot run
