"""What the screen says of a trial; the callback in real runs is in test_real_runs.py."""

from __future__ import annotations

import doctest
import io
import math
import sys
from types import SimpleNamespace

import pytest

from raymimic import LLMScheduler, RaymimicCallback, read_events
from raymimic.tune import callback, live, scheduler


def run(shown: RaymimicCallback, trial_id: str, losses: list[float]) -> None:
    trial = SimpleNamespace(trial_id=trial_id)
    for epoch, loss in enumerate(losses, start=1):
        shown.on_trial_result(0, [], trial, {"loss": loss, "training_iteration": epoch})
    shown.on_trial_complete(0, [], trial)


def test_a_trial_that_ends_in_nan_has_no_score_and_is_never_the_best(capsys):
    callback = RaymimicCallback(metric="loss", mode="min")
    callback.setup(total_num_samples=3)
    run(callback, "good", [2.0, 1.0])
    run(callback, "broken", [0.5, math.nan])
    run(callback, "better", [2.0, 0.75])
    good, broken, better = capsys.readouterr().out.splitlines()
    assert good.startswith("[1/3 · ")
    assert "loss 1 *best*" in good
    assert "broken  no finite loss after 2 epochs" in broken
    assert "loss 0.75 *best*" in better


def test_it_needs_to_know_what_to_show():
    with pytest.raises(ValueError, match="metric="):
        RaymimicCallback()
    with pytest.raises(ValueError, match="mode="):
        RaymimicCallback(metric="loss")
    scheduler = LLMScheduler("loss", "min", llm="none")
    RaymimicCallback(scheduler=scheduler)._goal()  # the scheduler knows both


def test_what_the_terminal_cannot_show_is_replaced(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    run(RaymimicCallback(metric="größe", mode="min"), "a", [2.0, 1.0])
    assert shown.getvalue().startswith(b"[1 ? 0 s]  a  no finite gr??e after 2 epochs")


def test_no_hook_raises_and_a_fault_is_counted_kept_and_said_once(tmp_path, monkeypatch, caplog):
    class Broken:
        encoding = "utf-8"

        def write(self, text: str) -> None:
            raise BrokenPipeError("nobody reads")

    ledger = tmp_path / "ledger.jsonl"
    scheduler = LLMScheduler("loss", "min", llm="none", ledger=ledger)
    callback = RaymimicCallback(scheduler=scheduler)
    monkeypatch.setattr(sys, "stdout", Broken())
    trial = SimpleNamespace(trial_id="a", error_file=None)
    with caplog.at_level("WARNING", logger="raymimic"):
        callback.setup(num_samples="many")
        callback.on_step_begin(0, [None])
        callback.on_trial_result(0, [], trial, None)
        callback.on_trial_complete(0, [], trial)
        callback.on_trial_error(0, [], trial)
        callback.on_experiment_end([])
    hooks = ["setup", "on_step_begin", "on_trial_result", "on_trial_complete", "on_trial_error"]
    assert list(callback.faults.counts) == [*hooks, "say"]
    assert sum("the callback failed in" in line for line in caplog.messages) == 1
    scheduler.ledger.flush()
    assert [row["hook"] for row in read_events(ledger).of("fault")] == [*hooks, "say"]


def test_a_terminal_that_fails_keeps_no_summary_from_the_ledger(make, events, monkeypatch):
    searcher = make()
    callback = RaymimicCallback(searcher, scheduler=LLMScheduler(searcher=searcher, llm="none"))
    monkeypatch.setattr(sys, "stdout", None)
    callback.on_experiment_end([])
    assert len(events("summary")) == 1
    assert [row["hook"] for row in events("fault")] == ["say"]
    monkeypatch.setattr(searcher, "finish", None)
    callback.on_experiment_end([])
    assert callback.faults.counts == {"say": 1, "on_experiment_end": 1}


@pytest.mark.parametrize("module", [callback, live, scheduler])
def test_the_examples_in_its_docstrings_run(module):
    found = doctest.testmod(module)
    assert found.attempted >= 3
    assert not found.failed
