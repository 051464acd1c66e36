"""Which optimizers `Modulator` carries: four checks each, on a tiny model, as a table.

Plain: a run without advice has the plain optimizer's bits. NaN: after one batch of NaN the run goes
on, finite, and only that epoch is undone. Rollback: after an undone epoch the next has the bits of
a run that never had it. Resume: from a saved state in the middle of an epoch under an adjustment,
the same bits. "plain neither": the optimizer alone does not resume exactly from its state_dict.

    python -m experiments.modulation.optimizers [--only NAME] [--markdown]
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import logging
import math
import random
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.modulation.catalog_of_optimizers import Make, catalog
from raymimic import Adjustment, AdjustmentAdvice, Modulator, Operation, RunEvidence

CHECKS = ("plain", "NaN", "rollback", "resume")
PACKAGES = (
    "prodigyopt", "schedulefree", "lion_pytorch", "bitsandbytes", "pytorch_optimizer",
    "torch_optimizer",
)  # fmt: skip
HARM = Adjustment(alpha=0.5, operations=(Operation("noise", amount=0.5),))
MOVE = Adjustment(alpha=0.3, operations=(Operation("shrink", amount=0.1),))
_STEPS = 4


class Says:
    """Gives an adjustment after each epoch from a list, then none."""

    name, remote = "scripted", False

    def __init__(self, *answers: Adjustment) -> None:
        self._answers = list(answers)

    def adjust(self, evidence: RunEvidence) -> AdjustmentAdvice:  # noqa: ARG002 - what the door asks
        return AdjustmentAdvice(self._answers.pop(0) if self._answers else Adjustment())


class Training:
    """A tiny training; modulated where there are ``answers``, plain where there are none."""

    def __init__(self, make: Make, answers: tuple[Adjustment, ...] | None) -> None:
        torch.manual_seed(0)
        self.model = make.model()
        self.optimizers: list[Any] = make.optimizers(self.model)
        self._closure = make.closure
        self.modulator: Modulator | None = None
        if answers is not None:
            one = self.optimizers if len(self.optimizers) > 1 else self.optimizers[0]
            self.modulator = Modulator(self.model, one, llm=Says(*answers))

    def epoch(self, number: int, *, bad: bool = False, value: float | None = None) -> None:
        self.steps(number, 0, _STEPS, bad=bad)
        if self.modulator is not None:
            self.modulator.epoch_end({"val_loss": 1.0 / number if value is None else value})

    def steps(self, number: int, first: int, last: int, *, bad: bool = False) -> None:
        self._mode("train")
        for step in range(first, last):
            torch.manual_seed(1000 * number + step)
            random.seed(1000 * number + step)
            np.random.seed(1000 * number + step)  # Kron draws from it
            self._step(math.nan if bad and step == 1 else 1.0)
        self._mode("eval")

    def _step(self, factor: float) -> None:
        batch = _batch(self.model)

        def closure() -> torch.Tensor:
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss: torch.Tensor = factor * (self.model(batch) - 1.0).square().mean()
            loss.backward(create_graph=self._closure == "graph")
            return loss

        if self._closure == "closure":
            closure()  # SAM expects gradients to be there
            take: Callable[..., Any] = (self.modulator or self.optimizers[0]).step
            take(closure)
            return
        closure()
        if self.modulator is not None:
            self.modulator.step()
            return
        for optimizer in self.optimizers:
            optimizer.step()

    def _mode(self, name: str) -> None:
        for optimizer in self.optimizers:
            if "train_mode" in optimizer.param_groups[0]:
                getattr(optimizer, name)()

    def weights(self) -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in self.model.parameters()]

    def saved(self) -> Any:
        parts = [self.model, *self.optimizers, *([self.modulator] if self.modulator else [])]
        file = io.BytesIO()
        torch.save([part.state_dict() for part in parts], file)
        file.seek(0)
        return torch.load(file, weights_only=False)

    def load(self, states: Any) -> None:
        parts: list[Any] = [self.model, *self.optimizers]
        parts += [self.modulator] if self.modulator else []
        for part, state in zip(parts, states, strict=True):
            part.load_state_dict(state)


def _batch(model: nn.Module) -> torch.Tensor:
    if isinstance(model[0], nn.Embedding):  # type: ignore[index]
        return torch.randint(0, 10, (8,))
    return torch.randn(8, 4)


def _same(one: Training, other: Training) -> bool:
    pairs = zip(one.weights(), other.weights(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# -- the checks ------------------------------------------------------------------------------------


def plain(make: Make) -> str:
    runs = [Training(make, None), Training(make, ())]
    for training in runs:
        for number in (1, 2, 3):
            training.epoch(number)
    return "yes" if _same(*runs) else "no"


def recovers(make: Make) -> str:
    try:
        Training(make, None).epoch(1, bad=True)
    except Exception as error:  # noqa: BLE001 - its own step, with no modulator at hand
        return f"its step raises {type(error).__name__}, alone too"
    training = Training(make, ())
    for number in (1, 2):
        training.epoch(number)
    before = training.weights()
    training.epoch(3, bad=True)
    assert training.modulator is not None
    undone = training.modulator.metrics()["raymimic/rollbacks"]
    for number in (4, 5):
        training.epoch(number)
    finite = all(bool(torch.isfinite(weight).all()) for weight in training.weights())
    moved = any(not torch.equal(a, b) for a, b in zip(before, training.weights(), strict=True))
    rollbacks = training.modulator.metrics()["raymimic/rollbacks"]
    if undone == 0.0 and finite and moved:
        return "not harmed"
    return "yes" if finite and moved and rollbacks == 1.0 else "no"


def rollback(make: Make) -> str:
    own, steered = Training(make, ()), Training(make, (Adjustment(), Adjustment(), HARM))
    for training in (own, steered):
        for number in (1, 2, 3):
            training.epoch(number)
    steered.epoch(4, value=9.0)
    assert steered.modulator is not None
    if steered.modulator.metrics()["raymimic/rollbacks"] != 1.0:
        return "no rollback"
    for training in (own, steered):
        training.epoch(5)
    return "yes" if _same(own, steered) else "no"


def resume(make: Make) -> str:
    if _resumed(make, (MOVE,)):
        return "yes"
    return "no" if _resumed(make, None) else "plain neither"


def _resumed(make: Make, answers: tuple[Adjustment, ...] | None) -> bool:
    first, second = Training(make, answers), Training(make, answers and ())
    for number in (1, 2):
        first.epoch(number)
    first.steps(3, 0, 2)
    second.load(first.saved())
    for training in (first, second):
        training.steps(3, 2, _STEPS)
        if training.modulator is not None:
            training.modulator.epoch_end({"val_loss": 0.3})
        training.epoch(4)
    return _same(first, second)


def row(make: Make) -> list[str]:
    """What each check gives; the optimizer's own errors are named, a refusal in its words."""
    try:
        Training(make, None).epoch(1)
    except Exception as error:  # noqa: BLE001 - the optimizer alone does not run here
        return [f"fails alone: {type(error).__name__}"] * len(CHECKS)
    try:
        Training(make, ())
    except ValueError as refusal:
        return [f"refused: {refusal}"] * len(CHECKS)
    found = []
    for check in (plain, recovers, rollback, resume):
        try:
            found.append(check(make))
        except Exception as error:  # noqa: BLE001 - a cell of the table
            found.append(f"{type(error).__name__}: {str(error)[:60]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="part of an optimizer's name")
    only = parser.parse_args().only.lower()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("raymimic").setLevel(logging.CRITICAL)
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            print(f"NOT INSTALLED, left out: {package} (pip install {package})")
    print(f"| optimizer | {' | '.join(CHECKS)} |\n|{'---|' * (1 + len(CHECKS))}")
    counts: Counter[str] = Counter()
    for make in catalog():
        if only in make.name.lower():
            cells = row(make)
            counts["all four" if not set(cells) - {"yes", "not harmed", "plain neither"} else
                   cells[0] if len(set(cells)) == 1 else "not all"] += 1  # fmt: skip
            print(f"| {make.name} | {' | '.join(cells)} |", flush=True)
    print("; ".join(f"{count} {name}" for name, count in counts.most_common()))


if __name__ == "__main__":
    main()
