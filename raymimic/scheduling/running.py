"""The docket: running trials as they stand, the questions on them, and the answers that wait."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from raymimic import events
from raymimic.advisor import Judge, Leader
from raymimic.curves import Diagnosis
from raymimic.scheduling.cases import Doubt, Search, evidence_of
from raymimic.scheduling.hearing import Answer, Hearing
from raymimic.scheduling.rank_rule import Reading
from raymimic.scheduling.redirects import Redirects
from raymimic.scheduling.verdict import numbers


@dataclass
class Running:
    """One running trial: its latest result and reading, when it was last asked about."""

    epoch: int = 0
    value: float = math.nan
    knobs: Mapping[str, float] = field(default_factory=dict)
    reading: Reading | None = None
    asked: int | None = None


class Docket:
    """What `Judging` and `Cloning` share; ``counts`` says what came of the judgements.

    ``pressing`` are the trials on which even a rule's "continue" decides something.
    """

    def __init__(
        self, judge: Judge, redirects: Redirects | None, instruction: str, *, population: bool
    ) -> None:
        self.hearing = Hearing(judge)
        self.redirects = redirects
        self.counts: Counter[str] = Counter()
        self.running: dict[str, Running] = {}
        self.answers: dict[str, Answer] = {}
        self.finals: dict[str, float] = {}
        self.pressing: Container[str] = ()
        self._instruction, self._population = instruction, population

    def doubt(
        self,
        search: Search,
        trial: Any,
        *,
        may_stop: bool,
        found: Diagnosis | None = None,
        leader: Leader | None = None,
    ) -> Doubt:
        """A running trial as it is put to the judge."""
        trial_id, redirects = trial.trial_id, self.redirects
        running = self.running[trial_id]
        reading = running.reading
        return Doubt(
            trial_id=trial_id,
            epoch=running.epoch,
            standing=numbers(reading, search.goal[1]) if reading is not None else "",
            may_stop=may_stop,
            found=found,
            config=search.config(trial),
            knobs=redirects.knobs(trial_id, running.knobs) if redirects is not None else (),
            redirects=redirects.past(trial_id) if redirects is not None else (),
            leader=leader,
            since=redirects.moved(trial_id) if redirects is not None else 0,
        )

    def evidence(self, search: Search, doubts: Sequence[Doubt]) -> Any:
        """Take what is known now; the function returned makes evidence of it."""
        live = tuple(self.redirects.live.declared) if self.redirects is not None else ()
        finals = list(self.finals.values())
        return evidence_of(search, doubts, finals, live, self._instruction, self._population)

    def ask(self, search: Search, trial_id: str) -> Answer | None:
        """Ask about those who wait, if nobody is asked now; returns the answer on this trial."""
        for one in self.hearing.ask(partial(self.evidence, search)):
            if one.trial_id in self.running:
                self.running[one.trial_id].asked = one.epoch
        self.collect(search)  # a judge by rule has answered
        return self.answers.pop(trial_id, None)

    def collect(self, search: Search) -> None:
        """Take in what has been answered."""
        for answer in self.hearing.answers(search):
            trial_id = answer.judgement.trial_id
            idle = not self.hearing.judge.remote and answer.judgement.action == "continue"
            if idle and trial_id not in self.pressing:
                continue  # a rule that does nothing is no news
            if trial_id in self.running:
                self.answers[trial_id] = answer
            else:
                self.note(search, answer, "stale", None)

    def end(self, search: Search, trial_id: str) -> None:
        """A trial ended, or failed and may come again: answers on it are stale."""
        self.running.pop(trial_id, None)
        self.hearing.drop(trial_id)
        answer = self.answers.pop(trial_id, None)
        if answer is not None:
            self.note(search, answer, "stale", None)

    def note(self, search: Search, answer: Answer, outcome: str, epoch: int | None) -> None:
        """Count a judgement and write what came of it to the ledger."""
        judgement = answer.judgement
        self.counts[judgement.action if outcome == "applied" else outcome] += 1
        events.judgement(
            search.note,
            trial_id=judgement.trial_id,
            action=judgement.action,
            reason=judgement.reason,
            knobs=judgement.knobs,
            outcome=outcome,
            epoch=epoch,
            asked_epoch=answer.asked,
            **answer.about,
        )
