"""Minibatch training of a classifier or a regression net, the same for every study and arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from experiments.modulation.task import Mode, Step, UserKnob

_SCORE_BATCH = 50  # rows scored at once; with a CPU's cache, a quarter of the time of 1,000

Part = tuple[torch.Tensor, torch.Tensor]
Change = Callable[[torch.Tensor, Mapping[str, float], torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class Parts:
    """(inputs, targets) of each part; the three share no row."""

    train: Part
    val: Part
    test: Part


class Supervised:
    """Adam, shuffled batches of 32, metrics after each epoch; a `Trainee`.

    Integer targets mean cross-entropy over 10 classes, float targets mean squared error. ``change``
    makes the inputs of a batch anew at each step (augmentation) and may read the knobs.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        parts: Parts,
        seed: int,
        epochs: int,
        batch: int = 32,
        lr: float = 1e-3,
        knobs: Mapping[str, UserKnob] | None = None,
        change: Change | None = None,
    ) -> None:
        if parts.train[0].dim() == 4:  # channels last: the same numbers up to rounding, faster
            model = model.to(memory_format=torch.channels_last)
            parts = Parts(*(_channels_last(part) for part in (parts.train, parts.val, parts.test)))
        self.model, self.epochs, self.knobs = model, epochs, knobs or {}
        self.metric = "val_loss"
        self.mode: Mode = "min"
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.steps_per_epoch: int | None = -(-len(parts.train[1]) // batch)
        self._parts, self._batch, self._change = parts, batch, change
        self._classify = not parts.train[1].is_floating_point()
        self._order = torch.Generator().manual_seed(seed)
        self._draws = torch.Generator().manual_seed(seed)  # of the change of the inputs

    def epoch(self, step: Step, knobs: Mapping[str, float]) -> dict[str, Any]:
        """See `Trainee`; train metrics are means over the steps, as seen during training."""
        self.model.train()
        inputs, targets = self._parts.train
        loss_sum, right = 0.0, 0
        for rows in torch.randperm(len(targets), generator=self._order).split(self._batch):
            batch = inputs[rows]
            if self._change:
                batch = self._change(batch, knobs, self._draws)
            self.optimizer.zero_grad()
            output = self.model(batch)
            loss = self._loss(output, targets[rows])
            loss.backward()
            step()
            loss_sum += loss.item() * len(rows)
            if self._classify:
                right += int((output.argmax(dim=1) == targets[rows]).sum())
        metrics: dict[str, Any] = {"train_loss": loss_sum / len(targets)}
        if self._classify:
            metrics["train_accuracy"] = right / len(targets)
        scores = self._score("val")
        if "class_accuracy" in scores:
            metrics["class_accuracy"] = scores.pop("class_accuracy")
        return metrics | {f"val_{name}": value for name, value in scores.items()}

    def test(self) -> dict[str, float]:
        """See `Trainee`."""
        scores = self._score("test")
        scores.pop("class_accuracy", None)
        return {f"test_{name}": value for name, value in scores.items()}

    def _loss(self, output: torch.Tensor, targets: torch.Tensor, how: str = "mean") -> torch.Tensor:
        if self._classify:
            return functional.cross_entropy(output, targets, reduction=how)
        return functional.mse_loss(output.squeeze(1), targets, reduction=how)

    @torch.no_grad()
    def _score(self, part: str) -> dict[str, Any]:
        self.model.eval()
        inputs, targets = getattr(self._parts, part)
        output = torch.cat([self.model(some) for some in inputs.split(_SCORE_BATCH)])
        scores: dict[str, Any] = {"loss": self._loss(output, targets).item()}
        if self._classify:
            right = (output.argmax(dim=1) == targets).double()
            scores["accuracy"] = right.mean().item()
            seen = torch.bincount(targets, minlength=output.shape[1])
            if bool((seen > 0).all()):  # a class without a validation image has no accuracy
                hits = torch.bincount(targets, weights=right, minlength=output.shape[1])
                scores["class_accuracy"] = (hits / seen).tolist()
        else:
            spread = (targets - targets.mean()).square().mean()
            scores["r2"] = 1.0 - scores["loss"] / spread.item()
        return scores


def _channels_last(part: Part) -> Part:
    return part[0].contiguous(memory_format=torch.channels_last), part[1]
