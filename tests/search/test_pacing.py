"""How many a question brings, and how long a slot waits: numbers only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raymimic.records import Proposal
from raymimic.search.elsewhere import add_evaluated
from raymimic.search.pacing import (
    Demand,
    batch_of,
    free_slots,
    patience_for,
    wanted_now,
    wanted_of_stand_in,
)
from raymimic.testing.advisors import CountingAdvisor


def fast(lead):
    demand = Demand()
    for _ in range(lead):
        demand.take()
    demand.answered(0)
    return demand


@pytest.fixture
def session(make):
    """Three trials ended, each of 100 s; one runs."""
    session = make(CountingAdvisor()).session
    for number in range(4):
        queued = session.number(Proposal({"x": number / 10}, "", "llm"), 0)
        session.start(f"t{number}", queued)
    for number in range(3):
        session.state.record(f"t{number}", 1, {"loss": 1.0}, restarted=False)
        record = session.state.end(f"t{number}", failed=False, seconds=100.0)
        session.state.put(replace(record, seconds=100.0))
    return session


def test_demand_is_learnt_from_questions_and_fades():
    demand = fast(20)
    assert (demand.lead, demand.reserve, demand.high) == (20, 30, True)
    demand.asked()
    demand.answered(2)
    assert (demand.lead, demand.high) == (15, False)


def test_a_batch_is_what_the_user_says_or_runs_at_once_within_bounds(session):
    found = []
    for session.concurrency in (None, 2, 9, 40):
        found.append(batch_of(session, None))
    assert found == [4, 4, 9, 16]
    assert batch_of(session, 64) == 64


def test_slots_are_free_as_far_as_budget_and_concurrency_go(session):
    assert free_slots(session) == 0
    session.concurrency = 5
    assert free_slots(session) == 4
    session.trials_total = 6
    assert free_slots(session) == 2


def test_a_question_is_asked_when_the_queue_is_low(session):
    calm = Demand()
    assert wanted_now(session, 4, calm, due=True) == 4
    for number in range(2):
        session.enqueue(Proposal({"x": 0.5 + number / 10}, "", "llm"), 3)
    assert wanted_now(session, 4, calm, due=True) == 0  # half a batch waits
    session.state.queue.pop()
    session.trials_total = 6
    assert wanted_now(session, 4, calm, due=False) == 1  # two may start, one waits
    session.state.queue.clear()
    session.trials_total = 4
    assert wanted_now(session, 4, calm, due=False) == 0
    assert wanted_now(session, 1, calm, due=True) == 1  # somebody asks all the same


def test_many_slots_want_what_they_will_use_until_the_next_answer(session):
    session.concurrency = 41
    assert wanted_now(session, 16, Demand(), due=True) == 40 + 2 * 8
    assert wanted_now(session, 16, fast(100), due=True) == 128
    assert wanted_of_stand_in(session, Demand(), Demand(), thinking=True) == 40 - 16
    assert wanted_of_stand_in(session, Demand(), fast(20), thinking=True) == 40 - 16
    assert wanted_of_stand_in(session, fast(20), fast(20), thinking=True) == 40 + 30 - 16
    session.concurrency = 16
    assert wanted_of_stand_in(session, fast(20), fast(20), thinking=False) == 1


def test_patience_is_a_twentieth_of_the_search_and_30_s_at_most(session):
    def seconds(**more):
        return patience_for(session, **{"answered": True, "first_known": 0, **more})

    assert seconds() == 30.0  # there is no telling how long it takes
    session.trials_total = 4
    assert seconds() == pytest.approx(0.05 * 4 * 100)
    outcome = {"error": False, "pruned": False, "intermediate_values": None}
    for number in range(9):  # nobody knows how long these took
        add_evaluated(session, {"x": 0.9 + number / 100}, value=1.0, **outcome)
    assert seconds() == pytest.approx(0.05 * 4 * 100)
    session.seconds_total = 60.0
    assert seconds() == pytest.approx(3.0)
    session.state.running.clear()
    assert seconds() == pytest.approx(2.0)  # Tune sleeps the rest


def test_a_model_that_never_answered_is_waited_for_while_the_first_trial_runs(session):
    assert patience_for(session, answered=False, first_known=3) == 30.0
    assert patience_for(session, answered=False, first_known=2) == 0.0
    session.state.running.clear()
    assert patience_for(session, answered=False, first_known=3) == 0.0
