"""Judgements on running trials: which trials are brought to the judge, and what its word does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from raymimic.advisor import Judge, Judgement
from raymimic.curves import Diagnosis
from raymimic.scheduling.cases import Search, borderline, leads
from raymimic.scheduling.exploit import Cloning
from raymimic.scheduling.hearing import Answer
from raymimic.scheduling.redirects import Redirects, moves_of
from raymimic.scheduling.running import Docket, Running
from raymimic.scheduling.verdict import Verdict, judged, remarked
from raymimic.tune.live import LiveKnobs

_TROUBLES = ("overfitting", "oscillating", "plateau", "diverged")
_AGAIN = 10  # a trial is brought again after this part of a full training


class Judging:
    """Brings trials in doubt to the judge and carries out what it says; blocks nobody.

    *Borderline* is a trial that the rules let go on although its place alone would have ended it,
    or although its forecast chance to become the best is below 3%. Only such a trial may be
    stopped, only once a training has finished, and never one that leads: that is the best of all
    at its epoch, or has reported the best value of all. With live knobs a trial *in trouble*
    (diagnosed as overfitting, oscillating, diverging or on a plateau) is brought, too: it may be
    redirected.

    A trial is brought at most every tenth of a training. As long after a redirect the rules do not
    stop the trial for a poor place or overfitting: what the redirect does is to be seen. An answer
    acts at the trial's next result. It is stale if the trial has ended or started again, outdated
    if the trial is in doubt no more.

    With ``population`` a trial that the rules would stop as hopeless or diverged, and that a better
    one's checkpoint could help, is brought with that leader (`Cloning`). A clone is measured as a
    redirect is.
    """

    def __init__(
        self,
        judge: Judge,
        live: LiveKnobs | None,
        instruction: str,
        *,
        population: bool = False,
    ) -> None:
        self.redirects = Redirects(live) if live is not None else None
        self._docket = Docket(judge, self.redirects, instruction, population=population)
        self._cloning: Cloning | None = None
        if population and self.redirects is not None:
            self._cloning = Cloning(self._docket, self.redirects)
        self._best: tuple[float, str] = (math.inf, "")

    # -- what the scheduler tells --------------------------------------------------------------

    def open(self) -> None:
        """A first trial comes: the board that it will look for must be there."""
        if self.redirects is not None:
            self.redirects.open()

    def consider(
        self,
        search: Search,
        controller: Any,
        trial: Any,
        result: Mapping[str, Any],
        epoch: int,
        value: float,
        verdict: Verdict,
        found: Diagnosis | None,
    ) -> Verdict:
        """Take in the result of a trial that goes on or may be cloned; returns the final verdict.

        ``found`` is given where a diagnosis was made of this very result.
        """
        trial_id = trial.trial_id
        running = self._docket.running.setdefault(trial_id, Running())
        running.epoch, running.value = epoch, value
        cost = value if search.goal[1] == "min" else -value
        if cost < self._best[0]:
            self._best = (cost, trial_id)
        if verdict.reading is not None and verdict.reading.epoch == epoch:
            running.reading = verdict.reading
        lost = self._hear_knobs(search, trial_id, running, result)
        self._docket.collect(search)
        if self._cloning is not None:
            told = self._cloning.consider(search, controller, trial, verdict, lost=lost)
            if told is not None:
                return told
        if self._in_doubt(running, found) and self._due(search, trial_id, running):
            may_stop = self._may_stop(trial_id, running)
            doubt = self._docket.doubt(search, trial, may_stop=may_stop, found=found)
            if doubt.may_stop or doubt.knobs:  # otherwise no answer could change anything
                self._docket.hearing.bring(doubt)
        answer = self._docket.ask(search, trial_id)
        return verdict if answer is None else self._apply(search, answer, verdict, running)

    def spares(self, trial_id: str, verdict: Verdict) -> bool:
        """Whether a redirect's or a clone's effect is to be seen before the rules' stop.

        A NaN is no effect of a redirect; a clone may have been sent for it, and not be there yet.
        """
        redirects = self.redirects
        if redirects is None or not redirects.acts(trial_id):
            return False
        spared = verdict.kind in ("hopeless", "overfitting")
        return spared or (verdict.kind == "diverged" and redirects.clones(trial_id))

    def clones(self, verdict: Verdict) -> bool:
        """Whether a trial with this verdict may be cloned instead of stopped."""
        return self._cloning is not None and verdict.kind in ("hopeless", "diverged")

    def arrives(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether this result is the first that a trial reports with another's weights."""
        return self.redirects is not None and self.redirects.arrives(trial_id, result)

    def moved(self, trial_id: str) -> int:
        """The first epoch with the weights that a trial has now, 0 if they always were its own."""
        return self.redirects.moved(trial_id) if self.redirects is not None else 0

    def finished(self, trial_id: str, final: float) -> None:
        """A full training ended at ``final``."""
        if math.isfinite(final):
            self._docket.finals[trial_id] = final

    def ended(self, search: Search, trial_id: str) -> None:
        """A trial ended, or failed and may come again: answers on it are stale."""
        self._docket.end(search, trial_id)
        if self._cloning is not None:
            self._cloning.end(trial_id)
        if self.redirects is not None:
            self.redirects.end(search, trial_id)

    def text(self) -> str:
        """What came of it so far, in words; empty if nothing did."""
        hearing, parts = self._docket.hearing, []
        counts = self._docket.counts + Counter({"rejected": hearing.rejected})
        if counts:
            kinds = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
            parts.append(f"{hearing.judge.name} judged: {kinds}")
        if self.redirects is not None and self.redirects.verdicts:
            came = ", ".join(f"{n} {kind}" for kind, n in self.redirects.verdicts.most_common())
            what = "redirects" if self._cloning is None else "redirects and clones"
            parts.append(f"{what}: {came}")
        if hearing.failures:
            why = ", ".join(f"{kind} {n}" for kind, n in hearing.failures.most_common())
            then = "asked no more" if hearing.gave_up else "then the rules decided alone"
            parts.append(f"the judge failed {hearing.failures.total()} times ({why}), {then}")
        return "; ".join(parts)

    # -- doubts --------------------------------------------------------------------------------

    def _in_doubt(self, running: Running, found: Diagnosis | None) -> bool:
        reading = running.reading
        fresh = reading is not None and reading.epoch == running.epoch
        if fresh and reading is not None and borderline(reading):
            return True
        troubled = found is not None and any(kind in found for kind in _TROUBLES)
        return troubled and self.redirects is not None

    def _due(self, search: Search, trial_id: str, running: Running) -> bool:
        if trial_id in self._docket.answers or self._docket.hearing.about(trial_id):
            return False
        pause = max(2, (search.length or running.epoch) // _AGAIN)
        return running.asked is None or running.epoch - running.asked >= pause

    def _may_stop(self, trial_id: str, running: Running) -> bool:
        reading = running.reading
        if reading is None or not self._docket.finals or not borderline(reading):
            return False
        if self.redirects is not None and self.redirects.clones(trial_id):
            return False  # what its new weights are good for is to be seen
        return not leads(reading) and self._best[1] != trial_id

    # -- answers -------------------------------------------------------------------------------

    def _apply(self, search: Search, answer: Answer, verdict: Verdict, running: Running) -> Verdict:
        judgement, age = answer.judgement, running.epoch - answer.asked
        who, mode, reading = answer.who, search.goal[1], running.reading
        if age < (1 if self._docket.hearing.judge.remote else 0):  # it started again
            self._docket.note(search, answer, "stale", running.epoch)
            return verdict
        if judgement.action == "stop":
            if reading is None or not self._may_stop(judgement.trial_id, running):
                self._docket.note(search, answer, "outdated", running.epoch)
                return verdict
            self._docket.note(search, answer, "applied", running.epoch)
            return judged(judgement, reading, mode, running.epoch, age, who)
        done = ""
        if judgement.action in ("redirect", "clone"):  # nothing waits for a clone any more
            turns = judgement.action == "redirect"
            done = self._redirected(search, judgement, running, age) if turns else ""
            if not done:
                self._docket.note(search, answer, "outdated", running.epoch)
                return verdict
        self._docket.note(search, answer, "applied", running.epoch)
        return remarked(verdict, judgement, age, who, done)

    def _redirected(self, search: Search, judgement: Judgement, running: Running, age: int) -> str:
        """Push new values; returns in words what was turned, empty if nothing can be now."""
        if self.redirects is None:
            return ""
        past = self.redirects.turn(
            search, judgement, age, running.epoch, running.value, running.knobs, running.reading
        )
        return f"redirected {moves_of(past)}" if past is not None else ""

    def _hear_knobs(
        self, search: Search, trial_id: str, running: Running, result: Mapping[str, Any]
    ) -> bool:
        """Take the knob values that a trial reports; they tell when a redirect has arrived.

        Returns whether the trial found the checkpoint of a clone gone.
        """
        if self.redirects is None:
            return False
        running.knobs = self.redirects.live.values_in(result)
        return self.redirects.hear(search, trial_id, running.epoch, running.value, result)
