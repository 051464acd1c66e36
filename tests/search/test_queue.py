"""Where a configuration comes from: the queue, the advisor, the stand-in, or the dice."""

from __future__ import annotations

import time

import pytest
from engine import SPACE, TIMEOUT_S

from raymimic.errors import AdvisorError
from raymimic.records import Advice, Proposal
from raymimic.search.elsewhere import add_evaluated
from raymimic.space import Choice, SearchSpace
from raymimic.testing.advisors import CountingAdvisor, HeldAdvisor


class Failing(CountingAdvisor):
    """Every answer is the same failure."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def propose(self, evidence, n):
        self.asked.append((evidence, n))
        raise self.error


class Slow(CountingAdvisor):
    """Answers after a moment."""

    def propose(self, evidence, n):
        time.sleep(0.05)
        return super().propose(evidence, n)


NO_ROUTE = AdvisorError("no route", reason="connection")
WRONG_MODEL = AdvisorError("no such model", reason="404", permanent=True)


# -- the advisor ---------------------------------------------------------------------------------


def test_a_batch_is_asked_once_and_served_from_the_queue(make):
    advisor = CountingAdvisor()
    engine = make(advisor, batch_size=4)
    assert [engine.suggest(f"t{i}")["x"] for i in range(3)] == [0.01, 0.02, 0.03]
    assert advisor.asked[0][1] == 4


def test_a_batch_is_as_large_as_the_concurrency(make):
    advisor = CountingAdvisor()
    make(advisor, slots=7).suggest("a")
    assert advisor.asked[0][1] == 7


def test_a_local_advisor_is_asked_for_one_when_one_is_due(make):
    advisor = CountingAdvisor(remote=False)
    engine = make(advisor, slots=2)
    for name in "ab":
        engine.suggest(name)
    assert [n for _, n in advisor.asked] == [1, 1]


def test_a_local_proposer_is_waited_for_while_others_run(make, monkeypatch):
    """Told "not yet", Tune asks a tenth of a second later, and may lose the slot's process."""
    monkeypatch.setattr("raymimic.search.queue._SOON_S", 60.0)
    engine = make(Slow(remote=False), slots=2)
    assert [engine.ask("a"), engine.ask("b")] == [{"x": 0.01}, {"x": 0.02}]


def test_so_is_the_statistical_proposer_where_the_advisor_leaves_it_a_slot(make, monkeypatch):
    monkeypatch.setattr("raymimic.search.queue._SOON_S", 60.0)
    stand_in = Slow(remote=False)
    stand_in.made = 1  # the advisor's own proposal is 0.01
    engine = make(Leaving(), stand_in=stand_in, slots=2)
    assert [engine.ask("a"), engine.ask("b")] == [{"x": 0.01}, {"x": 0.02}]


def test_a_model_is_not_waited_for_while_others_run(make, monkeypatch):
    monkeypatch.setattr("raymimic.search.queue._SOON_S", 60.0)
    advisor = HeldAdvisor()
    engine = make(advisor, slots=2)
    engine.session.start("a", engine.session.enqueue(Proposal({"x": 0.5}, "mine", "user"), 0))
    engine.session.state.queue.clear()
    assert engine.ask("b") is None
    assert not advisor.made
    advisor.gate.set()


def test_with_many_slots_nobody_is_waited_for_while_others_run(make, monkeypatch):
    monkeypatch.setattr("raymimic.search.queue._SOON_S", 60.0)
    stand_in = HeldAdvisor()
    stand_in.remote = False
    engine = make(Failing(NO_ROUTE), stand_in=stand_in, slots=100)
    engine.session.start("a", engine.session.enqueue(Proposal({"x": 0.5}, "mine", "user"), 0))
    engine.session.state.queue.clear()
    assert engine.ask("b") is None
    assert not stand_in.made
    stand_in.gate.set()


def test_the_next_question_shows_curves_and_diagnoses_of_the_trials_before(make):
    advisor = CountingAdvisor()
    engine = make(advisor, batch_size=1)
    engine.suggest("a")
    engine.end("a", 3.0, 2.0, 1.0)
    engine.suggest("b")
    (seen,) = next(evidence for evidence, _ in advisor.asked if evidence.trials).trials
    assert (seen.trial_id, list(seen.curve.column("loss")), seen.score) == ("a", [3, 2, 1], 1.0)
    assert seen.diagnosis is not None
    assert (seen.source, seen.rationale) == ("llm", "number 1")


def test_no_more_is_asked_than_the_budget_can_start(make):
    advisor = CountingAdvisor()
    engine = make(advisor, batch_size=8, trials=3)
    for i in range(3):
        engine.suggest(f"t{i}")
        engine.end(f"t{i}", 1.0)
    assert sum(n for _, n in advisor.asked) == 3


