"""A small classification to train, always the same, and advisors that a test can see through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from raymimic import Adjustment, AdjustmentAdvice, RunEvidence
from raymimic.errors import AdvisorError

STEPS = 5


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))


def data(seed: int = 1, count: int = 80) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 4, generator=generator)
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0.5).long()


def one_epoch(model: nn.Module, optimizer: Any, step: Callable[[], Any], epoch: int) -> None:
    inputs, labels = data()
    torch.manual_seed(epoch)  # dropout
    model.train()
    for batch in range(STEPS):
        part = slice(16 * batch, 16 * batch + 16)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[part]), labels[part]).backward()
        step()


def validation(model: nn.Module) -> float:
    inputs, labels = data(seed=2)
    model.eval()
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(inputs), labels))


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class Says:
    """Answers each question with the next of ``answers``, then with nothing; keeps what it saw."""

    name = "scripted"
    remote = False

    def __init__(self, *answers: Adjustment | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[RunEvidence] = []

    def adjust(self, evidence: RunEvidence) -> AdjustmentAdvice:
        self.seen.append(evidence)
        answer = self.answers.pop(0) if self.answers else Adjustment()
        if isinstance(answer, Exception):
            raise answer
        return AdjustmentAdvice(answer)


DOWN = AdvisorError("the model is down", reason="503")
