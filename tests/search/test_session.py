"""A search as data: what it takes in, and what it writes of that."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace

import pytest
from engine import SPACE

from raymimic.errors import ConfigError
from raymimic.ledger import Ledger
from raymimic.records import Proposal
from raymimic.search.elsewhere import add_evaluated
from raymimic.search.session import Session
from raymimic.space import FloatRange, SearchSpace
from raymimic.summary import Journal
from raymimic.testing.advisors import CountingAdvisor

OTHER = SearchSpace({"y": FloatRange(0.0, 1.0)})


@pytest.fixture
def session(make):
    return make(CountingAdvisor()).session


def test_a_session_begins_once_its_space_is_known(tmp_path):
    session = Session(Journal(Ledger(tmp_path / "ledger.jsonl")), seed=0)
    assert session.takes(OTHER)
    assert not session.begun
    with pytest.raises(RuntimeError, match=r"Session\.begin"):
        _ = session.state
    session.space = SPACE
    assert not session.takes(SPACE)  # the user has given one, and so does Tune
    session.begin("loss", "min", "counting", 4)
    assert session.takes(SPACE)  # a second run of the same
    assert not session.takes(OTHER)


def test_an_earlier_search_in_the_ledger_is_mentioned(make, caplog):
    make(CountingAdvisor()).session.journal.ledger.flush()
    make(CountingAdvisor())
    assert caplog.text.count("holds an earlier search of which nothing was restored") == 1


def test_a_users_configuration_must_fit_as_it_is(session):
    assert session.check({"x": 0.5}) == {"x": 0.5}
    for config in ({"x": 1.01}, {"x": "high"}, {}):
        with pytest.raises(ConfigError, match="x"):
            session.check(config)


def test_what_was_evaluated_elsewhere_is_evidence(make):
    engine = make(CountingAdvisor())
    outcome = {"value": 7.0, "error": False, "pruned": False, "intermediate_values": None}
    add_evaluated(engine.session, {"x": 0.9}, **{**outcome, "intermediate_values": [9.0, 8.0, 7.0]})
    add_evaluated(engine.session, {"x": 0.8}, **{**outcome, "pruned": True})
    add_evaluated(engine.session, {"x": 0.7}, **{**outcome, "value": math.nan, "error": True})
    add_evaluated(engine.session, {"x": 0.6}, **{**outcome, "value": math.inf})
    first, second, third, fourth = engine.session.evidence().trials
    assert (first.score, len(first.curve), first.source, first.diagnosis is None) == (
        7.0, 3, "user", False,
    )  # fmt: skip
    assert (second.stopped, second.rationale) == (True, "evaluated elsewhere, stopped early")
    assert (third.score, third.status) == (None, "failed")
    assert (fourth.score, fourth.status) == (None, "done")
    assert engine.session.state.seen({"x": 0.8})
    rows = engine.events("evaluated")
    assert [row["status"] for row in rows] == ["done", "done", "failed", "done"]
    with pytest.raises(ConfigError):
        add_evaluated(engine.session, {"x": 2.0}, **outcome)
    assert len(engine.session.state.ended) == 4


def test_a_trial_that_tune_knows_and_we_do_not_takes_what_waits_or_a_number_of_its_own(make):
    engine = make(CountingAdvisor())
    engine.suggest("a")
    waiting = engine.session.state.queue[0]
    assert engine.session.adopt({"x": 0.02}) is waiting
    assert waiting not in engine.session.state.queue
    other = engine.session.adopt({"x": 0.7})
    assert (other.proposal.source, other.id) == ("user", 4)
    assert engine.events("proposal")[-1]["id"] == 4
    with pytest.raises(ConfigError):
        engine.session.adopt({"y": 0.7})


def test_a_trial_stopped_before_its_first_epoch_may_be_proposed_again(make):
    engine = make(CountingAdvisor())
    engine.suggest("a")
    engine.session.end("a", failed=False, trained=0.0, stopped=True)
    assert not engine.session.state.knows("a")
    assert not engine.session.state.seen({"x": 0.01})
    assert engine.events("outcome") == []


def test_seconds_are_ours_or_those_that_tune_counted_before_a_restore(make, monkeypatch):
    engine, now = make(CountingAdvisor()), SimpleNamespace(now=50.0)
    clock = SimpleNamespace(monotonic=lambda: now.now)
    monkeypatch.setattr("raymimic.search.session.time", clock)
    for name in "ab":
        engine.suggest(name)
    now.now = 57.5
    engine.end("a", 1.0)
    assert engine.session.state.trial("a").seconds == 7.5
    again = pickle.loads(pickle.dumps(engine.session))
    assert again.seconds_used == engine.session.seconds_used
    now.now = 1e6  # another process has another clock
    assert again.seconds_used < 100
    again.state.record("b", 1, {"loss": 1.0}, restarted=False)
    again.end("b", failed=False, trained=3.0, stopped=False)
    assert again.state.trial("b").seconds == 3.0


def test_a_trial_that_a_criterion_ends_where_all_end_was_not_stopped(make):
    engine = make(CountingAdvisor())
    engine.session.limit(4, None, epochs=2)
    for name, epochs in (("a", 2), ("b", 1)):
        engine.suggest(name)
        for epoch in range(1, epochs + 1):
            engine.session.state.record(name, epoch, {"loss": 1.0}, restarted=False)
        engine.session.end(name, failed=False, trained=1.0, stopped=True)
    assert [engine.session.state.trial(name).stopped for name in "ab"] == [False, True]


def test_a_second_end_of_a_trial_replaces_the_first(make):
    engine = make(CountingAdvisor())
    engine.suggest("a")
    engine.end("a", 2.0)
    engine.end("a", 2.0, 1.0)
    (trial,) = engine.session.evidence().trials
    assert (trial.score, len(trial.curve)) == (1.0, 2)
    assert engine.tally.ended == {"done": 1}


def test_an_errors_text_is_kept_without_keys(make, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "very-secret-indeed")
    engine = make(CountingAdvisor())
    engine.suggest("a")
    engine.end("a", failed=True)
    engine.session.note_error("a", "RuntimeError: very-secret-indeed")
    engine.session.note_error("of nobody", "RuntimeError")
    assert engine.session.state.trial("a").error == "RuntimeError: [key]"
    assert [row["text"] for row in engine.events("error")] == ["RuntimeError: [key]"]


def test_the_evidence_says_what_waits_and_what_of_it_is_the_users(make):
    engine = make(CountingAdvisor(), batch_size=2)
    engine.suggest("a")
    engine.session.enqueue(Proposal({"x": 0.9}, "mine", "user"), 0)
    evidence = engine.session.evidence()
    assert evidence.queued == ({"x": 0.02}, {"x": 0.9})
    assert (evidence.queued_by_user, evidence.given) == (1, 1)


def test_the_budget_counts_what_was_started(make):
    session = make(CountingAdvisor(), trials=2).session
    assert session.trials_left == 2
    session.start("a", session.number(Proposal({"x": 0.1}, "", "user"), 0))
    assert (session.trials_left, session.budget().trials_left) == (1, 1)
    session.trials_total = 0  # a trial that Tune restarted under a new id is one more
    assert session.trials_left == 0
    session.trials_total = None
    assert session.trials_left == math.inf
