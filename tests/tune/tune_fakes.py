"""Advisors that a test can see through, and Tune's part of the conversation."""

from __future__ import annotations

import threading
import time
from typing import Any

from ray.tune.search import Searcher

from raymimic import Advice, Proposal, SearchEvidence


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


class CountingAdvisor:
    """Proposes x = 0.01, 0.02, ... so that a test can tell one proposal from another."""

    name = "counting"

    def __init__(self, *, remote: bool = True) -> None:
        self.remote = remote
        self.asked: list[tuple[SearchEvidence, int]] = []
        self.made = 0

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        self.asked.append((evidence, n))
        proposals = []
        for _ in range(n):
            self.made += 1
            proposals.append(Proposal({"x": self.made / 100}, f"number {self.made}", "llm"))
        return Advice(tuple(proposals))


class HeldAdvisor(CountingAdvisor):
    """Answers only once `gate` is opened; not picklable, for tests without Tune."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        self.gate.wait(10)
        return super().propose(evidence, n)
