"""What an `LLMSearcher` says of its search: trials, evidence, record, summary, lessons."""

from __future__ import annotations

import os

from raymimic.advisor import (
    SearchEvidence,
    TrialRecord,
    lessons_text,
    question_to_guide,
    write_lessons_file,
)
from raymimic.curves import CurveHistory
from raymimic.feasibility import Limit
from raymimic.ledger import Ledger
from raymimic.search.closing import as_html, finish, summary_of
from raymimic.search.queue import ProposalQueue
from raymimic.search.session import Session
from raymimic.summary import Tally
from raymimic.tune.given import Given


class Telling:
    """The part of a searcher that tells; what it tells of is its session."""

    _session: Session
    _queue: ProposalQueue
    _given: Given
    _summarised: bool
    attended: bool

    def _ready(self) -> Session:
        """The session, begun."""
        raise NotImplementedError

    def trial(self, trial_id: str) -> TrialRecord | None:
        """What is known of a trial: source, rationale, and once ended score and diagnosis."""
        return self._ready().state.trial(trial_id)

    @property
    def history(self) -> CurveHistory:
        """Every epoch reported since the search began, and of what a restore runs on."""
        return self._ready().state.history

    def evidence(self) -> SearchEvidence:
        """All that the advisor would be shown now."""
        return self._ready().evidence()

    def next_question(self) -> tuple[SearchEvidence, int]:
        """The evidence of the next question and how many configurations it would ask for."""
        evidence = self.evidence()
        wanted = evidence.budget.cap(self._queue.batch(self._session))
        return question_to_guide(evidence, wanted, self._session.seed)

    @property
    def ledger(self) -> Ledger:
        """The record of every decision of this search; ``ledger.path`` is its file."""
        return self._session.journal.ledger

    @property
    def best(self) -> TrialRecord | None:
        """The best ended trial of those that break no limit; None before any."""
        return self.evidence().best

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What results must keep to."""
        return self._session.limits or self._given.limits

    @property
    def tally(self) -> Tally:
        """Running totals: trials by source, fallbacks, calls, tokens, cost (`summary.Tally`)."""
        return self._session.journal.tally

    def finish(self) -> str:
        """Write the summary to the ledger (once), without a callback to the log, and return it."""
        if not self._summarised:
            self._summarised = True
            finish(self._session, quiet=self.attended)
        return self.summary()

    def write_lessons(self, path: str | os.PathLike[str]) -> None:
        """Write what this search learnt to ``path``, for people and for ``lessons=`` of the next.

        A Markdown file of at most about 6,000 characters; one that is there is replaced. Raises
        `LessonsError` before any trial has ended.
        """
        write_lessons_file(path, lessons_text(self.evidence()))

    def summary(self) -> str:
        """The search so far in plain words."""
        return summary_of(self._session)

    def _repr_html_(self) -> str:
        return as_html(self.summary())
