"""Asks who steers: at once where the answer takes milliseconds, in the background otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from raymimic.advisor import Adjuster, AdjustmentAdvice, RunEvidence, ask_adjust
from raymimic.errors import AdvisorError
from raymimic.inquiry import Inquiry

_GRACE_S = 5.0  # beyond the timeout, at which a language model's call ends by itself


@dataclass(frozen=True)
class Outcome:
    """What came of a question that was asked after ``epoch`` epochs."""

    epoch: int
    advice: AdjustmentAdvice | AdvisorError


class AdjusterInquiry(Inquiry[AdjustmentAdvice]):
    """Asks an adjuster, one question at a time, a failing one with growing pauses.

    A remote one is never waited for unless ``waits``; a local one answers in the caller's thread
    and has no pauses. After a failure that asking again cannot help nothing is asked any more.
    """

    def __init__(self, adjuster: Adjuster, *, waits: bool, timeout: float) -> None:
        super().__init__(timeout, setting="Modulator(timeout=...)")
        self.adjuster, self.waits = adjuster, waits
        self._asked_epoch = 0

    def ask(self, evidence: RunEvidence) -> Outcome | None:
        """Ask if one may, and give the answer if it is there; None while it is on its way."""
        if not self.may_ask():
            return None
        self._asked_epoch = evidence.epoch
        if not self.adjuster.remote:
            return Outcome(evidence.epoch, self._at_once(evidence))
        self.submit(partial(ask_adjust, self.adjuster, evidence))
        if self.waits:
            self.wait(self.timeout + _GRACE_S)
        return self.outcome()

    def outcome(self) -> Outcome | None:
        """Give what came of the question under way, None while nothing did."""
        advice = self.collect()
        return None if advice is None else Outcome(self._asked_epoch, advice)

    def _at_once(self, evidence: RunEvidence) -> AdjustmentAdvice | AdvisorError:
        try:
            advice = ask_adjust(self.adjuster, evidence)
        except AdvisorError as error:
            self.failures += 1
            self.last_failure = error
            return error
        self.failures, self.last_failure, self.answered = 0, None, True
        return advice
