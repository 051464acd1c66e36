"""Questions on running trials to a judge, and what its word does; blocks nobody.

One question at a time, about at most `MOST_CASES` trials. Where the judge fails, the rules decide
alone.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from raymimic import events
from raymimic.advisor import (
    MOST_CASES,
    Case,
    Judge,
    JudgeAdvice,
    JudgeEvidence,
    Leader,
    ask_judge,
)
from raymimic.errors import AdvisorError
from raymimic.inquiry import Inquiry
from raymimic.scheduling.cases import case_of, diagnosed
from raymimic.scheduling.redirects import Redirects
from raymimic.scheduling.running import JudgedCase, Run, RunningTrial

logger = logging.getLogger(__name__)

_TIMEOUT_S = 60.0
_AT_ONCE_S = 0.1  # longest wait for a judge by rule; a fraction of a millisecond is usual


class Judging:
    """Collects the trials in doubt, asks the judge about them, and keeps count of its answers.

    ``counts`` says what came of the judgements. Pickles without the question under way.
    """

    def __init__(
        self, judge: Judge, redirects: Redirects | None, instruction: str, *, population: bool
    ) -> None:
        self.judge, self.redirects = judge, redirects
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.finals: dict[str, float] = {}
        self._instruction, self._population = instruction, population
        self._inquiry: Inquiry[JudgeAdvice] = Inquiry(getattr(judge, "timeout", _TIMEOUT_S))
        self._waiting: dict[str, Case] = {}
        self._under_way: dict[str, int] = {}  # the epoch that a trial is asked about at
        self._rejected = 0
        self._said = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_under_way": {}}

    @property
    def gave_up(self) -> bool:
        """Whether the judge said that asking again cannot help."""
        return self._inquiry.gave_up

    def is_asked(self, trial: RunningTrial) -> bool:
        """Whether an answer on this trial is on its way, or waits for its next result."""
        return trial.judged is not None or trial.trial_id in self._under_way

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the answer that is on its way."""
        self._inquiry.wait(seconds)

    # -- questions -----------------------------------------------------------------------------

    def bring(
        self, run: Run, trial: RunningTrial, *, may_stop: bool, leader: Leader | None = None
    ) -> Case | None:
        """Put a trial as it stands before the judge; None if no answer could change anything."""
        knobs = self.redirects.to_turn(run, trial) if self.redirects is not None else ()
        if not may_stop and not knobs:
            return None
        case = case_of(run, trial, knobs, may_stop=may_stop, leader=leader)
        self._waiting[trial.trial_id] = case
        return case

    def drop(self, trial_id: str) -> None:
        """Nobody needs to be asked about this trial any more."""
        self._waiting.pop(trial_id, None)

    def ask(self, run: Run, trial: RunningTrial) -> JudgedCase | None:
        """Ask about those who wait longest, if nobody is asked now; the answer on this trial."""
        new: dict[str, int] = {}
        if self._waiting and self._inquiry.may_ask():
            cases = [self._waiting.pop(name) for name in list(self._waiting)[:MOST_CASES]]
            new = self._under_way = {case.trial_id: case.epoch for case in cases}
            judge, evidence = self.judge, self.evidence(run, cases)
            self._inquiry.submit(lambda: ask_judge(judge, evidence()))
            if not self.judge.remote:
                self._inquiry.wait(_AT_ONCE_S)
            for case in cases:
                asked = run.trials.get(case.trial_id)
                if asked is not None and asked.running:
                    asked.asked = case.epoch
        self.collect(run)  # a judge by rule has answered
        judged = trial.judged
        if judged is not None and self.judge.remote and judged.asked == new.get(trial.trial_id):
            return None  # so quick an answer acts at the trial's next result, as any other
        trial.judged = None
        return judged

    def evidence(self, run: Run, cases: Sequence[Case]) -> Callable[[], JudgeEvidence]:
        """Take what a judge is shown; the function returned makes it, on any thread."""
        finals, length, live = list(self.finals.values()), run.length, tuple(run.knobs)
        brought = [(case, run.trials[case.trial_id].weights_since) for case in cases]
        return lambda: JudgeEvidence(
            metric=run.metric,
            mode=run.mode,
            cases=tuple(diagnosed(case, since, run.metric, run.mode) for case, since in brought),
            length=length,
            finals=tuple(sorted(finals, reverse=run.mode == "max")),
            live=live,
            instruction=self._instruction,
            population=self._population,
        )

    # -- answers -------------------------------------------------------------------------------

    def collect(self, run: Run) -> None:
        """Take in what has been answered."""
        if not self._under_way:
            return
        for judged in self._answers(run):
            judgement = judged.judgement
            trial = run.trials.get(judgement.trial_id)
            if trial is None or not trial.running:
                self.note(run, judged, "stale", None)
            elif self.judge.remote or judgement.action != "continue" or _presses(trial):
                trial.judged = judged  # else a rule that does nothing: no news

    def _answers(self, run: Run) -> list[JudgedCase]:
        outcome = self._inquiry.collect()
        if outcome is None:
            return []
        asked, self._under_way = self._under_way, {}
        for call in outcome.calls:
            events.call(run.keeper.note, call)
        if isinstance(outcome, AdvisorError):
            self._failed(run, outcome, list(asked))
            return []
        if outcome.drops:
            self._rejected += len(outcome.drops)
            text = "; ".join(outcome.drops)
            events.unjudged(run.keeper.note, reason="rejected", text=text, trials=list(asked))
        cost = {
            "model": outcome.calls[-1].model if outcome.calls else self.judge.name,
            "tokens": sum(call.tokens_in + call.tokens_out for call in outcome.calls),
            "cases": len(asked),
        }
        return [
            JudgedCase(judgement, asked[judgement.trial_id], cost)
            for judgement in outcome.judgements
            if judgement.trial_id in asked
        ]

    def _failed(self, run: Run, error: AdvisorError, trials: list[str]) -> None:
        self.failures[error.reason] += 1
        events.unjudged(run.keeper.note, reason=error.reason, text=str(error), trials=trials)
        if not self._said or error.permanent:
            logger.warning(
                "raymimic: the judge of running trials failed (%s). %s",
                error,
                "It is asked no more: the rules decide alone."
                if error.permanent
                else "Until it answers the rules decide alone (said once).",
            )
        self._said = True

    def note(self, run: Run, judged: JudgedCase, outcome: str, epoch: int | None) -> None:
        """Count a judgement and write what came of it to the ledger."""
        judgement = judged.judgement
        self.counts[judgement.action if outcome == "applied" else outcome] += 1
        events.judgement(
            run.keeper.note,
            trial_id=judgement.trial_id,
            action=judgement.action,
            reason=judgement.reason,
            knobs=judgement.knobs,
            outcome=outcome,
            epoch=epoch,
            asked_epoch=judged.asked,
            **judged.cost,
        )

    # -- the ends of trials ----------------------------------------------------------------------

    def finished(self, trial_id: str, final: float) -> None:
        """A full training ended at ``final``."""
        if math.isfinite(final):
            self.finals[trial_id] = final

    def end(self, run: Run, trial: RunningTrial) -> None:
        """A trial ended, or failed and may come again: an answer on it is stale."""
        self.drop(trial.trial_id)
        if trial.judged is not None:
            self.note(run, trial.judged, "stale", None)

    def text(self, what: str) -> str:
        """What came of it so far, in words (``what`` the effects are of); empty if nothing did."""
        parts = []
        counts = self.counts + Counter({"rejected": self._rejected})
        if counts:
            kinds = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
            parts.append(f"{self.judge.name} judged: {kinds}")
        if self.redirects is not None and self.redirects.effects:
            came = ", ".join(f"{n} {kind}" for kind, n in self.redirects.effects.most_common())
            parts.append(f"{what}: {came}")
        if self.failures:
            why = ", ".join(f"{kind} {n}" for kind, n in self.failures.most_common())
            then = "asked no more" if self.gave_up else "then the rules decided alone"
            parts.append(f"the judge failed {self.failures.total()} times ({why}), {then}")
        return "; ".join(parts)


def _presses(trial: RunningTrial) -> bool:
    """Whether even a rule's "continue" decides something: the rules would stop the trial."""
    return trial.exploit is not None and trial.exploit.judgement is None
