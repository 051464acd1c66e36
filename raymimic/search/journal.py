"""Writes a search's events: each goes to the ledger and into the running tally."""

from __future__ import annotations

from typing import Any

from raymimic.advisor import Lessons, TrialRecord, lessons_note
from raymimic.ledger import Later, Ledger
from raymimic.llm import call_fields
from raymimic.records import Call
from raymimic.search.state import Queued, SearchState
from raymimic.space import SearchSpace
from raymimic.summary import Tally


class Journal:
    """The one place that gives events their fields (`raymimic.ledger` lists the events)."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.tally = Tally()

    def note(self, event: str, **fields: Any) -> None:
        """Write one event and count it."""
        self.tally.add(event, self.ledger.append(event, **fields))

    def lessons(self, state: SearchState, lessons: Lessons) -> str:
        """Lessons of an earlier search were given; returns in words whether they fit."""
        note = lessons_note(lessons, state.space, state.metric, state.mode)
        self.note("lessons", name=lessons.name, note=note, text=lessons.text)
        return note

    def call(self, call: Call) -> None:
        """A call to a language model, paid or failed, with its transcript."""
        self.note("call", **call_fields(call))

    def proposal(self, space: SearchSpace, queued: Queued) -> None:
        """A checked configuration entered the queue."""
        proposal = queued.proposal
        self.note(
            "proposal",
            id=queued.id,
            source=proposal.source,
            config=space.show(proposal.config),
            rationale=proposal.rationale,
            expected=proposal.expected,
            repairs=proposal.repairs,
            made_from=queued.made_from,
        )

    def drop(self, reason: str, text: str, proposal: int | None = None) -> None:
        """A configuration was thrown away; ``reason`` is one word for counting."""
        known = {} if proposal is None else {"proposal": proposal}
        self.note("drop", reason=reason, text=text, **known)

    def start(self, trial_id: str, queued: Queued) -> None:
        """A trial began."""
        self.note("start", trial_id=trial_id, proposal=queued.id)

    def outcome(self, record: TrialRecord) -> None:
        """A trial ended."""
        self.note(
            "outcome",
            trial_id=record.trial_id,
            status=record.status,
            score=record.score,
            seconds=round(record.seconds, 3),
            diagnosis=record.diagnosis.text if record.diagnosis else "",
            error=record.error,
            stopped=record.stopped,
            curve=None if record.curve is None else Later(record.curve.to_json),
        )

    def unfinished(self, record: TrialRecord) -> None:
        """The run ended while a trial was under way."""
        curve = record.curve.to_json() if record.curve is not None else None
        self.note("unfinished", trial_id=record.trial_id, curve=curve)

    def evaluated(self, space: SearchSpace, record: TrialRecord) -> None:
        """A trial from elsewhere was added as evidence."""
        self.note(
            "evaluated",
            trial_id=record.trial_id,
            status=record.status,
            score=record.score,
            config=space.show(record.config),
            rationale=record.rationale,
            stopped=record.stopped,
            curve=None if record.curve is None else Later(record.curve.to_json),
        )
