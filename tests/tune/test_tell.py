"""A searcher is steered by its own program, and from another terminal."""

from __future__ import annotations

import threading
import time

import pytest
from ray import tune
from ray.tune.search import Searcher

from raymimic import LLMScheduler
from raymimic.cli import main
from raymimic.search.inbox import post
from raymimic.testing.advisors import run_trial, suggest


def test_the_command_waits_for_the_answer_and_the_next_trial_obeys(make, tmp_path, capsys):
    searcher = make()
    searcher.suggest("t0")
    searcher.ledger.flush()
    assert main(["tell", str(tmp_path), "x", "below", "0.1;", "prefer x around 0.05"]) == 0
    shown = capsys.readouterr().out
    assert "1. x below 0.1: from now on x < 0.1: x is now from 0 to 0.1 (was from 0 to 1)" in shown
    assert "2. prefer x around 0.05: believed from now on: x 0.05" in shown
    run_trial(searcher, "t0", [1.0])
    assert suggest(searcher, "t1")["x"] < 0.1
    assert main(["tell", str(tmp_path)]) == 0
    assert capsys.readouterr().out == shown


def test_what_is_told_before_the_run_counts_from_its_first_trial(make):
    searcher = make(metric=None, mode=None, space=None)
    assert searcher.tell("x below 0.1") == "kept until the search begins"
    searcher.set_search_properties("loss", "min", {"x": tune.uniform(0, 1)}, num_samples=4)
    assert suggest(searcher, "t0")["x"] < 0.1
    with pytest.raises(TypeError, match="must be text, got int"):
        searcher.tell(3)


def test_a_configuration_of_a_branch_is_queued_in_that_branch_or_refused(make):
    branches = [{"name": "sgd", "momentum": tune.uniform(0, 0.99)}, {"name": "adam"}]
    point = {"opt": {"name": "adam"}}
    searcher = make(space={"opt": tune.choice(branches)}, points_to_evaluate=[point])
    assert suggest(searcher, "t0") == point
    run_trial(searcher, "t0", [1.0])  # the best, of which the rest is taken
    assert "opt=sgd, opt/momentum=0.3" in searcher.tell("enqueue opt/momentum=0.3")
    assert suggest(searcher, "t1") == {"opt": {"name": "sgd", "momentum": 0.3}}
    said = searcher.tell("enqueue opt=adam, opt/momentum=0.3")
    assert 'refused: opt/momentum, number from 0.0 to 0.99; exists only with opt "sgd"' in said


def test_tune_is_told_to_wait_and_to_end_and_a_second_run_goes_on(make):
    searcher = make()
    searcher.suggest("t0")
    searcher.tell("pause")
    run_trial(searcher, "t0", [1.0])
    assert [searcher.suggest("t1") for _ in range(3)] == [None] * 3
    searcher.tell("resume")
    assert suggest(searcher, "t1")
    searcher.tell("stop after the running trials")
    assert searcher.suggest("t2") == Searcher.FINISHED
    assert "Tune was told already" in searcher.tell("resume")
    run_trial(searcher, "t1", [1.0])
    assert searcher.tally.ended.total() == 2
    searcher.set_search_properties("loss", "min", {"x": tune.uniform(0, 1)}, num_samples=2)
    assert suggest(searcher, "t2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a song", "--wait", "0.1"], "no answer within 0.1 s"),
        ([" "], "a wish needs words"),
        (["x" * 1_000_000], "at most 4,000 characters, got 1,000,000"),
    ],
)
def test_what_cannot_be_heard_is_said(make, tmp_path, capsys, words, said):
    searcher = make()
    searcher.suggest("t0")
    searcher.ledger.flush()
    searcher._session._inbox.stop()
    assert main(["tell", str(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_has_ended_or_is_not_there_hears_nothing(make, tmp_path, capsys):
    searcher = make()
    suggest(searcher, "t0")
    run_trial(searcher, "t0", [1.0])
    searcher.finish()
    assert main(["tell", str(tmp_path), "pause"]) == 2
    assert "has ended, so nobody would hear it" in capsys.readouterr().err
    assert main(["tell", str(tmp_path / "nowhere"), "pause"]) == 2
    assert "must be a ledger, a results folder" in capsys.readouterr().err
    assert main(["tell", "s3://bucket/run", "pause"]) == 2
    assert "must be a file on this machine" in capsys.readouterr().err


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_real_run_stops_a_trial_and_ends_on_a_wish(make, tmp_path, events):
    searcher = make(space=None, metric=None, mode=None)

    def train(config):
        for _ in range(1000):
            tune.report({"loss": config["x"]})
            time.sleep(0.02)

    def steer():
        while not searcher.steering.stops or not searcher.tally.trials:
            time.sleep(0.05)
        (trial_id,) = searcher.tally.trials
        post(searcher.ledger.path, f"stop after the running trials; stop trial {trial_id}")

    thread = threading.Thread(target=steer, daemon=True)
    thread.start()
    results = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", num_samples=9, max_concurrent_trials=1,
            search_alg=searcher, scheduler=LLMScheduler(searcher=searcher),
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "ray"), verbose=0),
    ).fit()  # fmt: skip
    assert len(results) == 1
    assert results[0].metrics["training_iteration"] < 1000
    assert [row["kind"] for row in events("stop")] == ["wished"]
    assert next(row["answer"] for row in events("wish")).startswith("no new trial starts")
