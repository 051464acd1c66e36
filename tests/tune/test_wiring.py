"""One object wires a run: what it starts has searcher, scheduler and callback, and they agree."""

from __future__ import annotations

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from raymimic import Knob, LiveKnobs, Raymimic, read_events
from raymimic.tune import wiring

SPACE = {"x": tune.uniform(0.0, 1.0)}


def results_of(make, tmp_path, how):
    def train(config):
        for epoch in range(1, 9):
            tune.report({"loss": config["x"] + 1.0 / epoch})

    mimic = make(ledger=tmp_path / "ledger.jsonl")
    if how == "Tuner":
        grid = mimic.tuner(
            train,
            param_space=SPACE,
            tune_config=tune.TuneConfig(
                metric="loss", mode="min", num_samples=4, max_concurrent_trials=2
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        ).fit()
        return mimic, [result.metrics for result in grid]
    analysis = mimic.run(
        train,
        config=SPACE,
        metric="loss",
        mode="min",
        num_samples=4,
        storage_path=str(tmp_path),
        verbose=0,
    )
    return mimic, list(analysis.results.values())


@pytest.mark.ray
@pytest.mark.parametrize("how", ["Tuner", "tune.run"])
def test_one_call_gives_search_stopping_and_reasons_in_the_results(
    ray_here, quiet_ray, tmp_path, how
):
    mimic, rows = results_of(lambda **more: Raymimic(llm="none", seed=0, **more), tmp_path, how)

    assert len(rows) == 4
    assert all(row["raymimic/reason"] and row["raymimic/decision"] for row in rows)
    events = read_events(tmp_path / "ledger.jsonl")
    assert len(events.of("start")) == len(events.of("outcome")) == 4
    assert "4 trials ended" in mimic.summary()


def test_the_model_is_one_client_for_both_questions(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    given = []
    for part in ("LLMSearcher", "LLMScheduler"):
        made = getattr(wiring, part)
        monkeypatch.setattr(
            wiring, part, lambda made=made, **more: given.append(more["llm"]) or made(**more)
        )
    Raymimic(llm="openai:some-model", ledger=tmp_path / "ledger.jsonl")
    assert given[0] is given[1]
    assert given[0].model == "some-model"


@pytest.mark.parametrize(
    ("name", "theirs"), [("scheduler", ASHAScheduler()), ("search_alg", object())]
)
def test_another_searcher_or_scheduler_is_refused_in_words(tmp_path, name, theirs):
    mimic = Raymimic(llm="none", ledger=tmp_path / "ledger.jsonl")
    with pytest.raises(ValueError, match=f"{name} must be left to Raymimic, got"):
        mimic.run(print, **{name: theirs})
    if name == "scheduler":
        config = tune.TuneConfig(metric="loss", mode="min", scheduler=theirs)
        with pytest.raises(ValueError, match=r"tune_config\.scheduler must be left to Raymimic"):
            mimic.tuner(print, param_space=SPACE, tune_config=config)


def test_population_says_what_it_needs(tmp_path):
    with pytest.raises(ValueError, match="knobs=LiveKnobs"):
        Raymimic(llm="none", population=True, ledger=tmp_path / "ledger.jsonl")
    knobs = LiveKnobs({"lr": Knob(1e-4, 1e-1)})
    Raymimic(llm="none", population=True, knobs=knobs, ledger=tmp_path / "ledger.jsonl")
