"""Trains a candidate program and predicts with it: the part that runs confined.

Everything here shares its process with the candidate's code, which may change torch under it. So
nothing here is believed: what counts is what a fresh process predicts from the state it returns.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from raymimic.evolution.sandbox.arrays import read_arrays, write_arrays

FILE_NAME = "<program>"
_PREDICT_BATCH = 500


@dataclass(frozen=True)
class Training:
    """The settings of one training; ``seed`` fixes initial weights and batch order."""

    epochs: int
    batch_size: int
    classes: int
    seed: int
    device: str
    threads: int


def load(source: str) -> dict[str, Any]:
    """Run a program's file; return its names. Tracebacks show its lines."""
    lines = source.splitlines(keepends=True)
    linecache.cache[FILE_NAME] = (len(source), None, lines, FILE_NAME)
    names: dict[str, Any] = {"__name__": "program", "__builtins__": __builtins__}
    exec(compile(source, FILE_NAME, "exec"), names)
    return names


def train(
    source: str,
    data: Mapping[str, np.ndarray],
    settings: Training,
    scratch: Path,
    epoch_done: Callable[[int], None],
    resume: tuple[int, Path] | None = None,
    *,
    resumable: bool = False,
) -> None:
    """Train; leave ``state_K.npz`` in ``scratch`` after each epoch K and say so.

    ``resumable`` leaves ``resume_K.pt`` as well, from which ``resume`` (K, file) goes on.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    inputs, labels = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    names = load(source)
    model = names["build_model"](tuple(inputs.shape[1:]), settings.classes).to(settings.device)
    batches = -(-len(labels) // settings.batch_size)
    optimizer, schedule = _optimizer(names, model, settings.epochs * batches)
    first = 1 if resume is None else _take_up(resume, model, optimizer, schedule)
    for epoch in range(first, settings.epochs + 1):
        order = torch.from_numpy(
            np.random.default_rng([settings.seed, epoch]).permutation(len(labels))
        )
        model.train()
        for chosen in order.split(settings.batch_size):
            x, y = inputs[chosen].to(settings.device), labels[chosen].to(settings.device)
            logits = model(x)
            _check_logits(logits, len(y), settings.classes)
            loss = nn.functional.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
        write_arrays(scratch / f"state_{epoch}.npz", _as_arrays(model))
        if resumable:
            torch.save(_progress(model, optimizer, schedule), scratch / f"resume_{epoch}.pt")
        epoch_done(epoch)


def predict(
    source: str,
    data: Mapping[str, np.ndarray],
    settings: Training,
    state: Path,
    out: Path,
    most_bytes: int,
) -> None:
    """Predict from a state; leave the logits of each of ``data``'s inputs in ``out``."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    names = load(source)
    shape = next(iter(data.values())).shape[1:]
    model = names["build_model"](tuple(shape), settings.classes).to(settings.device)
    arrays = {
        name: torch.from_numpy(array) for name, array in read_arrays(state, most_bytes).items()
    }
    model.load_state_dict(arrays, strict=True)
    model.eval()
    logits = {}
    with torch.no_grad():
        for name, inputs in data.items():
            parts = [
                model(part.to(settings.device)).float().cpu()
                for part in torch.from_numpy(inputs).split(_PREDICT_BATCH)
            ]
            logits[name] = torch.cat(parts).numpy()
    write_arrays(out, logits)


def _optimizer(names: Mapping[str, Any], model: nn.Module, steps: int) -> tuple[Any, Any]:
    made = names["build_optimizer"](model, steps)
    return made if isinstance(made, tuple) else (made, None)


def _check_logits(logits: Any, samples: int, classes: int) -> None:
    if tuple(logits.shape) != (samples, classes):
        raise ValueError(
            f"the model must return logits of shape (samples, classes) = ({samples}, {classes}), "
            f"got {tuple(logits.shape)}"
        )


def _as_arrays(model: nn.Module) -> dict[str, np.ndarray]:
    """The model's state; numpy has no bfloat16, so it is written as float32."""
    state = {}
    for name, tensor in model.state_dict().items():
        value = tensor.detach().cpu()
        state[name] = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    return state


def _progress(model: nn.Module, optimizer: Any, schedule: Any) -> dict[str, Any]:
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": None if schedule is None else schedule.state_dict(),
        "random": torch.get_rng_state(),
    }


def _take_up(resume: tuple[int, Path], model: nn.Module, optimizer: Any, schedule: Any) -> int:
    epoch, path = resume
    progress = torch.load(path, weights_only=True)
    model.load_state_dict(progress["model"])
    optimizer.load_state_dict(progress["optimizer"])
    if schedule is not None:
        schedule.load_state_dict(progress["schedule"])
    torch.set_rng_state(progress["random"])
    return epoch + 1
