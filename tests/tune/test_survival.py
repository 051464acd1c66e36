"""What a search survives, without Ray: faults of its own, full disks, ends that come too early."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from raymimic import RaymimicCallback, read_events
from raymimic.advisor import evidence_from_ledger
from raymimic.summary import tally_of
from raymimic.testing.advisors import CountingAdvisor, run_trial, suggest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broken(monkeypatch):
    """Break a method of ours, as a fault that nobody has thought of."""

    def breaks(owner: type, method: str) -> None:
        def fail(*_, **__):
            raise ZeroDivisionError("nobody thought of it")

        monkeypatch.setattr(owner, method, fail)

    return breaks


def test_a_fault_of_ours_is_counted_and_ends_no_experiment(make, events, broken, caplog):
    searcher = make(llm=CountingAdvisor(), batch_size=2)
    suggest(searcher, "a")
    broken(type(searcher._session._state), "record")
    run_trial(searcher, "a", [2.0, 1.0])
    broken(type(searcher._queue), "next")
    assert 0 <= suggest(searcher, "b")["x"] <= 1
    assert searcher.trial("b").source == "random"
    faults = [(row["hook"], row["text"]) for row in events("fault")]
    said = "ZeroDivisionError: nobody thought of it"
    assert faults == [("on_trial_result", said)] * 2 + [
        ("on_trial_complete", said),
        ("suggest", said),
    ]
    assert events("fallback")[0]["reason"] == "crash"
    assert caplog.text.count("raymimic failed in") == 1
    assert "Faults inside raymimic: on_trial_result 2" in searcher.summary()


def test_a_full_disk_does_not_end_the_run_and_the_last_checkpoint_stays(make, events, tmp_path):
    searcher = make(llm=CountingAdvisor(), batch_size=2)
    suggest(searcher, "a")
    searcher.save_to_dir(str(tmp_path), "now")
    (checkpoint,) = tmp_path.glob("searcher-state-*.pkl")
    kept = checkpoint.read_bytes()
    searcher.save_to_dir(str(tmp_path / "no such folder"), "now")
    assert checkpoint.read_bytes() == kept
    assert "FileNotFoundError" in events("fault")[0]["text"]
    with pytest.raises(FileNotFoundError):  # who asks himself is told
        searcher.save(str(tmp_path / "no such folder" / "state.pkl"))


def test_what_was_under_way_at_the_end_keeps_its_curve_and_goes_on_after_a_restore(make, tmp_path):
    searcher = make(llm=CountingAdvisor(), batch_size=2)
    for trial_id in "ab":
        suggest(searcher, trial_id)
    run_trial(searcher, "a", [2.0])
    searcher.on_trial_result("b", {"loss": 0.5, "training_iteration": 1})
    searcher.save(str(tmp_path / "state.pkl"))
    assert "1 trial ended (done 1), 1 under way" in searcher.finish()
    (running,) = evidence_from_ledger(read_events(searcher.ledger.path)).running
    assert (running.trial_id, list(running.curve.column("loss"))) == ("b", [0.5])

    restored = make(llm=CountingAdvisor(), batch_size=2)
    restored.restore(str(tmp_path / "state.pkl"))
    last = {"loss": 0.25, "training_iteration": 2, "done": True, "time_total_s": 7.5}
    restored.on_trial_complete("b", last)
    assert list(restored.trial("b").curve.column("loss")) == [0.5, 0.25]
    assert restored.trial("b").seconds == 7.5  # of both lives
    assert "2 trials ended (done 2) in" in restored.finish()


def test_a_trial_that_runs_again_counts_by_its_last_outcome(make, tmp_path):
    searcher = make(llm=CountingAdvisor(), batch_size=4)
    for trial_id in "ab":
        suggest(searcher, trial_id)
    searcher.save(str(tmp_path / "state.pkl"))
    run_trial(searcher, "a", [1.0])
    run_trial(searcher, "b", [2.0])
    searcher.ledger.flush()

    restored = make(llm=CountingAdvisor(), batch_size=4)
    restored.restore(str(tmp_path / "state.pkl"))
    assert restored.tally.best.trial_id == "a"
    run_trial(restored, "a", [3.0])  # Tune had missed its end; training is not repeatable
    run_trial(restored, "b", [2.0])
    restored.ledger.flush()
    found = read_events(restored.ledger.path)
    for tally in (restored.tally, tally_of(found.rows)):
        assert (tally.best.trial_id, tally.best.score) == ("b", 2.0)
        assert tally.ended == {"done": 2}
    known = {trial.trial_id: trial.score for trial in evidence_from_ledger(found).trials}
    assert known == {"a": 3.0, "b": 2.0}


def test_a_trial_that_tune_still_knows_is_not_proposed_again(make, tmp_path):
    searcher = make(llm=CountingAdvisor(), batch_size=4)
    suggest(searcher, "a")
    searcher.save(str(tmp_path / "state.pkl"))  # the last that the disk took
    suggest(searcher, "b")
    searcher.ledger.flush()

    restored = make(llm=CountingAdvisor(), batch_size=4)
    restored.restore(str(tmp_path / "state.pkl"))
    result = {"loss": 1.0, "training_iteration": 3, "config/x": 0.02}
    restored.on_trial_result("b", result)
    assert restored.trial("b").source == "llm"
    assert suggest(restored, "c")["x"] == 0.03
    assert restored.tally.started == {"llm": 3}


def test_a_search_that_begins_on_the_ledger_of_another_says_so(make, caplog):
    suggest(make(), "a")
    assert "begins anew" not in caplog.text
    make.made[0].ledger.flush()
    suggest(make(), "b")  # what Tune makes of a restore without any checkpoint
    assert "nothing was restored: this one begins anew" in caplog.text


def test_the_meter_goes_on_counting_after_a_restore(capsys):
    callback = RaymimicCallback(metric="loss", mode="min")
    callback.setup(total_num_samples=3)
    ended = SimpleNamespace(trial_id="a", last_result={"loss": 1.0}, is_finished=lambda: True)
    waiting = SimpleNamespace(trial_id="b", last_result={}, is_finished=lambda: False)
    for step in range(2):
        callback.on_step_begin(step, [ended, waiting])
    for trial_id, loss in (("b", 2.0), ("c", 0.5)):
        trial = SimpleNamespace(trial_id=trial_id)
        callback.on_trial_result(0, [], trial, {"loss": loss, "training_iteration": 1})
        callback.on_trial_complete(0, [], trial)
    second, third = capsys.readouterr().out.splitlines()
    assert second.startswith("[2/3 · ")
    assert "*best*" not in second
    assert third.startswith("[3/3 · ")
    assert "*best*" in third


def test_no_fault_of_ours_leaves_suggest(make, events, broken, monkeypatch):
    searcher = make(llm=CountingAdvisor(), batch_size=4)
    suggest(searcher, "a")

    def fails_ahead(queue, session, *, due):
        assert due, "nobody thought of it"

    monkeypatch.setattr(type(searcher._queue), "ask_if_low", fails_ahead)
    assert suggest(searcher, "b") == {"x": 0.02}  # it had begun: what was asked ahead is missing
    broken(type(searcher._session), "start")
    assert searcher.suggest("c") is None  # Tune asks again
    assert [row["hook"] for row in events("fault")] == ["suggest", "suggest", "_start_at_random"]
    starts = [row["trial_id"] for row in events("start")]
    assert starts == ["a", "b"]


ASCII = """
import logging
from raymimic import Advice, LLMSearcher, Proposal
from ray import tune

