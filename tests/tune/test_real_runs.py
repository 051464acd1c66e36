"""The searcher in real Ray Tune runs: what only Tune itself can show."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle, tune
from ray.tune.schedulers import ASHAScheduler

from raymimic import LLMAdvisor, LLMSearcher, RaymimicCallback, ScriptedLLM, read_events
from raymimic.errors import LLMCallError

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here")]

# Workers cannot import this file; its functions travel by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = {"lr": tune.loguniform(1e-4, 1.0), "net": {"width": tune.choice([8, 16])}, "epochs": 3}

BRANCHES = {
    **SPACE,
    "opt": tune.choice(
        [
            {"name": "sgd", "momentum": tune.uniform(0, 0.99)},
            {"name": "adam", "k": tune.choice([1])},
        ]
    ),
}


def train(config: dict[str, Any]) -> None:
    for epoch in range(config["epochs"]):
        tune.report({"loss": config["lr"] + 1.0 / (epoch + 1), "train_loss": 1.0 / (epoch + 1)})


def reply(*lrs: float) -> str:
    proposals = [
        {"config": {"lr": lr, "net/width": 16}, "rationale": f"lr {lr}", "expected": lr}
        for lr in lrs
    ]
    return json.dumps({"proposals": proposals})


def fit(searcher: Any, tmp_path: Path, trainable: Any = train, **config: Any) -> tune.ResultGrid:
    callbacks = config.pop("callbacks", None)
    tuner = tune.Tuner(
        trainable,
        param_space=config.pop("param_space", SPACE),
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            search_alg=searcher,
            reuse_actors=True,
            **{"num_samples": 4, "max_concurrent_trials": 2, **config},
        ),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), name="run", verbose=0, callbacks=callbacks
        ),
    )
    return tuner.fit()


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.jsonl")


def test_tuner_runs_what_the_model_proposes_and_keeps_whole_curves(tmp_path, ledger, capfd):
    model = LLMAdvisor(ScriptedLLM([reply(0.1, 0.2), reply(0.3, 0.4)]))
    searcher = LLMSearcher(llm=model, batch_size=2, patience=30, ledger=ledger)
    grid = fit(searcher, tmp_path, callbacks=[RaymimicCallback(searcher)])
    proposed = [result for result in grid if result.metrics["raymimic/source"] == "llm"]
    assert sorted(result.config["lr"] for result in proposed) == [0.1, 0.2, 0.3, 0.4]
    assert {result.config["net"]["width"] for result in proposed} == {16}
    outcomes = read_events(ledger).of("outcome")
    assert [len(row["curve"]["columns"]["loss"]) for row in outcomes] == [3] * 4
    assert searcher.tally.started == {"llm": 4}
    screen = capfd.readouterr().out
    assert screen.count("llm: lr 0.") == 4
    assert "[4/4" in screen


def test_tune_run_takes_it_as_well(tmp_path, ledger):
    searcher = LLMSearcher(metric="loss", mode="min", llm="none", seed=1, ledger=ledger)
    analysis = tune.run(
        train, config=BRANCHES, num_samples=3, search_alg=searcher, storage_path=str(tmp_path),
        verbose=0, reuse_actors=True,
    )  # fmt: skip
    assert len(analysis.trials) == 3
    for given, count in [(analysis, 3), (analysis.trials[:2], 2), (analysis.trials[0], 1)]:
        later = LLMSearcher(BRANCHES, "loss", "min", llm="none", ledger=f"{ledger}.{count}")
        later.add_evaluated_trials(given, "loss")
        assert {trial.source for trial in later.evidence().trials} == {"user"}
        assert len(later.evidence().trials) == count
        assert later.suggest("next") is not None
    assert searcher.tally.started.total() == 3
    assert "3 trials ended" in read_events(ledger).of("summary")[0]["text"]


def test_a_slow_model_holds_up_neither_trials_nor_the_end(tmp_path, ledger):
    model = LLMAdvisor(ScriptedLLM([reply(0.1, 0.2), reply(0.3, 0.4)], latency=0.5))
    searcher = LLMSearcher(llm=model, batch_size=2, patience=30, ledger=ledger)
    assert len(fit(searcher, tmp_path)) == 4
    assert searcher.tally.started == {"llm": 4}
    assert not searcher.tally.fallbacks


def test_a_dead_model_costs_the_run_nothing_but_its_advice(tmp_path, ledger):
    llm = ScriptedLLM([LLMCallError("down", status="503")] * 50)
    searcher = LLMSearcher(llm=llm, ledger=ledger)
    grid = fit(searcher, tmp_path, max_concurrent_trials=1)
    assert len(grid) == 4
    assert "llm" not in searcher.tally.started
    assert sum(searcher.tally.fallbacks.values()) == 4


def test_errors_reach_the_advisor_with_their_text(tmp_path, ledger):
    def fail(config: dict[str, Any]) -> None:
        if config["lr"] > 0.25:
            raise MemoryError("the GPU is full")
        train(config)

    llm = ScriptedLLM([reply(0.3), reply(0.1), reply(0.2)])
    searcher = LLMSearcher(llm=LLMAdvisor(llm), batch_size=1, patience=30, ledger=ledger)
    fit(searcher, tmp_path, fail, num_samples=3, max_concurrent_trials=1,
        callbacks=[RaymimicCallback(searcher)])  # fmt: skip
    assert searcher.tally.ended == {"done": 2, "failed": 1}
    assert "the GPU is full" in read_events(ledger).of("error")[0]["text"]
    assert "the GPU is full" in llm.requests[2].user


def test_asha_may_stop_trials_and_their_last_epoch_is_kept(tmp_path, ledger):
    searcher = LLMSearcher(llm="none", seed=0, ledger=ledger)
    scheduler = ASHAScheduler(max_t=3, grace_period=1, reduction_factor=2)
    grid = fit(searcher, tmp_path, scheduler=scheduler, num_samples=6)
    lengths = {
        row["trial_id"]: row["curve"]["epochs"][-1] for row in read_events(ledger).of("outcome")
    }
    for result in grid:
        assert lengths[result.metrics["trial_id"]] == result.metrics["training_iteration"]


def test_an_endless_search_ends_with_its_time_budget(tmp_path, ledger):
    searcher = LLMSearcher(llm="none", seed=0, ledger=ledger)
    begun = time.monotonic()
    grid = fit(searcher, tmp_path, num_samples=-1, time_budget_s=3)
    assert time.monotonic() - begun < 15
    assert len(grid) >= 2
    assert read_events(ledger).of("search")[0]["trials_total"] is None


def test_objects_and_sample_from_pass_through_unchanged(tmp_path, ledger):
    class Loss:
        pass

    def check(config: dict[str, Any]) -> None:
        assert isinstance(config["object"], type)
        assert config["double"] == 2 * config["lr"]
        assert config["kind"] in (None, [1, 2])
        opt = config["opt"]
        if opt["class"] is Loss:
            assert set(opt) == {"class", "momentum", "twice"}
            assert opt["twice"] == 2 * opt["momentum"] <= 2
        else:
            assert opt == {"class": dict, "beta": 0.5}
        tune.report({"loss": opt.get("momentum", 1.0)})

    space = {
        "lr": tune.uniform(0.0, 1.0),
        "object": tune.choice([Loss, dict]),
        "kind": tune.choice([None, [1, 2]]),
        "double": tune.sample_from(lambda config: 2 * config["lr"]),
        "opt": tune.choice(
            [
                {
                    "class": Loss,
                    "momentum": tune.uniform(0, 1),
                    "twice": tune.sample_from(lambda config: 2 * config["opt"]["momentum"]),
                },
                {"class": dict, "beta": 0.5},
            ]
        ),
    }
    searcher = LLMSearcher(llm="none", seed=0, ledger=ledger)
    grid = fit(searcher, tmp_path, check, param_space=space, max_concurrent_trials=1)
    assert not grid.errors
    shown = [row["config"] for row in read_events(ledger).of("proposal")]
    assert all(
        ("opt/momentum" in config) == (config["opt"].startswith("class")) for config in shown
    )


_SCRIPT = """
import sys, time
from ray import tune
from raymimic import LLMSearcher

