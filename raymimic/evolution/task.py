"""What candidate programs are trained on, and how long."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from raymimic.errors import ProgramError
from raymimic.evolution.sandbox.limits import Limits
from raymimic.evolution.sandbox.probe import Sandbox

_TRAIN_SCORED = 1000  # training samples that are scored each epoch, beside all of validation
_SMOKE_BATCHES = 2
_LIKELY = 0.9  # an accuracy at which its standard error is told


@dataclass(frozen=True)
class TrainingTask:
    """Classification data, already split, and the training that every candidate gets.

    >>> import numpy as np
    >>> from raymimic import TrainingTask
    >>> inputs, labels = np.zeros((4, 1, 8)), np.array([0, 1, 2, 1])
    >>> TrainingTask(inputs, labels, inputs, labels).classes
    3

    Args:
        x_train, x_valid, x_test: Inputs, float arrays (samples, *input shape); test may be empty.
        y_train, y_valid: Labels, integer arrays of 0 ... classes - 1. Test labels are not here:
            nothing that selects may see them (`front.test_front`).
        classes: Number of classes; by default one more than the largest label.
        epochs, batch_size: Of each candidate's training, loss cross-entropy.
        seed: Of initial weights and batch order, the same for all candidates.
        device: "cpu" or "cuda".
        limits: What a candidate may use.
        sandbox: "auto" (refuses to start where no mechanism works) or "none".

    Raises `ProgramError` for data that do not fit together.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray
    x_test: np.ndarray | None = None
    classes: int = 0
    epochs: int = 10
    batch_size: int = 100
    seed: int = 0
    device: str = "cpu"
    limits: Limits = field(default_factory=Limits)
    sandbox: Sandbox = "auto"

    def __post_init__(self) -> None:
        for name in ("train", "valid"):
            inputs, labels = getattr(self, f"x_{name}"), getattr(self, f"y_{name}")
            if len(inputs) != len(labels) or not len(labels) or labels.dtype.kind not in "iu":
                raise ProgramError(
                    f"x_{name} and y_{name} must be as long, with integer labels; got "
                    f"{inputs.shape} and {labels.dtype} {labels.shape}"
                )
        if self.x_valid.shape[1:] != self.x_train.shape[1:]:
            raise ProgramError(
                f"training and validation inputs must have one shape, got {self.x_train.shape[1:]} "
                f"and {self.x_valid.shape[1:]}"
            )
        if not self.classes:
            largest = int(max(self.y_train.max(), self.y_valid.max()))
            object.__setattr__(self, "classes", largest + 1)
        if self.epochs < 1 or self.batch_size < 1:
            raise ProgramError(
                f"epochs and batch_size must be at least 1, got {self.epochs}, {self.batch_size}"
            )

    def inputs(self) -> dict[str, np.ndarray]:
        """What goes into a sandbox: training data, and inputs without labels."""
        inputs: dict[str, np.ndarray] = {
            "x_train": self.x_train.astype(np.float32),
            "y_train": self.y_train.astype(np.int64),
            "x_valid": self.x_valid.astype(np.float32),
        }
        if self.x_test is not None and len(self.x_test):
            inputs["x_test"] = self.x_test.astype(np.float32)
        return inputs

    @property
    def train_scored(self) -> np.ndarray:
        """Labels of the first training samples, whose accuracy is reported beside validation's."""
        return self.y_train[:_TRAIN_SCORED]

    def said(self) -> str:
        """The training in words, for a model that writes programs for it."""
        shape = tuple(self.x_train.shape[1:])
        steps = self.epochs * -(-len(self.y_train) // self.batch_size)
        judged = len(self.y_valid)
        spread = math.sqrt(_LIKELY * (1 - _LIKELY) / judged)  # binomial
        return (
            f"Training: {len(self.y_train):,} samples of shape {shape} in {self.classes} classes, "
            f"cross-entropy, {self.epochs} epochs in batches of {self.batch_size}, so {steps:,} "
            f"steps; at most {self.limits.seconds:g} s in all. The learning rate and its schedule "
            f"are the program's own. Accuracy is that on {judged:,} other samples: near "
            f"{_LIKELY:g} one standard error is {spread:.2g}. All that a trained model keeps "
            "counts as parameters, buffers too, but for a normalisation's running statistics "
            "beside its own weight and bias."
        )

    def smoke(self) -> TrainingTask:
        """Two batches of it, for one epoch: does a program run at all?"""
        few = self.batch_size * _SMOKE_BATCHES
        return replace(
            self,
            x_train=self.x_train[:few],
            y_train=self.y_train[:few],
            x_valid=self.x_valid[:few],
            y_valid=self.y_valid[:few],
            x_test=None,
            epochs=1,
            limits=replace(self.limits, seconds=min(60.0, self.limits.seconds)),
        )

    @classmethod
    def from_npz(cls, path: str | os.PathLike[str], **settings: object) -> TrainingTask:
        """Read x_train, y_train, x_valid, y_valid and, if there, x_test from an npz file."""
        try:
            with np.load(Path(path), allow_pickle=False) as file:
                names = ("x_train", "y_train", "x_valid", "y_valid", "x_test")
                arrays = {name: file[name] for name in names if name in file.files}
            return cls(**arrays, **settings)  # type: ignore[arg-type]
        except (OSError, ValueError, TypeError) as error:
            raise ProgramError(
                f"data must be an npz file with x_train, y_train, x_valid, y_valid: {path}: {error}"
            ) from None
