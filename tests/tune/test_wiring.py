"""One object wires a run: what it starts has searcher, scheduler and callback, and they agree."""

from __future__ import annotations

import functools
import json

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from raymimic import Knob, LiveKnobs, Raymimic, read_events
from raymimic.advisor import build_request, evidence_from_ledger
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
                metric="loss",
                mode="min",
                num_samples=4,
                max_concurrent_trials=2,
                reuse_actors=True,
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
        reuse_actors=True,
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


class _Net(tune.Trainable):
    """A small net on digits."""


def _fit(config, data=None):
    """Fit a tree to the wine data.

    password="correct-horse-battery"
    """


@pytest.mark.parametrize(
    ("trainable", "words"),
    [
        (_fit, "_fit\nFit a tree to the wine data."),
        (tune.with_resources(tune.with_parameters(_fit, data=1), {"cpu": 1}), "Fit a tree"),
        (functools.partial(_fit, data=1), "Fit a tree"),
        (tune.with_resources(tune.with_parameters(_Net, data=1), {"cpu": 1}), "_Net\nA small net"),
        ("registered", ""),
    ],
)
def test_a_model_is_told_what_the_trainable_says_of_itself(tmp_path, trainable, words):
    mimic = Raymimic(llm="none", seed=0, ledger=tmp_path / "ledger.jsonl")
    mimic.tuner(
        trainable,
        param_space=SPACE,
        tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=2),
    )
    mimic.searcher.set_search_properties("loss", "min", SPACE, stop={"training_iteration": 7})
    here = build_request(mimic.searcher.evidence(), 1)
    mimic.searcher.ledger.flush()
    later = build_request(evidence_from_ledger(read_events(tmp_path / "ledger.jsonl")), 1)
    for asked in (here, later):
        assert "correct-horse" not in asked.system
        assert (json.dumps(words)[1:-1] in asked.system) is bool(words) or not words
        assert ("The training says of itself" in asked.system) is bool(words)
        assert "a training has at most 7 epochs" in asked.user


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


def test_it_says_why_no_model_reads(tmp_path, caplog):
    with caplog.at_level("INFO", logger="raymimic"):
        mimic = Raymimic(ledger=tmp_path / "ledger.jsonl")
        mimic.searcher.set_search_properties("loss", "min", SPACE)
        mimic.searcher.suggest("a")
    assert any(line.startswith("raymimic: no key found") for line in caplog.messages)


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
