"""A model that fails leaves the run to the statistical proposer; stopped trials are known."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time

import pytest
from ray import tune
from tune_fakes import CountingAdvisor, HeldAdvisor, run_trial, suggest

from raymimic import LLMSearcher, ScriptedLLM, read_events
from raymimic.advisor import StatisticalAdvisor, evidence_from_ledger
from raymimic.errors import AdvisorError, LLMCallError, LLMSetupError
from raymimic.records import Advice

TRIALS = 9


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """TPE answers in milliseconds; which sampler it is does not matter here."""
    monkeypatch.setattr("raymimic.advisor.propose.optuna_samplers.gp_available", lambda: False)
    monkeypatch.setattr("raymimic.search.queue._MODEL_WAIT_S", 0.05)


def one_by_one(searcher: LLMSearcher, count: int = TRIALS, first: int = 0) -> list[float]:
    """Run one trial at a time and return what was tried."""
    xs = []
    for number in range(first, first + count):
        xs.append(suggest(searcher, f"t{number}")["x"])
        run_trial(searcher, f"t{number}", [1.0, (xs[-1] - 0.3) ** 2])
    return xs


class Failing(CountingAdvisor):
    """A model whose every call fails."""

    def propose(self, evidence, n):
        self.asked.append((evidence, n))
        raise AdvisorError("no route", reason="connection")


class Hanging(CountingAdvisor):
    """A model whose every call outlasts a test."""

    def propose(self, evidence, n):
        time.sleep(5)
        return Advice(())


class BrokenStatistics(StatisticalAdvisor):
    def propose(self, evidence, n):
        raise ZeroDivisionError("singular")


class HeldStatistics(HeldAdvisor):
    """A statistical proposer that has not made up its mind."""


@pytest.fixture
def statistical_run(make, tmp_path) -> list[float]:
    searcher = make(llm=StatisticalAdvisor(7), seed=7, ledger=str(tmp_path / "alone.jsonl"))
    xs = one_by_one(searcher)
    assert searcher.tally.started == {"statistical": TRIALS}
    return xs


# -- who serves a slot ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("llm", "reasons"),
    [
        (Failing(), {"connection"}),
        (Hanging(), {"patience"}),
        (ScriptedLLM([LLMSetupError("no such model", status="404")]), {"404"}),
        (ScriptedLLM([LLMCallError("busy", status="529")] * 3), {"529", "exhausted"}),
        (ScriptedLLM(["I would rather not say."] * 9), {"bad_json"}),
    ],
    ids=["fails", "hangs", "wrong setting", "overloaded", "talks"],
)
def test_a_silent_model_costs_nothing(make, events, statistical_run, llm, reasons) -> None:
    searcher = make(llm=llm, seed=7, patience=0.01)
    assert one_by_one(searcher) == statistical_run
    rows = events("fallback")
    assert {row["reason"] for row in rows} <= reasons
    assert [row["source"] for row in rows] == ["statistical"] * TRIALS
    assert searcher.tally.started == {"statistical": TRIALS}
    assert f"(filled by statistical {TRIALS})" in searcher.summary()


def test_the_model_gets_the_run_back_when_it_answers(make) -> None:
    advisor = HeldAdvisor()
    searcher = make(llm=advisor, patience=0.01, batch_size=2)
    one_by_one(searcher, 2)
    advisor.gate.set()
    searcher._queue.advisor.wait(10)
    assert one_by_one(searcher, 2, first=2) == [0.01, 0.02]
    assert searcher.tally.started == {"statistical": 2, "llm": 2}


def test_only_the_first_trial_does_not_wait_for_a_model_by_default(make) -> None:
    """Without a number for patience, how long trials take says what waiting would cost."""
    advisor = HeldAdvisor()
    searcher = make(llm=advisor, batch_size=2)
    begun = time.monotonic()
    suggest(searcher, "a")
    assert time.monotonic() - begun < 5  # and not 30
    assert searcher.suggest("b") is None  # the model may still answer while the first one runs
    run_trial(searcher, "a", [1.0])
    suggest(searcher, "b")  # trials are quicker than the model
    advisor.gate.set()
    searcher._queue.advisor.wait(10)
    assert suggest(searcher, "c")["x"] == 0.01
    assert searcher.tally.fallbacks == {"patience": 2}


def test_where_nobody_can_answer_it_is_random_and_counted(make, events, monkeypatch) -> None:
    monkeypatch.setattr("raymimic.tune.searcher.StatisticalAdvisor", BrokenStatistics)
    searcher = make(llm=Failing())
    xs = one_by_one(searcher, 4)
    assert len(set(xs)) == 4
    assert [row["source"] for row in events("fallback")] == ["random"] * 4
    assert searcher.tally.started == {"random": 4}
    assert all("connection" in row["reason"] for row in events("fallback"))


def test_the_stand_in_is_waited_for_but_not_for_ever(make, events, monkeypatch) -> None:
    held = HeldStatistics()
    monkeypatch.setattr("raymimic.tune.searcher.StatisticalAdvisor", lambda seed: held)
    monkeypatch.setattr("raymimic.inquiry._GRACE_S", 0.0)
    searcher = make(llm=Failing(), points_to_evaluate=[{"x": 0.5}], timeout=0.3)
    suggest(searcher, "a")
    for _ in range(5):
        assert searcher.suggest("b") is None  # it is thinking, and a trial runs
        time.sleep(0.02)
    suggest(searcher, "b")
    assert searcher.tally.started == {"user": 1, "random": 1}
    held.gate.set()


def test_two_at_once_get_different_configurations(make) -> None:
    searcher = make(llm=Failing())
    one_by_one(searcher, 5)
    xs = {suggest(searcher, name)["x"] for name in "abcd"}
    assert len(xs) == 4


# -- copies and restores -------------------------------------------------------------------------


@pytest.mark.parametrize("again", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_goes_on_as_the_original(make, statistical_run, again) -> None:
    searcher = make(llm=Failing(), seed=7)
    xs = one_by_one(searcher, 5)
    assert xs + one_by_one(again(searcher), TRIALS - 5, first=5) == statistical_run


def test_a_restored_search_goes_on_as_the_original(make, tmp_path, statistical_run) -> None:
    searcher = make(llm=Failing(), seed=7)
    xs = one_by_one(searcher, 5)
    searcher.save(str(tmp_path / "state.pkl"))
    restored = make(llm=Failing(), seed=7)
    restored.restore(str(tmp_path / "state.pkl"))
    assert xs + one_by_one(restored, TRIALS - 5, first=5) == statistical_run
    assert restored.tally.started == {"statistical": TRIALS}


# -- stopped trials ------------------------------------------------------------------------------


def stop(searcher: LLMSearcher, trial_id: str, losses: list[float]) -> None:
    """End a trial as Tune does for a scheduler: the last result comes with the end alone."""
    for epoch, loss in enumerate(losses[:-1], start=1):
        searcher.on_trial_result(trial_id, {"loss": loss, "training_iteration": epoch})
    last = {"loss": losses[-1], "training_iteration": len(losses)}
    searcher.on_trial_complete(trial_id, last)


@pytest.fixture
def with_a_stopped_trial(make) -> LLMSearcher:
    searcher = make()
    for number in range(4):
        suggest(searcher, f"t{number}")
    for number in range(3):
        run_trial(searcher, f"t{number}", [1.0 + number / 10, 0.8, 0.6, 0.4 + number / 10])
    stop(searcher, "t3", [1.0, 0.8])
    return searcher


def test_a_trial_that_a_scheduler_stopped_counts_as_its_forecast(with_a_stopped_trial) -> None:
    evidence = with_a_stopped_trial.evidence()
    assert [trial.stopped for trial in evidence.trials] == [False, False, False, True]
    cut = evidence.trials[3]
    assert cut.score == 0.8
    assert evidence.value(cut) == pytest.approx(0.5)  # as the median of the three went on


def test_the_ledger_and_a_restore_know_that_it_was_stopped(
    with_a_stopped_trial, make, events, tmp_path
) -> None:
    rows = {row["trial_id"]: row["stopped"] for row in events("outcome")}
    assert rows == {"t0": False, "t1": False, "t2": False, "t3": True}
    told = evidence_from_ledger(read_events(with_a_stopped_trial.ledger.path))
    with_a_stopped_trial.save(str(tmp_path / "state.pkl"))
    restored = make()
    restored.restore(str(tmp_path / "state.pkl"))
    for evidence in (told, restored.evidence()):
        assert evidence.value(evidence.trials[3]) == pytest.approx(0.5)


def test_a_pruned_point_from_elsewhere_is_a_stopped_one(make, events) -> None:
    searcher = make()
    for number in range(3):
        losses = [1.0 + number / 10, 0.8, 0.4 + number / 10]
        searcher.add_evaluated_point({"x": number / 10}, losses[-1], intermediate_values=losses)
    nan = float("nan")
    searcher.add_evaluated_point({"x": 0.8}, 0.8, pruned=True, intermediate_values=[1.0, 0.8])
    searcher.add_evaluated_point({"x": 0.9}, 0.7, pruned=True, intermediate_values=[nan])
    assert suggest(searcher, "a")
    evidence = searcher.evidence()
    assert [row["stopped"] for row in events("evaluated")] == [False] * 3 + [True] * 2
    assert evidence.value(evidence.trials[3]) == pytest.approx(0.5)
    assert evidence.value(evidence.trials[4]) == 0.7


def test_a_paused_trial_that_is_stopped_comes_without_a_result(make) -> None:
    searcher = make()
    for trial_id in "ab":
        suggest(searcher, trial_id)
        searcher.on_trial_result(trial_id, {"loss": 1.0, "training_iteration": 1})
    searcher.on_trial_complete("a")
    searcher.on_trial_complete("b", error=True)
    assert (searcher.trial("a").stopped, searcher.trial("b").stopped) == (True, False)


def test_a_trainable_without_a_counter_is_not_taken_for_stopped(make) -> None:
    searcher = make()
    suggest(searcher, "a")
    searcher.on_trial_result("a", {"loss": 1.0})
    searcher.on_trial_complete("a", {"loss": 1.0})
    assert not searcher.trial("a").stopped


def test_the_thread_of_a_search_ends_with_it(tmp_path) -> None:
    before = set(threading.enumerate())
    searcher = LLMSearcher(
        {"x": tune.uniform(0.0, 1.0)}, "loss", "min",
        llm=StatisticalAdvisor(0), ledger=str(tmp_path / "ledger.jsonl"),
    )  # fmt: skip
    suggest(searcher, "a")
    (own,) = (t for t in set(threading.enumerate()) - before if t.name == "raymimic-advisor")
    del searcher
    gc.collect()
    own.join(timeout=10)
    assert not own.is_alive()
