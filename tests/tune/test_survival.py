"""What a search survives, without Ray: faults of its own, full disks, ends that come too early."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raymimic import RaymimicCallback, read_events
from raymimic.advisor import evidence_from_ledger
from raymimic.summary import tally_of
from raymimic.testing.advisors import CountingAdvisor, run_trial, suggest


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