logging.basicConfig(level=logging.DEBUG)

class Foreign:
    name, remote = "\\u8bed\\u8a00", False
    def propose(self, evidence, n):
        return Advice((Proposal({"x\\u00b7": 0.5}, "\\u2026 \\u4f60\\u597d", "llm"),))

searcher = LLMSearcher({"x\\u00b7": tune.uniform(0, 1)}, "pert\\u00e9", "min", llm=Foreign(),
                       ledger="ledger.jsonl", instruction="\\u2014")
assert searcher.suggest("a")
searcher.on_trial_result("a", {"pert\\u00e9": 1.0, "training_iteration": 1})
searcher.on_trial_complete("a", {"pert\\u00e9": 0.5, "training_iteration": 2})
searcher.suggest("b")
searcher.on_trial_complete("b", error=True)
searcher.note_error("b", "\\u041e\\u0448\\u0438\\u0431\\u043a\\u0430")
searcher.on_trial_result("b", {"pert\\u00e9": object(), "training_iteration": "\\u221e"})
searcher.finish()
assert not searcher.tally.faults, searcher.tally.faults
print("survived")
"""


def test_text_that_the_terminal_cannot_show_ends_nothing(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    shown = subprocess.run(
        [sys.executable, "-c", ASCII], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert shown.stdout.endswith("survived\n"), shown.stderr
    assert "Logging error" not in shown.stderr
