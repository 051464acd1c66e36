"""A trial that was stopped from outside is known as such, and counts as its forecast."""

from __future__ import annotations

import pytest
from ray import tune

from raymimic import LLMScheduler, LLMSearcher, read_events
from raymimic.advisor import evidence_from_ledger
from raymimic.testing.advisors import run_trial, suggest


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


def test_what_the_scheduler_ends_at_max_t_is_a_whole_training(make) -> None:
    searcher = make(space=None)
    LLMScheduler(searcher=searcher, llm="none", max_t=3)
    assert searcher.set_search_properties("loss", "min", {"x": tune.uniform(0.0, 1.0)})
    for trial_id, losses in {"whole": [1.0, 0.8, 0.6], "cut": [1.0, 0.9]}.items():
        suggest(searcher, trial_id)
        stop(searcher, trial_id, losses)
    assert {t.trial_id: t.stopped for t in searcher.evidence().trials} == {
        "whole": False, "cut": True
    }  # fmt: skip


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
