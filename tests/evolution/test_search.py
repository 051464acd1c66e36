"""`GuidedEvolutionSearch` as Tune calls it, without a Ray."""

from __future__ import annotations

import math
import pickle
import re
import time

import pytest
from minds import EditingLLM, rows
from ray import cloudpickle, tune
from ray.tune.search import ConcurrencyLimiter, Searcher
from tiny_program import PROGRAM, tiny_task

from raymimic import GuidedEvolutionSearch
from raymimic.errors import ProgramError
from raymimic.tune.evolution_search import FAILED, TESTED


@pytest.fixture
def make(tmp_path):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)

    def build(**settings):
        given = {"llm": "none", "seed": 0, "ledger": tmp_path / "ledger.jsonl"}
        return GuidedEvolutionSearch(file, **{**given, **settings})

    return build


def suggest(search, trial_id):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = search.suggest(trial_id)
        if found is not None:
            return found
        search.evolution.wait(1)
    raise AssertionError("no program within 30 s")


def result(epoch, accuracy, parameters=18, **more):
    return {
        "training_iteration": epoch,
        "accuracy": accuracy,
        "parameters": parameters,
        "time_total_s": 1.5,
        **more,
    }


def run(search, trial_id, *accuracies, **last):
    """As Tune reports a function that returns: its last result is repeated."""
    config = suggest(search, trial_id)
    for epoch, value in enumerate(accuracies, start=1):
        search.on_trial_result(trial_id, result(epoch, value, **last))
    search.on_trial_complete(trial_id, result(len(accuracies), accuracies[-1], done=True, **last))
    return config


def test_a_trial_carries_the_source_and_its_end_is_kept(make):
    search = make()
    assert run(search, "a", 0.5, 0.75) == {"individual": 0, "program": PROGRAM}
    seed = search.evolution.state.individuals[0]
    assert (seed.status, seed.values["accuracy"], seed.curve) == ("done", 0.75, (0.5, 0.75))
    assert seed.seconds == 1.5
    child = run(search, "b", 0.5, 0.9)
    assert child["program"] != PROGRAM
    assert [one.id for one in search.front()] == [1]
    assert "2 programs evaluated" in search.summary()


def test_a_trial_that_a_scheduler_stops_counts_as_far_as_it_came(make):
    search = make()
    suggest(search, "a")
    search.on_trial_result("a", result(1, 0.3))
    search.on_trial_complete("a", result(2, 0.4))
    assert search.evolution.state.individuals[0].status == "stopped"
    assert search.evolution.state.individuals[0].curve == (0.3, 0.4)


def test_a_paused_trial_that_is_stopped_keeps_its_last_result(make):
    search = make()
    suggest(search, "a")
    search.on_trial_result("a", result(1, 0.3))
    search.on_trial_complete("a", None)
    seed = search.evolution.state.individuals[0]
    assert (seed.status, seed.values["accuracy"], seed.curve) == ("stopped", 0.3, (0.3,))


@pytest.mark.parametrize(
    ("ended", "error", "said"),
    [
        (result(1, math.nan, **{FAILED: "error: IndexError"}), False, "IndexError"),
        (None, True, "ended with an error"),
        (result(1, math.nan), False, "no finite 'accuracy'"),
        ({"training_iteration": 1}, False, "no finite 'accuracy'"),
    ],
)
def test_a_failed_program_is_no_parent_and_says_why(make, ended, error, said):
    search = make()
    suggest(search, "a")
    search.on_trial_complete("a", ended, error=error)
    seed = search.evolution.state.individuals[0]
    assert (seed.status, said in seed.error) == ("failed", True)
    assert search.front() == []


def test_tune_gives_metric_and_mode_and_a_space_is_refused(make):
    search = make(objectives=[("latency", "min")])
    assert search.set_search_properties("score", "min", {"epochs": 3})
    assert [(o.name, o.mode) for o in search.evolution.state.objectives] == [
        ("score", "min"), ("latency", "min"),
    ]  # fmt: skip
    assert not make().set_search_properties("accuracy", "max", {"lr": tune.uniform(0, 1)})


def test_unknown_trials_and_broken_results_do_not_raise(make):
    search = make()
    search.on_trial_result("ghost", {})
    search.on_trial_complete("ghost", None)
    suggest(search, "a")
    search.on_trial_result("a", {"accuracy": "high", "training_iteration": None})
    search.on_trial_complete(trial_id="a", result={"accuracy": [1]})
    search.on_trial_complete("a", None, error=True)
    assert search.evolution.state.individuals[0].status == "failed"


