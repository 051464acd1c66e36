"""The judge is heard: doubts are collected, asked about in one question at a time, and answered.

Nothing here waits for an answer. Where the judge fails, the scheduler's rules decide alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raymimic import events
from raymimic.advisor import MOST_CASES, Judge, JudgeAdvice, JudgeEvidence, Judgement, ask_judge
from raymimic.errors import AdvisorError
from raymimic.inquiry import Inquiry
from raymimic.scheduling.cases import Doubt, Search

logger = logging.getLogger(__name__)

_TIMEOUT_S = 60.0
_AT_ONCE_S = 0.1  # longest wait for a judge by rule; a fraction of a millisecond is usual


@dataclass(frozen=True)
class Answer:
    """A judgement on a trial as it stood after ``asked`` epochs; ``about`` says what it cost."""

    judgement: Judgement
    asked: int
    about: Mapping[str, Any]

    @property
    def who(self) -> str:
        """Who judged, as the user reads it."""
        return str(self.about["model"])


class Hearing:
    """One question at a time about at most `MOST_CASES` trials; pickles without it."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.failures: Counter[str] = Counter()
        self.rejected = 0
        self._inquiry: Inquiry[JudgeAdvice] = Inquiry(getattr(judge, "timeout", _TIMEOUT_S))
        self._waiting: dict[str, Doubt] = {}
        self._under_way: dict[str, Doubt] = {}
        self._said = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_under_way": {}}

    @property
    def gave_up(self) -> bool:
        """Whether the judge said that asking again cannot help."""
        return self._inquiry.gave_up

    def about(self, trial_id: str) -> bool:
        """Whether an answer on this trial is on its way."""
        return trial_id in self._under_way

    def bring(self, doubt: Doubt) -> None:
        """A trial is in doubt; its newest state replaces an older one."""
        self._waiting[doubt.trial_id] = doubt

    def drop(self, trial_id: str) -> None:
        """A trial ended: nobody needs to be asked about it."""
        self._waiting.pop(trial_id, None)

    def ask(
        self, build: Callable[[Sequence[Doubt]], Callable[[], JudgeEvidence]]
    ) -> Sequence[Doubt]:
        """Ask about the doubts that wait longest, if nothing is under way; returns them."""
        if not self._waiting or not self._inquiry.may_ask():
            return ()
        doubts = [self._waiting.pop(trial_id) for trial_id in list(self._waiting)[:MOST_CASES]]
        judge, evidence = self.judge, build(doubts)
        self._under_way = {one.trial_id: one for one in doubts}
        self._inquiry.submit(lambda: ask_judge(judge, evidence()))
        if not judge.remote:
            self._inquiry.wait(_AT_ONCE_S)
        return doubts

    def answers(self, search: Search) -> list[Answer]:
        """Take in an answer, if one has come; calls, refused parts and failures are noted."""
        outcome = self._inquiry.collect()
        if outcome is None:
            return []
        asked, self._under_way = self._under_way, {}
        for call in outcome.calls:
            events.call(search.note, call)
        if isinstance(outcome, AdvisorError):
            self._failed(search, outcome, list(asked))
            return []
        if outcome.drops:
            self.rejected += len(outcome.drops)
            text = "; ".join(outcome.drops)
            events.unjudged(search.note, reason="rejected", text=text, trials=list(asked))
        about = {
            "model": outcome.calls[-1].model if outcome.calls else self.judge.name,
            "tokens": sum(call.tokens_in + call.tokens_out for call in outcome.calls),
            "cases": len(asked),
        }
        return [
            Answer(judgement, asked[judgement.trial_id].epoch, about)
            for judgement in outcome.judgements
            if judgement.trial_id in asked
        ]

    def _failed(self, search: Search, error: AdvisorError, trials: list[str]) -> None:
        self.failures[error.reason] += 1
        events.unjudged(search.note, reason=error.reason, text=str(error), trials=trials)
        if not self._said or error.permanent:
            logger.warning(
                "raymimic: the judge of running trials failed (%s). %s",
                error,
                "It is asked no more: the rules decide alone."
                if error.permanent
                else "Until it answers the rules decide alone (said once).",
            )
        self._said = True
