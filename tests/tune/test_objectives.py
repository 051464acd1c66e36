"""Several objectives through the searcher's door: given, kept, restored; what is wrong is said."""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

import pytest
from ray import cloudpickle, tune

from raymimic import LLMScheduler, LLMSearcher, Objective, Raymimic, ScriptedLLM, read_events
from raymimic.advisor import evidence_from_ledger
from raymimic.errors import ConfigError
from raymimic.testing.advisors import suggest

cloudpickle.register_pickle_by_value(sys.modules[__name__])

REPLY = json.dumps(
    {
        "belief": {},
        "proposals": [{"config": {"x": 0.9}, "rationale": "the low end", "expected": None}],
    }
)
BOTH = {"metric": ["loss", "latency"], "mode": ["min", "min"]}


def both(make: Any, **settings: Any) -> LLMSearcher:
    return make(**{**BOTH, **settings})


def run(searcher: LLMSearcher, trial_id: str, loss: float, latency: float | None) -> None:
    """One trial of two epochs."""
    suggest(searcher, trial_id)
    for epoch, value in ((1, loss + 1.0), (2, loss)):
        result = {"loss": value, "training_iteration": epoch}
        if latency is not None:
            result["latency"] = latency
        if epoch == 1:
            searcher.on_trial_result(trial_id, result)
        else:
            searcher.on_trial_complete(trial_id, result)


def front(searcher: LLMSearcher) -> list[str]:
    return [trial.trial_id for trial in searcher.evidence().front()]


def test_the_front_is_kept_through_ledger_and_checkpoint(make, tmp_path):
    searcher = both(make)
    for name, loss, latency in (("a", 0.5, 1.0), ("b", 0.3, 4.0), ("c", 0.6, 5.0)):
        run(searcher, name, loss, latency)
    assert front(searcher) == ["b", "a"]
    searcher.save(str(tmp_path / "saved"))
    run(searcher, "d", 0.4, 2.0)
    searcher.ledger.flush()
    told = evidence_from_ledger(read_events(searcher.ledger.path))
    assert told.others == (Objective("latency", "min"),)
    assert [trial.trial_id for trial in told.front()] == ["b", "d", "a"]
    for later in (make(metric=None, mode=None), pickle.loads(pickle.dumps(both(make)))):
        later.restore(str(tmp_path / "saved"))
        assert later.objectives == (Objective("loss", "min"), Objective("latency", "min"))
        assert front(later) == ["b", "d", "a"]


def test_a_trial_beyond_a_limit_is_on_no_front(make):
    searcher = both(make, constraints={"latency": "<= 3"})
    for name, loss, latency in (("a", 0.5, 1.0), ("b", 0.3, 4.0), ("c", 0.4, 2.0)):
        run(searcher, name, loss, latency)
    assert front(searcher) == ["c", "a"]
    assert "Best in the first objective: loss 0.4 in trial c" in searcher.summary()


def test_tune_may_name_one_of_the_objectives_or_none(make):
    space = {"x": tune.uniform(0, 1)}
    for metric, mode in ((None, None), ("latency", "min"), ("loss", None)):
        searcher = both(make, space=None)
        assert searcher.set_search_properties(metric, mode, space, num_samples=3)
        assert (searcher.metric, searcher.mode) == ("loss", "min")
    with pytest.raises(ValueError, match=r"metric='auc'.*\['loss', 'latency'\].*left out"):
        both(make, space=None).set_search_properties("auc", "max", space)
    with pytest.raises(ValueError, match=r"mode='max'.*'latency', 'min'"):
        both(make, space=None).set_search_properties("latency", "max", space)


def test_a_scheduler_has_its_searchers_objectives_or_lists_of_its_own(make):
    for scheduler in (
        LLMScheduler(searcher=both(make), llm="none"),
        LLMScheduler(**BOTH, llm="none"),
    ):
        assert scheduler.set_search_properties(None, None, num_samples=3)
        assert scheduler.goal == ("loss", "min")
        assert scheduler.set_search_properties("latency", "min")
        assert scheduler.goal == ("loss", "min")
        assert scheduler.reports.others == ("latency",)
        with pytest.raises(ValueError, match="metric='auc'"):
            scheduler.set_search_properties("auc", "max")


