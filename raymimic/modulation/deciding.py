"""Decides what comes of an epoch's end: back, or on, with advice or without."""

from __future__ import annotations

import logging
from typing import Any

from raymimic import events
from raymimic.errors import AdvisorError
from raymimic.modulation.asking import AdjusterInquiry, Outcome
from raymimic.modulation.decision import Decision
from raymimic.modulation.harmless import Harmless
from raymimic.modulation.record import Record
from raymimic.modulation.seeing import evidence_of
from raymimic.modulation.steering import Steering

logger = logging.getLogger(__name__)


class Deciding:
    """Reads a training's record and asks who steers; changes nothing but the count of failures.

    ``plan`` are the fields of the evidence that the user has set.
    """

    def __init__(
        self,
        inquiry: AdjusterInquiry,
        record: Record,
        steering: Steering,
        harmless: Harmless,
        note: events.Write,
        **plan: Any,
    ) -> None:
        self.inquiry = inquiry
        self._record, self._steering = record, steering
        self._harmless, self._note, self._plan = harmless, note, plan

    def at_start(self) -> Decision:
        """Before the first step; nobody is asked whose answer comes in the background."""
        if not self.inquiry.waits and self.inquiry.adjuster.remote:
            return Decision()
        return self._read(self._ask())

    def at_epoch_end(self, broken: str, harmful: bool) -> Decision:
        """``broken``: what broke in the epoch; ``harmful``: whether the adjustment did harm."""
        record = self._record
        if record.awaited:
            return Decision(wait=True)
        answer = self.inquiry.outcome()
        if (broken or harmful) and self._steering.snapshot.finite:
            if answer is not None:
                self._read(answer)  # its calls were paid and its failure counts all the same
                events.drop(self._note, reason="stale", text="the run was put back")
            why = broken or f"{record.metric} got worse beyond its noise under an adjustment"
            return Decision(undo=why, calm=bool(broken) and not harmful)
        if broken:
            self._harmless.say(
                "no way back",
                "raymimic: %s, and they were not finite at the start either: nothing to go back to",
                broken,
            )
        total = self._plan["epochs_total"]
        over = total is not None and record.epoch >= total
        may_ask = record.reported and record.epoch >= record.quiet_until and not over
        if answer is None and may_ask:
            answer = self._ask()
        return self._read(answer)

    def _ask(self) -> Outcome | None:
        return self.inquiry.ask(evidence_of(self._record, self._steering, **self._plan))

    def _read(self, answer: Outcome | None) -> Decision:
        if answer is None:
            return Decision()
        advice = answer.advice
        for call in advice.calls:
            events.call(self._note, call)
        if isinstance(advice, AdvisorError):
            self._failed(advice)
            return Decision()
        if answer.epoch < self._record.undone_at or self._record.epoch < self._record.quiet_until:
            events.drop(self._note, reason="stale", text="asked before the run was put back")
            return Decision()
        return Decision(
            adjustment=advice.adjustment, asked_epoch=answer.epoch, dropped=tuple(advice.drops)
        )

    def _failed(self, failure: AdvisorError) -> None:
        self._record.failures += 1
        events.fallback(self._note, reason=failure.reason, text=str(failure), source="none")
        if self._record.failures == 1 or failure.permanent:
            end = "Asking no more; training" if failure.permanent else "Training"
            logger.warning("raymimic: the advisor failed (%s). %s goes on unchanged.", failure, end)
