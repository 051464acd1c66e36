"""Advisors that a test can see through."""

from __future__ import annotations

import threading

from raymimic import Advice, Proposal, SearchEvidence


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
