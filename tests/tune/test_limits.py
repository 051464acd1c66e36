"""Limits of a result's metrics, and memory, as a user meets them in a search."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from ray import tune

from raymimic import read_events
from raymimic.advisor import build_request, evidence_from_ledger, lessons_text
from raymimic.errors import SpaceError
from raymimic.report.reading import read_run
from raymimic.report.story import story_of
from raymimic.testing.advisors import suggest

SPACE = {"x": tune.uniform(0.0, 1.0), "y": tune.uniform(0.0, 1.0)}
OUT = "RuntimeError: CUDA out of memory. Tried to allocate 9.00 GiB"


def run(searcher: Any, name: str, *, dies_above: float = 2.0, **more: float) -> float:
    """A trial whose loss falls with x and whose memory grows with it; returns its x."""
    config = suggest(searcher, name)
    if config["x"] > dies_above:
        searcher.on_trial_complete(name, None, error=True)
        searcher.note_error(name, OUT)
        return float(config["x"])
    loss = 1.0 - config["x"] + (config["y"] - 0.5) ** 2
    result = {"loss": loss, "memory_gb": 40.0 * config["x"] + 0.1, "training_iteration": 1, **more}
    searcher.on_trial_result(name, result)
    searcher.on_trial_complete(name, {**result, "done": True})
    return float(config["x"])


def test_the_search_keeps_to_a_limit_and_hands_over_the_best_within(make, events):
    searcher = make(space=SPACE, constraints=["y > 0.1", {"memory_gb": "<= 16", "loss": "<= 9"}])
    tried = [run(searcher, f"t{number}") for number in range(25)]
    assert max(tried) > 0.4  # it had to learn where the limit is
    late = tried[10:]
    assert sum(x > 0.42 for x in late) <= 3
    best = searcher.evidence().best
    assert best is not None
    assert 0.3 < best.config["x"] < 0.4
    assert f"in trial {best.trial_id}" in searcher.summary()
    assert "Limits memory_gb <= 16, loss <= 9" in searcher.summary()
    assert events("outcome")[0]["limits"][1]["kept"] is True
    again = evidence_from_ledger(read_events(searcher.ledger.path))
    assert again.best is not None
    assert again.best.trial_id == best.trial_id
    assert "likely to keep to the limits" in searcher.trial("t24").rationale


def test_before_any_trial_keeps_to_a_limit_it_looks_for_one_that_does(make):
    searcher = make(space=SPACE, constraints={"memory_gb": "<= 2"}, points_to_evaluate=[
        {"x": 0.9, "y": 0.5}, {"x": 0.6, "y": 0.5}, {"x": 0.3, "y": 0.5}])  # fmt: skip
    for number in range(3):
        run(searcher, f"t{number}")
    assert "Best: none, no trial kept to the limits" in searcher.summary()
    assert "No trial has kept to the limits yet" in _prompt(searcher)
    tried = [run(searcher, f"u{number}") for number in range(15)]
    assert min(tried) < 0.05
    assert searcher.evidence().best is not None


def test_a_region_that_runs_out_of_memory_is_left(make):
    searcher = make(space=SPACE)
    tried = [run(searcher, f"t{number}", dies_above=0.4) for number in range(25)]
    assert sum(x > 0.5 for x in tried[10:]) <= 5
    assert max(x for x in tried if x <= 0.4) > 0.38  # the optimum, on the very edge
    lost = sum(x > 0.4 for x in tried)
    assert f"Failed: {lost} ran out of memory." in searcher.summary()
    assert "it failed: ran out of memory" in _prompt(searcher)


def test_a_model_reads_the_limits_and_what_came_of_them(make):
    searcher = make(space=SPACE, constraints={"memory_gb": "<= 16"}, points_to_evaluate=[
        {"x": 0.9, "y": 0.5}, {"x": 0.1, "y": 0.5}])  # fmt: skip
    for number in range(2):
        run(searcher, f"t{number}")
    request = build_request(*searcher.next_question())
    assert "Limits of a trial's last results: memory_gb <= 16." in request.system
    assert "limit memory_gb <= 16: 36.1, over" in request.user
    assert "limit memory_gb <= 16: 4.1, kept" in request.user
    assert "beyond a limit" in request.user
    assert "in trial t1" in request.user  # the best is the one within


def test_a_restored_search_still_knows_the_limit(make, tmp_path):
    first = make(space=SPACE, constraints={"memory_gb": "<= 16"}, points_to_evaluate=[
        {"x": 0.9, "y": 0.5}, {"x": 0.1, "y": 0.5}])  # fmt: skip
    for number in range(2):
        run(first, f"t{number}")
    first.save(str(tmp_path / "state"))
    again = make(space=SPACE, constraints={"memory_gb": "<= 16"})
    again.restore(str(tmp_path / "state"))
    assert again.evidence().best.trial_id == "t1"
    assert "Best: loss 0.9 in trial t1" in again.summary()


def test_a_metric_that_never_comes_is_said_once_and_nothing_is_lost(make, caplog):
    searcher = make(space=SPACE, constraints={"memory": "<= 16", "time_total_s": "< 5"})
    with caplog.at_level(logging.WARNING, "raymimic"):
        for number in range(3):
            run(searcher, f"t{number}", time_total_s=1.0)
    assert caplog.text.count("limit memory <= 16 cannot be told") == 1
    assert "'memory_gb'" in caplog.text
    assert "time_total_s <" not in caplog.text
    assert "memory <= 16 was not reported by 3 trials" in searcher.summary()
    assert searcher.evidence().best is not None


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        ({"memory_gb": "16"}, "<=, <, >= or > and a number"),
        ({"memory_gb": "<= lots"}, "<=, <, >= or > and a number"),
        ({"memory_gb": 16}, "<=, <, >= or > and a number"),
        ({3: "<= 16"}, "must name a metric"),
        ({"x": "<= 0.5"}, "give the text 'x <= 0.5'"),
        (["memory_gb <= 16"], "is no parameter"),
    ],
)
def test_what_is_no_limit_is_said_before_the_first_trial(make, constraints, said):
    def start():
        searcher = make(space=None, metric=None, mode=None, constraints=constraints)
        searcher.set_search_properties("loss", "min", SPACE)

    with pytest.raises(SpaceError, match=said):
        start()


def _prompt(searcher: Any) -> str:
    return build_request(*searcher.next_question()).user


def test_report_and_lessons_hand_over_what_keeps_to_the_limits(make):
    searcher = make(space=SPACE, constraints={"memory_gb": "<= 16"}, points_to_evaluate=[
        {"x": 0.9, "y": 0.5}, {"x": 0.1, "y": 0.5}, {"x": 0.2, "y": 0.5}])  # fmt: skip
    for number in range(2):
        run(searcher, f"t{number}")
    run(searcher, "t2", dies_above=0.1)
    searcher.ledger.flush()
    told = read_run([searcher.ledger.path])
    assert told.best is not None
    assert told.best.trial_id == searcher.best.trial_id == "t1"
    assert told.best_after == [None, None, 0.9, 0.9]
    story = dict(story_of(told, 0))
    assert story["Limits"] == "memory_gb <= 16: broken, 36.1"
    assert story["Ended"].endswith("beyond a limit: it does not count")
    assert "ran out of memory" in dict(story_of(told, 2))["Ended"]
    lessons = lessons_text(searcher.evidence())
    assert '1 with a score within "memory_gb <= 16"' in lessons
    assert "2 of 3 trials (ran out of memory 1x)" in lessons
    assert '"x": 0.9' not in lessons


def test_a_define_by_run_function_is_refused_with_the_cure(make):
    with pytest.raises(SpaceError, match="write what depends on a value as branches"):
        make(space=lambda trial: {"x": trial.suggest_float("x", 0, 1)})
