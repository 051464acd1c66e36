"""A task of two weights whose best merge is known: the base is 0, the goal lies at (1, 2)."""

from __future__ import annotations

from typing import Any

import torch

from raymimic import MergeTask

GOAL = torch.tensor([1.0, 2.0])


def tiny_merge(**settings: Any) -> MergeTask:
    experts = {"right": torch.tensor([1.0, 0.0]), "up": torch.tensor([0.0, 2.0])}
    return MergeTask(
        {"w": torch.zeros(2), "steps": torch.tensor(3)},
        {name: {"w": weights, "steps": torch.tensor(5)} for name, weights in experts.items()},
        **settings,
    )


def evaluate(state: dict[str, Any]) -> dict[str, float]:
    """0 at the goal, less elsewhere: the plain average scores -1.118, the base -2.236."""
    return {"score": -float((state["w"] - GOAL).norm()), "score_error": 0.01}