def test_what_was_proposed_from_too_old_a_view_is_dropped_unless_a_user_did(make):
    engine = make(CountingAdvisor(), batch_size=2)
    engine.suggest("a")
    engine.session.enqueue(Proposal({"x": 0.9}, "mine", "user"), 0)
    for i in range(12):
        add_evaluated(
            engine.session,
            {"x": 0.5 + i / 100},
            value=1.0,
            error=False,
            pruned=False,
            intermediate_values=None,
        )
    assert engine.suggest("b") == {"x": 0.9}
    (drop,) = engine.events("drop")
    assert (drop["reason"], drop["proposal"]) == ("stale", 1)
    assert not engine.session.state.seen({"x": 0.02})  # it may be proposed again


# -- what is left to the statistical proposer ----------------------------------------------------


class Leaving(CountingAdvisor):
    """Proposes one configuration and leaves the rest."""

    def propose(self, evidence, n):
        self.asked.append((evidence, n))
        self.made += 1
        proposal = Proposal({"x": self.made / 100}, "mine", "llm")
        return Advice((proposal,), drops=("a second one: it was tried before",), left=n - 1)


def test_what_is_left_is_filled_when_it_is_due_with_all_results_known(make, answers):
    partner = CountingAdvisor(remote=False)
    engine = make(Leaving(), stand_in=partner, batch_size=4, trials=4)
    engine.suggest("t0")
    assert not partner.asked
    assert not engine.queue.advisor.busy  # it is asked again once fewer are left
    for number in range(3):
        engine.end(f"t{number}", 1.0)
        engine.suggest(f"t{number + 1}")
    assert [(len(seen.trials), n) for seen, n in partner.asked] == [(1, 1), (2, 1), (3, 1)]
    assert not engine.tally.fallbacks
    assert engine.session.state.left == 0


def test_an_answer_that_leaves_all_its_slots_brings_no_random_configuration(make, answers):
    class Shy(CountingAdvisor):
        def propose(self, evidence, n):
            return Advice((), left=n)

    engine = make(Shy(), stand_in=CountingAdvisor(remote=False), batch_size=4)
    for number in range(9):
        engine.suggest(f"t{number}")
        engine.queue.advisor.wait(10)
        engine.end(f"t{number}", 1.0)
    assert engine.tally.started == {"llm": 9}  # the stand-in's, as it calls itself here
    assert not engine.tally.fallbacks


def test_what_was_left_comes_before_a_later_answer_however_early_that_is(make, answers):
    engine = make(Leaving(), batch_size=4, trials=8)
    for number in range(8):
        engine.suggest(f"t{number}")
        engine.queue.advisor.wait(10)
        engine.end(f"t{number}", 1.0)
    ended = engine.session.state.ended
    assert [trial.source for trial in ended] == (["llm"] + ["random"] * 3) * 2


def test_a_slot_that_was_left_waits_for_no_model_and_is_kept_in_a_copy(make, answers, monkeypatch):
    engine = make(Leaving(), batch_size=4, patience=60.0)
    engine.suggest("t0")
    copy = engine.copy()
    held = copy.queue.advisor.advisor = HeldAdvisor()
    monkeypatch.setattr(copy.queue.advisor, "wait", lambda seconds: pytest.fail("it waited"))
    for number in range(3):
        copy.end(f"t{number}", 1.0)
        copy.queue._stand_in.wait(10)
        assert copy.ask(f"t{number + 1}")  # it is there before Tune asks
    assert copy.queue.advisor.busy
    assert copy.tally.started == {"llm": 1, "random": 3}
    assert not copy.tally.fallbacks
    held.gate.set()


def test_a_slot_that_was_left_and_cannot_be_filled_is_left_no_longer(make, answers):
    class Silent(CountingAdvisor):
        def propose(self, evidence, n):
            return Advice(())

    engine = make(Leaving(), stand_in=Silent(remote=False), batch_size=4)
    for number in range(5):
        engine.suggest(f"t{number}")
        engine.end(f"t{number}", 1.0)
    assert engine.tally.started["llm"] > 1  # the model was asked again
    assert sum(engine.tally.fallbacks.values()) == engine.tally.started["random"]


def test_many_slots_that_were_left_are_filled_at_once(make, answers):
    partner = CountingAdvisor(remote=False)
    engine = make(Leaving(), stand_in=partner, slots=SLOTS)
    engine.queue.ask_if_low(engine.session, due=True)
    engine.queue.advisor.wait(10)
    assert engine.fill(SLOTS) == SLOTS
    assert max(n for _, n in partner.asked) > 10