@pytest.mark.parametrize(
    ("metric", "mode", "said"),
    [
        (["a", "b"], ["min"], "2 metrics and 1 modes"),
        (["a", "b"], "min", "a list of as many modes"),
        (["a", "b"], None, "a list of as many modes"),
        ("a", ["min"], "a list of metrics"),
        (["a", "a"], ["min", "max"], "'a' more than once"),
        (["a", "b"], ["min", "obs"], "'obs'"),
        (["a", 3], ["min", "max"], "must be a name"),
        ([], [], "1 to 4"),
        (list("abcde"), ["min"] * 5, "1 to 4"),
    ],
)
def test_objectives_that_cannot_be_are_refused_in_words(metric, mode, said):
    with pytest.raises(ValueError, match=said):
        LLMSearcher(metric=metric, mode=mode, llm="none")


def test_a_scheduler_judges_by_what_its_searcher_optimises(make):
    one = make(metric="loss", mode="max")
    alone = LLMScheduler(searcher=one, llm="none")
    assert alone.set_search_properties(None, None)
    assert alone.goal == ("loss", "max")
    for searcher in (one, both(make)):
        scheduler = LLMScheduler("accuracy", "max", searcher=searcher, llm="none")
        with pytest.raises(ValueError, match=r"optimises, loss .*got accuracy \(max\): leave"):
            scheduler.set_search_properties(None, None)


def test_a_list_of_one_is_one_objective(make):
    assert make(metric=["loss"], mode=["max"]).objectives == (Objective("loss", "max"),)


def test_an_objective_that_is_never_reported_is_said_once_and_costs_no_trial(make, caplog):
    searcher = both(make)
    for number in range(4):
        run(searcher, f"t{number}", 1.0 - number / 10, None)
    said = [r.getMessage() for r in caplog.records if "could not be read" in r.getMessage()]
    assert len(said) == 1
    assert "'latency' was not reported; what came is 'loss'" in said[0]
    assert front(searcher) == []
    assert [t.trial_id for t in searcher.evidence().ranked()] == ["t3", "t2", "t1", "t0"]


def test_a_metric_that_tune_adds_by_itself_may_be_an_objective(make):
    searcher = make(metric=["loss", "time_total_s"], mode=["min", "min"])
    suggest(searcher, "a")
    result = {"loss": 1.0, "time_total_s": 3.5, "training_iteration": 1}
    searcher.on_trial_complete("a", result)
    (record,) = searcher.evidence().trials
    assert record.measured == {"time_total_s": 3.5}


def test_a_trial_of_elsewhere_has_a_number_for_each_objective(make):
    searcher = both(make)
    searcher.add_evaluated_point({"x": 0.2}, [0.5, 3.0])
    searcher.add_evaluated_point({"x": 0.3}, [0.6, 2.0])
    assert front(searcher) == ["given_0000", "given_0001"]
    for value in (0.5, [0.5], "ab", [0.5, None, 1.0]):
        with pytest.raises(ConfigError, match="a list of 2 numbers"):
            searcher.add_evaluated_point({"x": 0.4}, value)


def two_goals(config: dict[str, Any]) -> None:
    """A loss that is lowest at x = 1, a latency that is lowest at x = 0."""
    for epoch in range(1, 4):
        tune.report({"loss": (config["x"] - 1) ** 2 + 1 / epoch, "latency": config["x"]})


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
def test_a_run_of_two_objectives_under_tune(tmp_path, capfd):
    mimic = Raymimic(
        **BOTH, llm=ScriptedLLM([REPLY] * 4), seed=0, ledger=str(tmp_path / "ledger.jsonl")
    )
    grid = mimic.tuner(
        two_goals,
        param_space={"x": tune.uniform(0.0, 1.0)},
        tune_config=tune.TuneConfig(num_samples=6, max_concurrent_trials=2, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert len(grid) == 6
    assert not grid.errors
    evidence = mimic.searcher.evidence()
    assert len(evidence.front()) == 6  # nothing between 0 and 1 beats anything
    assert "Front of loss (lower is better), latency (lower is better)" in mimic.summary()
    out = capfd.readouterr().out
    assert "*front*" in out
    assert "on the front" in out or "latency" in out
