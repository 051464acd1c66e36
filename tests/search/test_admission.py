"""What an advisor sent is checked, mended, and let into the queue one by one."""

from __future__ import annotations

from raymimic.records import Advice, Proposal
from raymimic.search.admission import Admission, random_proposal
from raymimic.space import Choice, SearchSpace
from raymimic.testing.advisors import CountingAdvisor


def proposed(x, **more):
    return Proposal({"x": x, **more}, "why", "llm")


def admit(engine, *proposals, drops=(), wanted=None):
    """Let an answer in; the queue's configurations and sources."""
    admission = Admission(Advice(proposals, drops), wanted or len(proposals), 0)
    while not admission.go_on(engine.session, 2):
        pass
    return [(one.proposal.config["x"], one.proposal.source) for one in engine.session.state.queue]


def test_one_bad_configuration_costs_only_itself(make):
    engine = make(CountingAdvisor())
    queue = admit(
        engine, proposed(0.25), proposed("much"), proposed(1.05, y=3), proposed(0.25), wanted=3
    )
    assert queue[:2] == [(0.25, "llm"), (1.0, "llm")]  # the third was mended
    assert [source for _, source in queue[2:]] == ["random"]  # one in place of two: 3 were wanted
    drops = engine.events("drop")
    assert [row["reason"] for row in drops] == ["invalid", "repeat"]
    assert "must be a number, got 'much'" in drops[0]["text"]
    mended = engine.events("proposal")[1]
    assert len(mended["repairs"]) == 2
    assert "clamped" in " ".join(mended["repairs"])
    assert list(engine.session.state.drops) == [row["text"] for row in drops]


def test_what_an_advisor_itself_threw_away_is_replaced_up_to_what_was_wanted(make):
    engine = make(CountingAdvisor())
    queue = admit(engine, proposed(0.5), drops=("no JSON", "one too many"), wanted=2)
    assert [source for _, source in queue] == ["llm", "random"]
    assert [row["reason"] for row in engine.events("drop")] == ["unused", "unused"]


def test_a_running_or_waiting_configuration_is_a_repeat_until_the_space_is_used_up(make):
    engine = make(CountingAdvisor(), space=SearchSpace({"x": Choice((1, 2))}))
    assert admit(engine, proposed(1), proposed(1)) == [(1, "llm"), (2, "random")]
    assert admit(engine, proposed(1))[2:] == [(1, "llm")]  # nothing new is left


def test_a_part_at_a_time_enters(make):
    engine = make(CountingAdvisor())
    admission = Admission(Advice(tuple(proposed(x / 10) for x in range(5))), 5, 0)
    assert not admission.go_on(engine.session, 3)
    assert len(engine.session.state.queue) == 3
    assert admission.go_on(engine.session, 3)
    assert [one.made_from for one in engine.session.state.queue] == [0] * 5


def test_a_random_configuration_is_new_and_repeatable(make):
    engine = make(CountingAdvisor(), space=SearchSpace({"x": Choice(tuple(range(5)))}))
    drawn = [random_proposal(engine.session, "dice") for _ in range(5)]
    assert {one.proposal.config["x"] for one in drawn} == set(range(5))
    assert [one.id for one in drawn] == [0, 1, 2, 3, 4]
    assert not engine.session.state.queue
    again = make(CountingAdvisor(), space=SearchSpace({"x": Choice(tuple(range(5)))}))
    assert [random_proposal(again.session, "dice").proposal for _ in drawn] == [
        one.proposal for one in drawn
    ]
