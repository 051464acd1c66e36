"""Cloning: a trial that the rules would stop goes on from a better one's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raymimic.advisor import HeuristicAdvisor
from raymimic.tune.docket import Docket, Running
from raymimic.tune.doubts import Search
from raymimic.tune.hearing import Answer
from raymimic.tune.population import Plan, Population
from raymimic.tune.redirects import Redirects, moves_of
from raymimic.tune.verdicts import (
    Verdict,
    awaited,
    cloned,
    cloning,
    going_on_redirected,
    refused,
    remarked,
    saying,
)


class Cloning:
    """Brings trials that would be stopped to the judge with a leader, and sends its weights.

    The trial goes on meanwhile. "clone" and "redirect" are carried out; at any other answer it is
    stopped. Without one in time (`Population.late`) the keyless rule clones it. A clone whose
    checkpoint was gone when the trial looked for it is sent again with the leader's latest one.
    """

    def __init__(self, docket: Docket, redirects: Redirects) -> None:
        self._docket, self._redirects = docket, redirects
        self._population = Population()
        docket.pressing = self._population.plans

    def consider(
        self, search: Search, controller: Any, trial: Any, verdict: Verdict, *, lost: bool
    ) -> Verdict | None:
        """Take in a trial's latest result; None if this is no matter of cloning.

        ``lost``: it has just said that the checkpoint it was sent is gone.
        """
        population, trial_id = self._population, trial.trial_id
        running = self._docket.running[trial_id]
        population.hear(search, trial, running.epoch, running.value, running.knobs)
        sent = population.sent.get(trial_id) if lost else None
        if sent is not None:
            return self._send(search, controller, sent, running) or verdict
        if not self._pending(trial_id, verdict, running.epoch):
            return None
        plan = self._plan(search, controller, trial, running, verdict)
        if plan is None:
            return verdict
        answer = self._docket.ask(search, trial_id)
        if answer is not None and answer.asked < plan.doubt.epoch:  # it was not about this
            self._docket.note(search, answer, "outdated", running.epoch)
            answer = None
        if answer is not None:
            return self._told(search, controller, plan, answer, running)
        judge = self._docket.hearing
        if judge.gave_up or population.late(search, plan, running.epoch):
            return self._by_rule(search, controller, plan, running)
        return awaited(plan.verdict, running.epoch, plan.leader, judge.judge.name)

    def end(self, trial_id: str) -> None:
        """The trial ended: nothing is planned for it any more; it may still lead."""
        self._population.end(trial_id)

    def _pending(self, trial_id: str, verdict: Verdict, epoch: int) -> bool:
        """Whether the rules would stop it; a plan is given up when they would no more."""
        plans, reading = self._population.plans, verdict.reading
        if verdict.stop:
            return True
        if trial_id in plans and reading is not None and reading.epoch == epoch:
            del plans[trial_id]
            self._docket.hearing.drop(trial_id)
        return trial_id in plans

    def _plan(
        self, search: Search, controller: Any, trial: Any, running: Running, verdict: Verdict
    ) -> Plan | None:
        """The plan for a trial, a new one if it may be cloned now; None if it may not."""
        population, redirects, trial_id = self._population, self._redirects, trial.trial_id
        if trial_id in population.plans:
            return population.plans[trial_id]
        if not redirects.knobs(trial_id, running.knobs):
            return None  # it reports none, or took nothing over before
        if not population.may(search, running.epoch, redirects.past(trial_id)):
            return None
        leader = population.leader(search, controller, trial_id)
        if leader is None:
            return None
        doubt = self._docket.doubt(search, trial, may_stop=True, leader=leader)
        population.plans[trial_id] = plan = Plan(doubt, leader, verdict)
        self._docket.hearing.bring(doubt)
        return plan

    def _told(
        self, search: Search, controller: Any, plan: Plan, answer: Answer, running: Running
    ) -> Verdict:
        """What the judge said of a trial that the rules would stop."""
        judgement, age, who = answer.judgement, running.epoch - answer.asked, answer.who
        plan.judgement, plan.said = judgement, saying(judgement, age, who)
        self._population.plans.pop(judgement.trial_id, None)
        going: Verdict | None = None
        if judgement.action == "clone":
            going = self._send(search, controller, plan, running)
        elif judgement.action == "redirect":
            past = self._redirects.turn(
                search, judgement, age, running.epoch, running.value, running.knobs, running.reading
            )
            if past is not None:
                done, kept = f"redirected {moves_of(past)}", going_on_redirected(plan.verdict)
                going = remarked(kept, judgement, age, who, done)
        else:
            self._docket.note(search, answer, "applied", running.epoch)
            return refused(plan.verdict, judgement, running.epoch, age, who)
        self._docket.note(search, answer, "applied" if going else "outdated", running.epoch)
        return going or replace(plan.verdict, epoch=running.epoch)

    def _by_rule(self, search: Search, controller: Any, plan: Plan, running: Running) -> Verdict:
        """The judge had its time."""
        doubt, rule = plan.doubt, HeuristicAdvisor()
        self._docket.hearing.drop(doubt.trial_id)
        self._docket.counts["unanswered"] += 1
        text = f"no answer since epoch {doubt.epoch} on whether it is cloned: the rule clones it"
        search.note("unjudged", reason="late", text=text, trials=[doubt.trial_id])
        (plan.judgement,) = rule.judge(self._docket.evidence(search, [doubt])()).judgements
        plan.said = saying(plan.judgement, running.epoch - doubt.epoch, rule.name)
        going = self._send(search, controller, plan, running)
        return going or replace(plan.verdict, epoch=running.epoch)

    def _send(
        self, search: Search, controller: Any, plan: Plan, running: Running
    ) -> Verdict | None:
        """Send what was decided with the leader's latest checkpoint; None without any."""
        population, judgement = self._population, plan.judgement
        population.plans.pop(plan.doubt.trial_id, None)
        origin = population.origin(controller, plan)
        if origin is None or judgement is None or not running.knobs:
            return None
        plan.sent += 1
        population.sent[judgement.trial_id] = plan
        past = self._redirects.push(
            search,
            replace(judgement, knobs=_knobs(judgement.knobs, plan)),
            running.epoch,
            running.value,
            running.knobs,
            running.reading,
            origin,
        )
        done = cloning(origin[0], search.goal[0], moves_of(past))
        return cloned(plan.verdict, running.epoch, done, plan.said)


def _knobs(wanted: Mapping[str, float], plan: Plan) -> dict[str, float]:
    """The values to send: the judge's, else the leader's, else its own, within their bounds."""
    found = {}
    for knob in plan.doubt.knobs:
        value = float(wanted.get(knob.name, math.nan))
        if not math.isfinite(value):
            value = plan.leader.knobs.get(knob.name, knob.value)
        found[knob.name] = min(max(value, knob.low), knob.high)
    return found
