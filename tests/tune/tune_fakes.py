"""Tune's part of the conversation with a searcher."""

from __future__ import annotations

import time
from typing import Any

from ray.tune.search import Searcher


def suggest(searcher: Searcher, trial_id: str) -> dict[str, Any]:
    """Ask as Tune does: again and again until a configuration comes."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        config = searcher.suggest(trial_id)
        if config is not None:
            return config
        time.sleep(0.01)
    raise AssertionError("no configuration within 10 s")


def run_trial(searcher: Searcher, trial_id: str, losses: list[float]) -> None:
    """Report every epoch and end the trial."""
    for epoch, loss in enumerate(losses, start=1):
        searcher.on_trial_result(trial_id, {"loss": loss, "training_iteration": epoch})
    last = {"loss": losses[-1], "training_iteration": len(losses), "done": True}
    searcher.on_trial_complete(trial_id, last)
