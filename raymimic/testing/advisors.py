"""Advisors that a test can see through, and the calls that Tune makes of a searcher."""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from raymimic.advisor import SearchEvidence
from raymimic.records import Advice, Proposal


class SearcherCalls(Protocol):
    """The part of `ray.tune.search.Searcher` that is called here; Ray is not imported."""

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Give a configuration, or None for "not yet"."""
        ...

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take an epoch's result."""
        ...

    def on_trial_complete(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take the last result."""
        ...


def suggest(searcher: SearcherCalls, trial_id: str) -> dict[str, Any]:
    """Ask as Tune does until a configuration comes; AssertionError after 10 s."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        config = searcher.suggest(trial_id)
        if config is not None:
            return config
        time.sleep(0.01)
    raise AssertionError("no configuration within 10 s")


def run_trial(searcher: SearcherCalls, trial_id: str, losses: list[float]) -> None:
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
        """Propose the next ``n`` numbers."""
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
        """Wait for the gate, at most 10 s, then propose."""
        self.gate.wait(10)
        return super().propose(evidence, n)
