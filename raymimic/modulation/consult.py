"""Asks the advisor: at once where it answers in milliseconds, in the background otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from raymimic.advisor import Adjuster, AdjustmentAdvice, RunEvidence
from raymimic.errors import AdvisorError
from raymimic.foreign import without_secrets
from raymimic.inquiry import Background

_PATIENCE_S = 5.0  # beyond its own timeout, before an advisor's thread is given up


@dataclass(frozen=True)
class Answer:
    """What came of a question that was asked after ``epoch`` epochs."""

    epoch: int
    outcome: AdjustmentAdvice | AdvisorError


class Consultation:
    """One question at a time. A remote advisor is never waited for unless ``wait``.

    ``timeout`` in seconds. A live handle: a question on its way is not saved.
    """

    def __init__(self, adjuster: Adjuster, *, wait: bool, timeout: float) -> None:
        self.adjuster, self.wait, self.timeout = adjuster, wait, timeout
        self._background: Background[AdjustmentAdvice | AdvisorError] = Background()
        self._asked_epoch = 0
        self._closed = False

    def ask(self, evidence: RunEvidence) -> Answer | None:
        """Ask and give the answer if it is there; None while it is on its way.

        Nothing is asked while a question is under way or after a failure that asking again cannot
        help.
        """
        if self._closed or self._background.busy:
            return None
        self._asked_epoch = evidence.epoch
        if not self.adjuster.remote:
            return self._settled(_ask(self.adjuster, evidence))
        self._background.submit(partial(_ask, self.adjuster, evidence))
        if self.wait:
            self._background.wait(self.timeout + _PATIENCE_S)
        return self.collect()

    def collect(self) -> Answer | None:
        """Give the answer to the question under way, or None while there is none."""
        ended = self._background.take()
        if ended is not None:
            return self._settled(ended.result())
        if self._background.age > self.timeout + _PATIENCE_S:
            self._background.abandon()
            text = f"no answer within {self.timeout:g} s; give the modulator a longer timeout"
            return self._settled(AdvisorError(text, reason="timeout"))
        return None

    def _settled(self, outcome: AdjustmentAdvice | AdvisorError) -> Answer:
        self._closed = isinstance(outcome, AdvisorError) and outcome.permanent
        return Answer(self._asked_epoch, outcome)


def _ask(adjuster: Adjuster, evidence: RunEvidence) -> AdjustmentAdvice | AdvisorError:
    try:
        return adjuster.adjust(evidence)
    except AdvisorError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the user's own advisor must not stop a training
        return AdvisorError(without_secrets(f"{type(error).__name__}: {error}"), reason="crash")