# -- an empty queue ------------------------------------------------------------------------------


def test_a_slot_waits_while_a_model_thinks_and_no_longer_than_its_patience(make, hangs, clock):
    advisor = HeldAdvisor()
    engine = make(advisor, patience=10.0)
    assert engine.ask("a") is None
    clock.now += 9.9
    assert engine.ask("a") is None
    clock.now += 0.2
    assert 0.0 <= engine.suggest("a")["x"] <= 1.0
    (row,) = engine.events("fallback")
    assert (row["reason"], row["source"], row["text"]) == (
        "patience", "random", "no answer within 10.1 s",
    )  # fmt: skip
    advisor.gate.set()
    engine.queue.advisor.wait(10)
    assert engine.suggest("b") == {"x": 0.01}  # the model has the run again
    assert engine.tally.started == {"random": 1, "llm": 1}


@pytest.mark.parametrize("error", [NO_ROUTE, KeyError("no such column")])
def test_a_failing_advisor_never_stops_a_search_and_is_asked_with_pauses(
    make, answers, clock, error
):
    advisor = Failing(error)
    engine = make(advisor)
    for i in range(5):
        engine.suggest(f"t{i}")
        engine.end(f"t{i}", 1.0)
    assert len(advisor.asked) == 1
    clock.now += 2.1
    engine.suggest("later")
    engine.queue.advisor.wait(10)
    assert len(advisor.asked) == 2
    reason = getattr(error, "reason", "crash")
    assert engine.tally.fallbacks == {reason: 6}
    assert engine.tally.started == {"random": 6}


def test_who_says_that_asking_again_cannot_help_is_not_asked_again(make, clock):
    advisor = Failing(WRONG_MODEL)
    engine = make(advisor)
    for i in range(3):
        engine.suggest(f"t{i}")
        clock.now += 1000.0
    assert len(advisor.asked) == 1


def test_where_the_stand_in_fails_too_it_is_random_and_counted(make):
    engine = make(Failing(NO_ROUTE), stand_in=Failing(ZeroDivisionError("singular")))
    xs = [engine.suggest(f"t{i}")["x"] for i in range(4)]
    assert len(set(xs)) == 4
    assert [row["source"] for row in engine.events("fallback")] == ["random"] * 4
    assert engine.tally.fallbacks == {"connection": 4}


class Recovering(HeldAdvisor):
    """Fails at the first question; at the next ones it is slow."""

    def propose(self, evidence, n):
        self.asked.append((evidence, n))
        if len(self.asked) == 1:
            raise NO_ROUTE
        self.gate.wait(10)
        return Advice((Proposal({"x": 0.5}, "", "llm"),))


def test_after_a_failure_no_slot_waits_until_the_model_has_answered_again(
    make, answers, clock, caplog
):
    advisor = Recovering()
    engine = make(advisor)
    engine.suggest("a")
    engine.end("a", 1.0)
    clock.now += 2.1
    waits = []
    engine.queue.advisor.wait = waits.append
    assert engine.suggest("b") != {"x": 0.5}
    assert engine.queue.advisor.busy
    assert waits == []
    assert caplog.text.count("trying again later") == 1
    del engine.queue.advisor.wait
    advisor.gate.set()
    engine.queue.advisor.wait(10)
    assert engine.suggest("c") == {"x": 0.5}


def test_a_failure_is_said_once(make, clock, caplog):
    engine = make(Failing(NO_ROUTE))
    for i in range(4):
        engine.suggest(f"t{i}")
        engine.queue.advisor.wait(10)
        engine.end(f"t{i}", 1.0)
        clock.now += 100.0
    assert engine.queue.advisor.failures > 1
    assert caplog.text.count("the advisor failed") == 1


def test_samplers_that_fill_in_for_a_model_do_not_say_that_it_is_well_again(make, clock):
    class Mixture(CountingAdvisor):
        def propose(self, evidence, n):
            self.asked.append((evidence, n))
            if len(self.asked) == 1:
                raise NO_ROUTE
            return Advice((Proposal({"x": 0.1 * len(self.asked)}, "", "statistical"),))

    engine = make(Mixture(), batch_size=1)
    for i in range(3):
        engine.suggest(f"t{i}")
        engine.queue.advisor.wait(10)
        clock.now += 100.0
    assert engine.tally.started["statistical"]
    assert engine.queue.advisor.failures == 1
    assert not engine.queue.advisor.answered


