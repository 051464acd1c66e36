"""Seconds an epoch of a trial takes: read from Tune's results, kept with the trial."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from raymimic import LLMScheduler, read_events
from raymimic.advisor import evidence_from_ledger
from raymimic.testing.advisors import suggest

LENGTH = 10


def test_start_up_is_no_part_of_an_epoch_and_the_ledger_and_a_restore_know_the_pace(
    make, tmp_path
) -> None:
    searcher = make()
    for trial in ("a", "b"):
        suggest(searcher, trial)
        for epoch in (1, 2, 3):  # 5 s of start-up in the first epoch, then 2 s each
            told = {"loss": 1.0, "training_iteration": epoch, "time_total_s": 5.0 + 2.0 * epoch}
            searcher.on_trial_result(trial, told)
    assert searcher.evidence().running[0].pace == pytest.approx(2.0)
    searcher.on_trial_complete("a", told)
    searcher.ledger.flush()
    searcher.save(str(tmp_path / "state.pkl"))
    restored = make()
    restored.restore(str(tmp_path / "state.pkl"))
    found = evidence_from_ledger(read_events(searcher.ledger.path))
    for evidence in (searcher.evidence(), restored.evidence(), found):
        assert evidence.trials[0].pace == pytest.approx(2.0)


def test_results_without_seconds_leave_the_pace_unknown(make) -> None:
    searcher = make()
    suggest(searcher, "a")
    searcher.on_trial_result("a", {"loss": 1.0, "training_iteration": 1})
    assert searcher.evidence().running[0].pace == 0.0


class Clock:
    """`time.monotonic` as the scheduler's clock sees it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("budget", "stopped"), [(1000.0, True), (timedelta(seconds=140), False)])
def test_a_scheduler_weighs_seconds_and_stops_none_for_one_that_cannot_finish(
    make, monkeypatch, budget, stopped
) -> None:
    clock = Clock()
    monkeypatch.setattr("raymimic.tune.clock.time", clock)
    scheduler = LLMScheduler(searcher=make(), max_t=LENGTH, llm="none")
    assert scheduler.set_search_properties("loss", "min", time_budget_s=budget)

    def train(name: str, losses: list[float]) -> int:
        trial = SimpleNamespace(trial_id=name)
        scheduler.on_trial_add(None, trial)
        clock.now += 3.0  # until its process is there
        for epoch, loss in enumerate(losses, start=1):
            clock.now += 2.0
            told = {"loss": loss, "training_iteration": epoch, "time_total_s": 2.0 * epoch}
            if scheduler.on_trial_result(None, trial, told) == TrialScheduler.STOP:
                break
        scheduler.on_trial_complete(None, trial, {**told, "done": True})
        return epoch

    for number in range(5):
        assert train(f"t{number}", [2.0 - 0.1 * number - 0.05 * epoch for epoch in range(LENGTH)])
    assert (train("bad", [2.5] * LENGTH) < LENGTH) is stopped
    words = scheduler.verdict("bad").text
    if stopped:
        assert "a fresh trial has 17% for 23 s, 23 in the mean" in words
