"""The training that the faults meet: small, modulated, and the same bits every time.

Its weights after each epoch depend on the configuration alone, so a run that was killed and came
back can be compared with one that nobody disturbed (`undisturbed`). Every epoch is also written to
a file of our own before Tune hears of it: what was really evaluated, whatever is lost later.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raymimic import Adjustment, AdjustmentAdvice, Modulator, Operation, Reply, Request

STEPS = 5


@dataclass(frozen=True)
class Task:
    """What every trial of a run is told; ``odd`` makes some of them misbehave (see `_misbehave`).

    ``out`` holds the run's files. ``nap`` seconds pass in every epoch.
    """

    out: str
    epochs: int = 6
    nap: float = 0.25
    odd: str = ""


class EachEpoch:
    """Moves weights and knobs after every epoch, by the epoch alone."""

    remote = False
    name = "each-epoch"

    def adjust(self, evidence: Any) -> AdjustmentAdvice:
        epoch = evidence.epoch
        kind = ("noise", "extrapolate", "shrink", "pull")[epoch % 4]
        operation = Operation(kind, "3.*", amount=0.2, toward="initial")
        knobs = {"dropout": 0.1 + 0.02 * epoch, "weight_decay": 0.001 * epoch}
        return AdjustmentAdvice(Adjustment(knobs, 0.3, (operation,), rationale=f"epoch {epoch}"))


class SameAnswer:
    """The stub's answer without the stub."""

    model = "stub"

    def __init__(self, text: str) -> None:
        self.text = text

    def complete(self, request: Request) -> Reply:
        del request
        return Reply(self.text, self.model)


class Training:
    """One configuration's training, an epoch at a time."""

    def __init__(self, config: Mapping[str, float], epochs: int, advisor: Any, **options: Any):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), config["lr"], weight_decay=config["weight_decay"]
        )
        self.modulator = Modulator(
            self.model, self.optimizer, llm=advisor, epochs=epochs, wait=True, timeout=30.0,
            ema=0.9, **options,
        )  # fmt: skip
        self.parts = (self.model, self.optimizer, self.modulator)

    @property
    def ended(self) -> int:
        """Epochs that have ended."""
        return int(self.modulator.state_dict()["record"]["epoch"])

    def epoch(self) -> float:
        """Train one epoch; returns the validation loss."""
        inputs, labels = _data(1)
        torch.manual_seed(self.ended)  # dropout
        self.model.train()
        for batch in range(STEPS):
            part = slice(16 * batch, 16 * batch + 16)
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(inputs[part]), labels[part]).backward()
            self.modulator.step()
        self.model.eval()
        inputs, labels = _data(2)
        with torch.no_grad():
            loss = float(nn.functional.cross_entropy(self.model(inputs), labels))
        self.modulator.epoch_end({"val_loss": loss})
        return loss

    def digest(self) -> str:
        """The weights' bits in a word."""
        whole = hashlib.sha256()
        for value in self.model.state_dict().values():
            whole.update(value.numpy().tobytes())
        return whole.hexdigest()[:16]


def undisturbed(config: Mapping[str, float], epochs: int, advisor: Any) -> list[tuple[float, str]]:
    """Loss and weights after each epoch of a run in one piece, in this process."""
    training = Training(config, epochs, advisor)
    return [(training.epoch(), training.digest()) for _ in range(epochs)]


def train(config: dict[str, Any], task: Task, advisor: Any) -> None:
    """The Tune trainable; ``advisor`` is a guide or what `Modulator` takes."""
    from ray import get_runtime_context, tune

    name = tune.get_context().get_trial_id()
    ledger = Path(task.out, "modulation", f"{name}.jsonl")
    training = Training(config, task.epochs, advisor, ledger=ledger, run_id=name)
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            states = torch.load(Path(folder, "parts.pt"))
        for part, state in zip(training.parts, states, strict=True):
            part.load_state_dict(state)
    came = training.ended
    _known(task, name, {"came": came})
    for epoch in range(came, task.epochs):
        _misbehave(task, name, epoch, config["lr"])
        loss = training.epoch()
        row = {"loss": loss, "digest": training.digest(), "came": came}
        row |= {"pid": os.getpid(), "node": get_runtime_context().get_node_id()}
        time.sleep(task.nap)
        _known(task, name, {"epoch": epoch + 1, **row})
        folder = Path(task.out, "staging", f"{name}-{os.getpid()}")
        folder.mkdir(parents=True, exist_ok=True)
        torch.save([part.state_dict() for part in training.parts], folder / "parts.pt")
        tune.report(
            {**_odd_report(task, epoch, row, config["lr"]), **training.modulator.metrics()},
            checkpoint=tune.Checkpoint.from_directory(folder),
        )


def _data(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(80, 4, generator=torch.Generator().manual_seed(seed))
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0.5).long()


def _known(task: Task, name: str, row: Mapping[str, Any]) -> None:
    """Append a line in one write, so that a kill cannot tear it."""
    path = Path(task.out, "truth", f"{name}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab", buffering=0) as file:
        file.write(json.dumps({"t": round(time.time(), 3), **row}).encode() + b"\n")


def _misbehave(task: Task, name: str, epoch: int, lr: float) -> None:
    """``raises``: every trial fails at its third epoch, twice; those with a large lr for ever."""
    if task.odd != "raises" or epoch != 2:
        return
    tries = Path(task.out, "tries", name)
    tries.parent.mkdir(exist_ok=True)
    with tries.open("a") as file:
        file.write("x")
    if tries.stat().st_size <= 2 or lr > 0.03:
        raise MemoryError("the GPU is full")


def _odd_report(task: Task, epoch: int, row: Mapping[str, Any], lr: float) -> dict[str, Any]:
    """``values``: first no metric, then a string; with a small lr NaN and infinity follow."""
    odd: dict[int, Any] = {0: None, 1: "a string"}
    if lr < 0.01:
        odd |= {3: float("nan"), 4: float("inf")}
    if task.odd != "values" or epoch not in odd:
        return dict(row)
    kept = {key: value for key, value in row.items() if key != "loss"}
    return kept if odd[epoch] is None else {**kept, "loss": odd[epoch]}