def train(config):
    for epoch in range(3):
        time.sleep(0.25)
        tune.report({"loss": config["x"] + config["opt"].get("momentum", 0.5) + epoch})

def main(storage, ledger, action):
    branches = [{"name": "sgd", "momentum": tune.uniform(0, 1)}, {"name": "adam"}]
    space = {"x": tune.uniform(0, 1), "opt": tune.choice(branches)}
    if action == "restore":
        tuner = tune.Tuner.restore(storage + "/run", train, param_space=space)
    else:
        searcher = LLMSearcher(llm="none", seed=3, ledger=ledger)
        tuner = tune.Tuner(
            train, param_space=space,
            tune_config=tune.TuneConfig(
                metric="loss", mode="min", search_alg=searcher, num_samples=8,
                max_concurrent_trials=2, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=storage, name="run", verbose=0))
    grid = tuner.fit()
    print("RESULTS", len(grid), len(grid.errors))

main(*sys.argv[1:])
"""


def test_a_killed_driver_is_restored_without_loss_or_repeats(tmp_path, ledger):
    script = tmp_path / "search.py"
    script.write_text(textwrap.dedent(_SCRIPT))
    environment = {**os.environ, "TUNE_GLOBAL_CHECKPOINT_S": "1", "RAY_ADDRESS": "local"}

    def start(action: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(script), str(tmp_path), ledger, action],
            env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    first = start("fit")
    _wait_until(lambda: len(_outcomes(ledger)) >= 3, first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    known = {row["trial_id"] for row in _outcomes(ledger)}
    output, _ = start("restore").communicate(timeout=120)
    assert "RESULTS 8 0" in output, output

    rows = read_events(ledger)
    configs = [json.dumps(row["config"]) for row in rows.of("proposal")]
    lost = len(rows.of("lost"))
    assert len(configs) - len(set(configs)) == lost  # only what died was proposed again
    ended = {row["trial_id"] for row in _outcomes(ledger)}
    assert known <= ended
    assert len(ended) >= 8


def _outcomes(ledger: str) -> list[dict[str, Any]]:
    return read_events(ledger).of("outcome") if Path(ledger).exists() else []


def _wait_until(condition: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "the first run did not get going"
        time.sleep(0.1)