def test_the_stand_in_is_waited_for_but_not_for_ever(make, clock):
    held = HeldAdvisor()
    engine = make(Failing(NO_ROUTE), stand_in=held)
    engine.session.enqueue(Proposal({"x": 0.5}, "given", "user"), 0)
    engine.suggest("a")
    engine.queue.advisor.wait(10)
    for _ in range(3):
        assert engine.ask("b") is None  # it is thinking, and a trial runs
    clock.now += TIMEOUT_S + 5.1
    engine.suggest("b")
    assert engine.tally.started == {"user": 1, "random": 1}
    held.gate.set()


def test_an_advisor_with_nothing_to_propose_leaves_its_slot_to_chance(make):
    class Silent(CountingAdvisor):
        def propose(self, evidence, n):
            return Advice(())

    engine = make(Silent())
    engine.suggest("a")
    assert engine.tally.fallbacks == {"no_proposal": 1}


def test_a_finite_space_may_be_exhausted(make):
    engine = make(Failing(NO_ROUTE), space=SearchSpace({"x": Choice((1, 2))}))
    xs = [engine.suggest(f"t{i}")["x"] for i in range(5)]
    assert set(xs[:2]) == {1, 2}


# -- many slots ----------------------------------------------------------------------------------

SLOTS = 100


@pytest.mark.parametrize("slots", [16, SLOTS])
def test_while_a_model_thinks_all_but_a_few_of_many_slots_are_filled(make, hangs, slots):
    advisor = HeldAdvisor()
    engine = make(advisor, slots=slots)
    first = engine.fill(slots)
    if slots == 16:
        assert first <= 1  # the answer brings one for each of the others
        advisor.gate.set()
        return
    assert slots - 16 <= first < slots
    fallbacks = engine.tally.fallbacks
    assert "demand" in fallbacks
    assert sum(row["slots"] for row in engine.events("fallback")) == sum(fallbacks.values())
    assert sum(fallbacks.values()) >= first
    assert engine.tally.started == {"random": first}
    advisor.gate.set()
    assert engine.suggest("one more") == {"x": 0.01}  # the model's own, once it has answered
    ((_, wanted),) = advisor.asked
    assert slots <= wanted <= 128


def test_a_long_answer_enters_the_queue_in_parts(make):
    advisor = CountingAdvisor()
    engine = make(advisor, batch_size=64, slots=8)
    engine.suggest("a")
    assert len(engine.events("proposal")) == 16
    for name in "bcd":
        engine.suggest(name)
    assert len(engine.events("proposal")) == 64
    assert len(advisor.asked) == 1  # nothing is asked for while more is on its way in


def test_slots_that_end_quickly_make_questions_come_ahead_of_need(make):
    advisor = CountingAdvisor()
    engine = make(advisor, slots=SLOTS)
    for index in range(SLOTS):
        engine.suggest(f"t{index}")
    empty = 0
    for index in range(200):
        engine.end(f"t{index}", 1.0)
        name = f"t{SLOTS + index}"
        empty += engine.ask(name) is None and bool(engine.suggest(name))
    assert empty <= 10
    assert max(wanted for _, wanted in advisor.asked) <= 128


def test_with_many_slots_the_stand_in_works_ahead(make, hangs):
    advisor = HeldAdvisor()
    engine = make(advisor, slots=SLOTS)
    engine.fill(SLOTS)
    stand_in, queue = engine.queue._stand_in, engine.session.state.queue
    for name in ("t0", "t1"):
        engine.end(name, 1.0)
        stand_in.wait(10)
    assert queue  # what it answered is there before Tune asks
    advisor.gate.set()
    engine.queue.advisor.wait(10)
    engine.suggest("a")
    while engine.queue._arrived:
        engine.queue.collect(engine.session)
        queue.clear()
    assert engine.queue.advisor.demand.high
    engine.queue.ask_if_low(engine.session, due=False)
    assert stand_in.busy


def test_a_question_remembers_what_the_first_one_showed_and_counts_demand_anew(make):
    engine = make(CountingAdvisor(), batch_size=2)
    engine.suggest("a")
    inquiry = engine.queue.advisor
    assert (inquiry.first_known, inquiry.known) == (0, 0)
    engine.end("a", 1.0)
    inquiry.wait(10)
    inquiry.collect()
    for _ in range(5):
        inquiry.demand.take()
    inquiry.ask(engine.session, 1)
    assert (inquiry.first_known, inquiry.known, inquiry.asked_for) == (0, 1, 1)
    inquiry.demand.answered(0)
    assert inquiry.demand.lead < 5
    inquiry.wait(10)


def test_a_copy_goes_on_with_what_waits_and_leaves_the_question_behind(make):
    engine = make(CountingAdvisor(), batch_size=4)
    engine.suggest("a")
    again = engine.copy()
    assert again.suggest("b") == {"x": 0.02}
    assert again.session.state.space.to_json() == SPACE.to_json()
