"""Asks an advisor for configurations, one question at a time."""

from __future__ import annotations

from typing import Any

from raymimic.advisor import Advisor, ask_propose
from raymimic.inquiry import Inquiry
from raymimic.records import Advice
from raymimic.search.pacing import Demand
from raymimic.search.session import Session

# Proposals of a mixture that did not ask its model say nothing about the model's health.
_OTHERS = ("statistical", "heuristic", "random")


class ProposalInquiry(Inquiry[Advice]):
    """An advisor, the question to it that is under way, and how it fared with those before.

    ``asked_for`` is how many configurations the last question wanted, ``known`` how many ended
    trials it showed, ``first_known`` how many the first one did (None before it). ``name`` and
    ``remote`` are the advisor's, read once.
    """

    def __init__(self, advisor: Advisor, timeout: float) -> None:
        super().__init__(timeout, setting="LLMSearcher(timeout=...)")
        self.advisor = advisor
        self.name, self.remote = advisor.name, advisor.remote
        self.demand = Demand()

    def _open(self) -> None:
        super()._open()
        self.asked_for = self.known = 0
        self.first_known: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        kept = ("advisor", "name", "remote", "demand")
        return {**super().__getstate__(), **{name: self.__dict__[name] for name in kept}}

    def ask(self, session: Session, n: int) -> None:
        """Ask for ``n`` configurations; the evidence is frozen now and built in the background."""
        self.asked_for, self.known = n, len(session.state.ended)
        if self.first_known is None:
            self.first_known = self.known
        self.demand.asked()
        advisor, view = self.advisor, session.view()
        self.submit(lambda: ask_propose(advisor, view(), n))

    def _speaks(self, answer: Advice) -> bool:
        if not self.remote or answer.calls:
            return True
        return any(proposal.source not in _OTHERS for proposal in answer.proposals)
