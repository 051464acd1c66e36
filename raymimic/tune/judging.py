"""Judgements on running trials: which trials are brought to the judge, and what its word does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from raymimic.advisor import HeuristicAdvisor, Judge, Judgement, Leader, PastRedirect
from raymimic.curves import Diagnosis
from raymimic.tune.doubts import Doubt, Search, borderline, evidence_of, leads
from raymimic.tune.hearing import Answer, Hearing
from raymimic.tune.live import LiveKnobs
from raymimic.tune.population import Plan, Population, knobs_of_clone
from raymimic.tune.redirects import Redirects
from raymimic.tune.stopping import Reading
from raymimic.tune.verdicts import (
    Verdict,
    awaited,
    cloned,
    cloning,
    going_on_redirected,
    judged,
    numbers,
    refused,
    remarked,
    saying,
)

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

    With ``population`` a trial that the rules would stop as hopeless or diverged, and that a better
    one's checkpoint could help (`Population`), is brought with that leader and goes on meanwhile.
    Without an answer in time the keyless rule clones it. A clone is measured as a redirect is.
    """

    def __init__(
        self,
        judge: Judge,
        live: LiveKnobs | None,
        instruction: str,
        *,
        population: bool = False,
    ) -> None:
        self._population = Population() if population else None
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
        running = self._running.setdefault(trial_id, _Running())
        running.epoch, running.value = epoch, value
        cost = value if search.goal[1] == "min" else -value
        if cost < self._best[0]:
            self._best = (cost, trial_id)
        if verdict.reading is not None and verdict.reading.epoch == epoch:
            running.reading = verdict.reading
        lost = self._hear_knobs(search, trial_id, running, result)
        self._collect(search)
        population = self._population
        if population is not None:
            population.hear(search, trial, epoch, value, running.knobs)
            plan = population.sent.get(trial_id) if lost else None
            if plan is not None:
                return self._send(search, controller, plan, running) or verdict
            if self._may_clone(trial_id, verdict, epoch):
                return self._cloned(search, controller, trial, running, verdict)
        if self._in_doubt(running, found) and self._due(search, trial_id, running):
            doubt = self._doubt(search, trial, running, found)
            if doubt.may_stop or doubt.knobs:  # otherwise no answer could change anything
                self._hearing.bring(doubt)
        answer = self._asked(search, trial_id)
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
        return self._population is not None and verdict.kind in ("hopeless", "diverged")

    def arrives(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether this result is the first that a trial reports with another's weights."""
        return self.redirects is not None and self.redirects.arrives(trial_id, result)

    def moved(self, trial_id: str) -> int:
        """The first epoch with the weights that a trial has now, 0 if they always were its own."""
        return self.redirects.moved(trial_id) if self.redirects is not None else 0

    def finished(self, trial_id: str, final: float) -> None:
        """A full training ended at ``final``."""
        if math.isfinite(final):
            self._finals[trial_id] = final

    def ended(self, search: Search, trial_id: str) -> None:
        """A trial ended, or failed and may come again: answers on it are stale."""
        self._running.pop(trial_id, None)
        self._hearing.drop(trial_id)
        if self._population is not None:
            self._population.end(trial_id)
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
            what = "redirects" if self._population is None else "redirects and clones"
            parts.append(f"{what}: {came}")
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
        self,
        search: Search,
        trial: Any,
        running: _Running,
        found: Diagnosis | None,
        leader: Leader | None = None,
    ) -> Doubt:
        trial_id, redirects, reading = trial.trial_id, self.redirects, running.reading
        return Doubt(
            trial_id=trial_id,
            epoch=running.epoch,
            standing=numbers(reading, search.goal[1]) if reading is not None else "",
            may_stop=leader is not None or self._may_stop(trial_id, running),
            found=found,
            config=search.config(trial),
            knobs=redirects.knobs(trial_id, running.knobs) if redirects is not None else (),
            redirects=redirects.past(trial_id) if redirects is not None else (),
            leader=leader,
            since=self.moved(trial_id),
        )

    def _evidence(self, search: Search, doubts: Sequence[Doubt]) -> Any:
        live = tuple(self.redirects.live.declared) if self.redirects is not None else ()
        finals, population = list(self._finals.values()), self._population is not None
        return evidence_of(search, doubts, finals, live, self._instruction, population)

    # -- clones --------------------------------------------------------------------------------

    def _may_clone(self, trial_id: str, verdict: Verdict, epoch: int) -> bool:
        """Whether the rules would stop it; a plan is given up when they would no more."""
        population = self._population
        if population is None or verdict.stop:
            return population is not None
        reading = verdict.reading
        if trial_id in population.plans and reading is not None and reading.epoch == epoch:
            del population.plans[trial_id]
            self._hearing.drop(trial_id)
        return trial_id in population.plans

    def _cloned(
        self, search: Search, controller: Any, trial: Any, running: _Running, verdict: Verdict
    ) -> Verdict:
        """A trial that the rules would stop: it is cloned, waits for the judge, or is stopped."""
        trial_id, hearing = trial.trial_id, self._hearing
        plan = self._plan(search, controller, trial, running, verdict)
        if plan is None:
            return verdict
        answer = self._asked(search, trial_id)
        if answer is not None and answer.asked < plan.doubt.epoch:  # it was not about this
            self._note(search, answer, "outdated", running.epoch)
            answer = None
        if answer is not None:
            return self._told(search, controller, plan, answer, running)
        population = self._population
        late = population is not None and population.late(search, plan, running.epoch)
        if not late and not hearing.gave_up:
            return awaited(plan.verdict, running.epoch, plan.leader, hearing.judge.name)
        hearing.drop(trial_id)
        self.counts["unanswered"] += 1
        text = f"asked at epoch {plan.doubt.epoch} whether it is cloned, the rule clones it"
        search.note("unjudged", reason="late", text=text, trials=[trial_id])
        rule = HeuristicAdvisor()
        (plan.judgement,) = rule.judge(self._evidence(search, [plan.doubt])()).judgements
        age = running.epoch - plan.doubt.epoch
        plan.said = saying(plan.judgement, age, rule.name)
        return self._send(search, controller, plan, running) or plan.verdict

    def _plan(
        self, search: Search, controller: Any, trial: Any, running: _Running, verdict: Verdict
    ) -> Plan | None:
        """The plan for a trial, a new one if it may be cloned now; None if it may not."""
        population, redirects, trial_id = self._population, self.redirects, trial.trial_id
        if population is None or redirects is None or trial_id in population.plans:
            return population.plans.get(trial_id) if population is not None else None
        if not redirects.knobs(trial_id, running.knobs):
            return None  # it reports none, or took nothing over before
        if not population.may(search, running.epoch, redirects.past(trial_id)):
            return None
        leader = population.leader(search, controller, trial_id)
        if leader is None:
            return None
        plan = Plan(self._doubt(search, trial, running, None, leader), leader, verdict)
        population.plans[trial_id] = plan
        self._hearing.bring(plan.doubt)
        return plan

    def _told(
        self, search: Search, controller: Any, plan: Plan, answer: Answer, running: _Running
    ) -> Verdict:
        """What the judge said of a trial that the rules would stop."""
        judgement, age, who = answer.judgement, running.epoch - answer.asked, _who(answer)
        plan.judgement, plan.said = judgement, saying(judgement, age, who)
        if self._population is not None:
            self._population.plans.pop(judgement.trial_id, None)
        going: Verdict | None = None
        if judgement.action == "clone":
            going = self._send(search, controller, plan, running)
        elif judgement.action == "redirect":
            done = self._redirect(search, judgement, running, age)
            if done:
                going = remarked(going_on_redirected(plan.verdict), judgement, age, who, done)
        else:
            self._note(search, answer, "applied", running.epoch)
            return refused(plan.verdict, judgement, running.epoch, age, who)
        self._note(search, answer, "applied" if going else "outdated", running.epoch)
        return going or plan.verdict

    def _send(
        self, search: Search, controller: Any, plan: Plan, running: _Running
    ) -> Verdict | None:
        """Send what was decided with the leader's latest checkpoint; None without any."""
        population, redirects, judgement = self._population, self.redirects, plan.judgement
        if population is None or redirects is None or judgement is None:
            return None
        trial_id = judgement.trial_id
        population.plans.pop(trial_id, None)
        origin = population.origin(controller, plan)
        if origin is None or not running.knobs:
            return None
        plan.sent += 1
        population.sent[trial_id] = plan
        past = redirects.push(
            search,
            replace(judgement, knobs=knobs_of_clone(judgement, plan)),
            running.epoch,
            running.value,
            running.knobs,
            running.reading,
            origin,
        )
        done = cloning(origin[0], search.goal[0], _moves(past))
        return cloned(plan.verdict, running.epoch, done, plan.said)

    # -- answers -------------------------------------------------------------------------------

    def _asked(self, search: Search, trial_id: str) -> Answer | None:
        """Ask about those who wait, if nobody is asked now; returns the answer on this trial."""
        for one in self._hearing.ask(partial(self._evidence, search)):
            if one.trial_id in self._running:
                self._running[one.trial_id].asked = one.epoch
        self._collect(search)  # a judge by rule has answered
        return self._answers.pop(trial_id, None)

    def _collect(self, search: Search) -> None:
        for answer in self._hearing.answers(search):
            trial_id = answer.judgement.trial_id
            planned = self._population is not None and trial_id in self._population.plans
            idle = not self._hearing.judge.remote and answer.judgement.action == "continue"
            if idle and not planned:
                continue  # a rule that does nothing is no news
            if trial_id in self._running:
                self._answers[trial_id] = answer
            else:
                self._note(search, answer, "stale", None)

    def _apply(
        self, search: Search, answer: Answer, verdict: Verdict, running: _Running
    ) -> Verdict:
        judgement, age = answer.judgement, running.epoch - answer.asked
        who, mode, reading = _who(answer), search.goal[1], running.reading
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
        if judgement.action in ("redirect", "clone"):  # nothing waits for a clone any more
            turns = judgement.action == "redirect"
            done = self._redirect(search, judgement, running, age) if turns else ""
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
        return f"redirected {_moves(past)}"

    def _hear_knobs(
        self, search: Search, trial_id: str, running: _Running, result: Mapping[str, Any]
    ) -> bool:
        """Take the knob values that a trial reports; they tell when a redirect has arrived.

        Returns whether the trial found the checkpoint of a clone gone.
        """
        if self.redirects is None:
            return False
        running.knobs = self.redirects.live.values_in(result)
        return self.redirects.hear(search, trial_id, running.epoch, running.value, result)

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


def _who(answer: Answer) -> str:
    return str(answer.about["model"])


def _moves(past: PastRedirect) -> str:
    """The knobs that were turned, in words."""
    moves = (f"{name} {a:.4g} -> {b:.4g}" for name, (a, b) in past.changed.items() if a != b)
    return ", ".join(moves)