def test_a_hopeless_evolution_ends_the_run(make, caplog):
    search = make()
    for number in range(8):
        suggest(search, f"t{number}")
        search.on_trial_complete(f"t{number}", result(1, math.nan, **{FAILED: "no data"}))
    assert search.suggest("t8") == Searcher.FINISHED
    assert "all of the first 8 evaluations failed" in caplog.text
    assert "no data" in caplog.text


def test_save_and_restore_keep_everything_and_lose_what_tune_forgot(make, tmp_path):
    llm = EditingLLM()
    search = make(llm=llm)
    run(search, "a", 0.5)
    suggest(search, "kept")
    search.save(str(tmp_path / "state.pkl"))
    run(search, "later", 0.6)
    suggest(search, "gone")
    search.evolution.wait(10)
    search.evolution.close()
    paid = len(llm.requests)
    again = make(llm=llm, ledger=tmp_path / "unused.jsonl")
    again.restore(str(tmp_path / "state.pkl"))
    state = again.evolution.state
    assert {one.trial_id: one.status for one in state.individuals.values() if one.trial_id} == {
        "a": "done", "kept": "running", "later": "done",
    }  # fmt: skip
    waiting = state.of_status("waiting")
    assert suggest(again, "new")["individual"] == waiting[0].id
    again.evolution.wait(10)
    assert again.evolution.state.spent.calls <= paid + 1
    again.evolution.close()
    assert len(rows(tmp_path, "individual_lost")) == 1


def test_a_ledger_without_a_named_place_lies_with_the_experiment_and_moves_with_it(
    make, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    search = make(ledger=None)
    (tmp_path / "run").mkdir()
    run(search, "a", 0.5)
    search.save_to_dir(str(tmp_path / "run"))
    run(search, "later", 0.6)
    search.evolution.close()
    assert search.ledger_path.parent == tmp_path / "run"
    assert "individual_start" in search.ledger_path.read_text()
    assert not list((tmp_path / "home").rglob("*.jsonl"))
    (tmp_path / "run").rename(tmp_path / "moved")
    again = make(ledger=None)
    again.restore_from_dir(str(tmp_path / "moved"))
    assert again.ledger_path.parent == tmp_path / "moved"
    assert len(again.evolution.state.of_status("done")) == 2


def test_it_pickles_without_a_key_and_works_in_a_limiter(make, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret-secret")
    pytest.importorskip("anthropic")
    search = make(llm="anthropic:claude-haiku-4-5", task=None)
    assert b"sk-secret" not in cloudpickle.dumps(search)
    copy = pickle.loads(pickle.dumps(make(task=None)))
    limiter = ConcurrencyLimiter(copy, max_concurrent=2)
    assert limiter.suggest("a")["individual"] == 0


def test_the_test_set_is_scored_once_for_the_front_alone(make, tmp_path):
    import numpy as np

    from raymimic.evolution.sealed import seal

    search = make()
    sealed = seal(np.array([0, 1, 1, 0]))
    run(search, "a", 0.5, 0.9, **{TESTED: sealed})
    run(search, "b", 0.5, 0.4, **{TESTED: sealed})
    assert search.test_front(np.array([0, 1, 1, 1])) == {0: 0.75}
    assert "0.75" in search.summary()
    with pytest.raises(ProgramError, match="4 test inputs, got 2"):
        search.test_front(np.array([0, 1]))
    files = search.write_results(tmp_path / "out")
    assert [file.name for file in files] == ["evolution.md", "front.svg", "program_0000.py"]
    best = files[-1].read_text()
    assert best.startswith("# accuracy 0.9, parameters 18; by seed.")
    assert best.endswith(PROGRAM)
    picture = files[1].read_text()
    assert picture.count("<circle") == 2
    assert "accuracy 0.4" in picture
    assert ">seed</text>" in picture
    assert re.findall(r">(0\.\d+)</text>", picture) == ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]
    assert "The seed: accuracy 0.9, parameters 18" in files[0].read_text()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"population": 1}, "population"), ({"timeout": 0}, "timeout"), ({"mode": "up"}, "mode")],
)
def test_settings_that_cannot_work_are_refused(make, settings, said):
    with pytest.raises(ValueError, match=said):
        make(**settings)


def test_on_the_controllers_thread_nothing_waits(make, sandboxed):
    """A smoke test takes seconds, a model minutes: `suggest` must not."""
    del sandboxed
    search = make(task=tiny_task())
    suggest(search, "a")
    before = time.thread_time()
    for _ in range(100):
        search.suggest("b")
        if search.evolution.state.by_trial.get("b"):
            break
    assert (time.thread_time() - before) / 100 < 0.005  # CPU seconds, whatever the load
    search.evolution.close()
