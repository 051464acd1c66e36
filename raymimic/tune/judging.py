"""Judgements on running trials: which trials are brought to the judge, and what its word does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from raymimic.advisor import Judge, Judgement
from raymimic.curves import Diagnosis
from raymimic.tune.doubts import Doubt, Search, borderline, evidence_of, leads
from raymimic.tune.hearing import Answer, Hearing
from raymimic.tune.live import LiveKnobs
from raymimic.tune.redirects import Redirects
from raymimic.tune.stopping import Reading
from raymimic.tune.verdicts import Verdict, judged, numbers, remarked

_TROUBLES = ("overfitting", "oscillating", "plateau", "diverged")
_AGAIN = 10  # a trial is brought again after this part of a full training
_OLD = 4  # a redirect that comes later than this part of a full training is for another curve


@dataclass
class _Running:
    """One running trial: its latest result and reading, when it was last asked about."""

    epoch: int = 0
    value: float = math.nan
    knobs: Mapping[str, float] = field(default_factory=dict)
    reading: Reading | None = None
    asked: int | None = None


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
    """

    def __init__(self, judge: Judge, live: LiveKnobs | None, instruction: str) -> None:
        self.redirects = Redirects(live) if live is not None else None
        self.counts: Counter[str] = Counter()
        self._hearing = Hearing(judge)
        self._instruction = instruction
        self._running: dict[str, _Running] = {}
        self._answers: dict[str, Answer] = {}
        self._finals: dict[str, float] = {}
        self._best: tuple[float, str] = (math.inf, "")

    # -- what the scheduler tells --------------------------------------------------------------

    def open(self) -> None:
        """A first trial comes: the board that it will look for must be there."""
        if self.redirects is not None:
            self.redirects.open()

    def consider(
        self,
        search: Search,
        trial: Any,
        result: Mapping[str, Any],
        epoch: int,
        value: float,
        verdict: Verdict,
        found: Diagnosis | None,
    ) -> Verdict:
        """Take in the result of a trial that the rules let go on; returns the final verdict.

        ``found`` is given where a diagnosis was made of this very result.
        """
        trial_id = trial.trial_id
        running = self._running.setdefault(trial_id, _Running())
        running.epoch, running.value = epoch, value
        cost = value if search.goal[1] == "min" else -value
        if cost < self._best[0]:
            self._best = (cost, trial_id)
        if verdict.reading is not None and verdict.reading.epoch == epoch:
            running.reading = verdict.reading
        self._hear_knobs(search, trial_id, running, result)
        self._collect(search)
        if self._in_doubt(running, found) and self._due(search, trial_id, running):
            doubt = self._doubt(search, trial, running, found)
            if doubt.may_stop or doubt.knobs:  # otherwise no answer could change anything
                self._hearing.bring(doubt)
        for one in self._hearing.ask(partial(self._evidence, search)):
            self._running[one.trial_id].asked = one.epoch
        self._collect(search)  # a judge by rule has answered
        answer = self._answers.pop(trial_id, None)
        return verdict if answer is None else self._apply(search, answer, verdict, running)

    def spares(self, trial_id: str, verdict: Verdict) -> bool:
        """Whether a redirect's effect is to be seen before the rules' stop; a NaN is no effect."""
        acting = self.redirects is not None and self.redirects.acts(trial_id)
        return acting and verdict.kind in ("hopeless", "overfitting")

    def finished(self, trial_id: str, final: float) -> None:
        """A full training ended at ``final``."""
        if math.isfinite(final):
            self._finals[trial_id] = final

    def ended(self, search: Search, trial_id: str) -> None:
        """A trial ended, or failed and may come again: answers on it are stale."""
        self._running.pop(trial_id, None)
        self._hearing.drop(trial_id)
        answer = self._answers.pop(trial_id, None)
        if answer is not None:
            self._note(search, answer, "stale", None)
        if self.redirects is not None:
            self.redirects.end(search, trial_id)

    def text(self) -> str:
        """What came of it so far, in words; empty if nothing did."""
        hearing, parts = self._hearing, []
        counts = self.counts + Counter({"rejected": hearing.rejected})
        if counts:
            kinds = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
            parts.append(f"{hearing.judge.name} judged: {kinds}")
        if self.redirects is not None and self.redirects.verdicts:
            came = ", ".join(f"{n} {kind}" for kind, n in self.redirects.verdicts.most_common())
            parts.append(f"redirects: {came}")
        if hearing.failures:
            why = ", ".join(f"{kind} {n}" for kind, n in hearing.failures.most_common())
            then = "asked no more" if hearing.gave_up else "then the rules decided alone"
            parts.append(f"the judge failed {hearing.failures.total()} times ({why}), {then}")
        return "; ".join(parts)

    # -- doubts --------------------------------------------------------------------------------

    def _in_doubt(self, running: _Running, found: Diagnosis | None) -> bool:
        reading = running.reading
        fresh = reading is not None and reading.epoch == running.epoch
        if fresh and reading is not None and borderline(reading):
            return True
        troubled = found is not None and any(kind in found for kind in _TROUBLES)
        return troubled and self.redirects is not None

    def _due(self, search: Search, trial_id: str, running: _Running) -> bool:
        if trial_id in self._answers or self._hearing.about(trial_id):
            return False
        pause = max(2, (search.length or running.epoch) // _AGAIN)
        return running.asked is None or running.epoch - running.asked >= pause

    def _may_stop(self, trial_id: str, running: _Running) -> bool:
        reading = running.reading
        if reading is None or not self._finals or not borderline(reading):
            return False
        return not leads(reading) and self._best[1] != trial_id

    def _doubt(
        self, search: Search, trial: Any, running: _Running, found: Diagnosis | None
    ) -> Doubt:
        trial_id, redirects, reading = trial.trial_id, self.redirects, running.reading
        return Doubt(
            trial_id=trial_id,
            epoch=running.epoch,
            standing=numbers(reading, search.goal[1]) if reading is not None else "",
            may_stop=self._may_stop(trial_id, running),
            found=found,
            config=search.config(trial),
            knobs=redirects.knobs(trial_id, running.knobs) if redirects is not None else (),
            redirects=redirects.past(trial_id) if redirects is not None else (),
        )

    def _evidence(self, search: Search, doubts: Sequence[Doubt]) -> Any:
        live = tuple(self.redirects.live.declared) if self.redirects is not None else ()
        return evidence_of(search, doubts, list(self._finals.values()), live, self._instruction)

    # -- answers -------------------------------------------------------------------------------

    def _collect(self, search: Search) -> None:
        for answer in self._hearing.answers(search):
            trial_id = answer.judgement.trial_id
            if not self._hearing.judge.remote and answer.judgement.action == "continue":
                continue  # a rule that does nothing is no news
            if trial_id in self._running:
                self._answers[trial_id] = answer
            else:
                self._note(search, answer, "stale", None)

    def _apply(
        self, search: Search, answer: Answer, verdict: Verdict, running: _Running
    ) -> Verdict:
        judgement, age = answer.judgement, running.epoch - answer.asked
        who, mode, reading = str(answer.about["model"]), search.goal[1], running.reading
        if age < (1 if self._hearing.judge.remote else 0):  # it started again
            self._note(search, answer, "stale", running.epoch)
            return verdict
        if judgement.action == "stop":
            if reading is None or not self._may_stop(judgement.trial_id, running):
                self._note(search, answer, "outdated", running.epoch)
                return verdict
            self._note(search, answer, "applied", running.epoch)
            return judged(judgement, reading, mode, running.epoch, age, who)
        done = ""
        if judgement.action == "redirect":
            done = self._redirect(search, judgement, running, age)
            if not done:
                self._note(search, answer, "outdated", running.epoch)
                return verdict
        self._note(search, answer, "applied", running.epoch)
        return remarked(verdict, judgement, age, who, done)

    def _redirect(self, search: Search, judgement: Judgement, running: _Running, age: int) -> str:
        """Push new values; returns in words what was turned, empty if nothing can be now."""
        redirects, trial_id = self.redirects, judgement.trial_id
        if redirects is None or age > max(2, (search.length or running.epoch) // _OLD):
            return ""
        wanted = {
            state.name: min(max(float(judgement.knobs[state.name]), state.low), state.high)
            for state in redirects.knobs(trial_id, running.knobs)
            if math.isfinite(judgement.knobs.get(state.name, math.nan))
        }
        if not wanted:
            return ""
        past = redirects.push(
            search,
            replace(judgement, knobs=wanted),
            running.epoch,
            running.value,
            running.knobs,
            running.reading,
        )
        moves = (f"{name} {a:.4g} -> {b:.4g}" for name, (a, b) in past.changed.items())
        return f"redirected {', '.join(moves)}"

    def _hear_knobs(
        self, search: Search, trial_id: str, running: _Running, result: Mapping[str, Any]
    ) -> None:
        """Take the knob values that a trial reports; they tell when a redirect has arrived."""
        if self.redirects is not None:
            running.knobs = self.redirects.live.values_in(result)
            self.redirects.hear(search, trial_id, running.epoch, running.value, running.knobs)

    def _note(self, search: Search, answer: Answer, outcome: str, epoch: int | None) -> None:
        judgement = answer.judgement
        self.counts[judgement.action if outcome == "applied" else outcome] += 1
        search.note(
            "judgement",
            trial_id=judgement.trial_id,
            action=judgement.action,
            reason=judgement.reason,
            knobs=judgement.knobs,
            outcome=outcome,
            epoch=epoch,
            asked_epoch=answer.asked,
            age=None if epoch is None else epoch - answer.asked,
            **answer.about,
        )
