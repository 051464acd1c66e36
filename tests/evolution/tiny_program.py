"""A task that a linear model learns in a second, and a program for it."""

from __future__ import annotations

import numpy as np

from raymimic.evolution import Limits, TrainingTask

MIB = 1024 * 1024

PROGRAM = '''
import torch
from torch import nn


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    return torch.optim.Adam(model.parameters(), lr=0.05)


# EVOLVE-BLOCK-END
# EVOLVE-BLOCK-START body
class Body(nn.Module):
    """From 8 numbers to classes."""

    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(8, classes)

    def forward(self, x):
        return self.linear(x)


# EVOLVE-BLOCK-END


def build_model(input_shape, classes):
    return Body(classes)
'''


def tiny_task(**settings: object) -> TrainingTask:
    """Two classes by the sign of the first of 8 numbers: 160 to train, 80 to validate and test."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(320, 8)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    given: dict[str, object] = {
        "epochs": 2,
        "batch_size": 20,
        "limits": Limits(seconds=60, memory=1024 * MIB, disk=8 * MIB),
    }
    return TrainingTask(
        x[:160], y[:160], x[160:240], y[160:240], x_test=x[240:], **{**given, **settings}
    )


def labels_of_test() -> np.ndarray:
    """The labels of the task's test inputs."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(320, 8)).astype(np.float32)[240:, 0] > 0).astype(np.int64)


def with_model_code(code: str) -> str:
    """The program with statements that run before the model is built, in either process."""
    lines = "".join(f"    {line}\n" for line in code.strip().splitlines())
    return PROGRAM.replace("    return Body(classes)\n", f"{lines}    return Body(classes)\n")
