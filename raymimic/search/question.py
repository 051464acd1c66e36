"""When to ask the advisor, and what to make of its silence and its failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raymimic.advisor import Advisor, SearchEvidence, ask_propose
from raymimic.inquiry import Inquiry
from raymimic.records import Advice

# Proposals of a mixture that did not ask its guide say nothing about the guide's health.
_OTHERS = ("statistical", "random")


class Asking(Inquiry[Advice]):
    """Asks an advisor for configurations, one question at a time.

    ``first_known`` is how many ended trials the first question showed, None before it.
    """

    owner = "LLMSearcher"

    def __init__(self, advisor: Advisor, timeout: float) -> None:
        self.advisor = advisor
        super().__init__(timeout)

    def _open(self) -> None:
        super()._open()
        self._asked_for = 0
        self._known = 0
        self.first_known: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "advisor": self.advisor}

    @property
    def asked_for(self) -> int:
        """How many configurations the last question wanted."""
        return self._asked_for

    @property
    def known(self) -> int:
        """How many ended trials the last question showed."""
        return self._known

    def ask(self, view: Callable[[], SearchEvidence], n: int, known: int) -> None:
        """Ask for ``n`` configurations; ``view`` builds the evidence in the background."""
        advisor, self._asked_for, self._known = self.advisor, n, known
        if self.first_known is None:
            self.first_known = known
        self.submit(lambda: ask_propose(advisor, view(), n))

    def _speaks(self, answer: Advice) -> bool:
        return bool(answer.calls) or any(p.source not in _OTHERS for p in answer.proposals)
