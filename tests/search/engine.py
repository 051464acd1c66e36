"""A search driven as an adapter drives it, with neither Ray nor a process."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from raymimic import read_events
from raymimic.advisor import Advisor, RandomAdvisor
from raymimic.ledger import Ledger
from raymimic.records import Config
from raymimic.search.question import ProposalInquiry
from raymimic.search.queue import ProposalQueue
from raymimic.search.session import Session
from raymimic.space import FloatRange, SearchSpace
from raymimic.summary import Journal

SPACE = SearchSpace({"x": FloatRange(0.0, 1.0)})
TIMEOUT_S = 60.0


class Engine:
    """One begun search for "loss" (lower is better); ``slots`` trials may run at once."""

    def __init__(
        self,
        advisor: Advisor,
        ledger: Path,
        *,
        stand_in: Advisor | None = None,
        space: SearchSpace = SPACE,
        slots: int | None = None,
        trials: int | None = None,
        batch_size: int | None = None,
        patience: float | None = None,
        seed: int = 0,
        constraints: Any = (),
        instruction: str = "",
    ) -> None:
        self.queue = ProposalQueue(
            ProposalInquiry(advisor, TIMEOUT_S),
            ProposalInquiry(stand_in or RandomAdvisor(seed), TIMEOUT_S),
            batch_size=batch_size,
            patience=patience,
        )
        self.session = Session(
            Journal(Ledger(ledger)),
            seed,
            space=space,
            concurrency=slots,
            trials_total=trials,
            constraints=constraints,
            instruction=instruction,
        )
        self.session.begin("loss", "min", advisor.name, self.queue.batch(self.session))

    @property
    def tally(self) -> Any:
        return self.session.journal.tally

    def ask(self, trial_id: str) -> Config | None:
        """Ask once, as `LLMSearcher.suggest` does."""
        queued = self.queue.next(self.session)
        if queued is None:
            return None
        self.session.start(trial_id, queued)
        self.queue.ask_if_low(self.session, due=False)
        return queued.proposal.config

    def suggest(self, trial_id: str) -> Config:
        """Ask until a configuration comes: whoever was asked answers in the meantime."""
        for _ in range(1000):
            config = self.ask(trial_id)
            if config is not None:
                return config
            for inquiry in (self.queue.advisor, self.queue._stand_in):
                inquiry.wait(0.01)
        raise AssertionError("no configuration within 10 s")

    def fill(self, count: int) -> int:
        """Ask for ``count`` trials until nobody is at work any more; how many started."""
        for number in range(count):
            config = self.ask(f"t{number}")
            while config is None and self.queue._stand_in.busy:
                self.queue._stand_in.wait(10)
                config = self.ask(f"t{number}")
            if config is None:
                return number
        return count

    def end(self, trial_id: str, *losses: float, failed: bool = False) -> None:
        """Report every epoch and end the trial."""
        for epoch, loss in enumerate(losses, start=1):
            self.session.state.record(trial_id, epoch, {"loss": loss}, restarted=False)
        self.session.end(trial_id, failed=failed, trained=1.0, stopped=False)
        if not failed:
            self.queue.trial_ended(self.session)

    def events(self, event: str) -> list[dict[str, Any]]:
        """The events of one kind in the ledger."""
        self.session.journal.ledger.flush()
        return read_events(self.session.journal.ledger.path).of(event)

    def copy(self) -> Engine:
        """A pickled copy, as Tune makes one of a searcher."""
        return pickle.loads(pickle.dumps(self))
