"""What breaks on a cluster, in real Ray runs: the cheapest of `experiments/faults`, as tests."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune

from raymimic import (
    LLMSearcher,
    RaymimicCallback,
    Reply,
    Request,
    ScriptedLLM,
    read_events,
)
from raymimic.advisor import evidence_from_ledger
from raymimic.errors import BudgetError, LLMCallError
from raymimic.tune import Guide

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here")]

# Workers cannot import this file; its functions travel by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

EPOCHS = 5
SPACE = {"x": tune.uniform(0.0, 1.0)}


def train(config: dict[str, Any], out: str, guide: Guide, nap: float = 0.05) -> None:
    """Go on from the checkpoint; the first trial's process is killed, the second's guide, once."""
    name, at = tune.get_context().get_trial_id(), tune.get_checkpoint()
    epoch = 0 if at is None else int(Path(at.path, "epoch").read_text())
    while epoch < EPOCHS:
        epoch += 1
        if epoch == 3 and _first(Path(out, "killed")):
            os.kill(os.getpid(), signal.SIGKILL)
        if epoch == 4 and _first(Path(out, "unguided")):
            ray.kill(ray.get_actor(guide.name, namespace="raymimic"))
        folder = Path(out, "staging", name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "epoch").write_text(f"{epoch}")
        time.sleep(nap)
        tune.report({"loss": config["x"] + 1 / epoch}, checkpoint=tune.Checkpoint(str(folder)))


def _first(path: Path) -> bool:
    """Whether nobody was here before."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def answer(request: Request) -> str:
    """Two proposals that depend on the question alone."""
    rows = [{"config": {"x": x}, "rationale": "", "expected": None} for x in (0.25, 0.5)]
    return json.dumps({"proposals": rows})


def fit(searcher: LLMSearcher, out: Path, trainable: Any, **config: Any) -> tune.ResultGrid:
    stop = config.pop("stop", None)
    return tune.Tuner(
        trainable,
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", search_alg=searcher, reuse_actors=True,
            max_concurrent_trials=2, **config,
        ),
        run_config=tune.RunConfig(
            storage_path=str(out), name="run", verbose=0, stop=stop,
            callbacks=[RaymimicCallback(searcher)],
            failure_config=tune.FailureConfig(max_failures=2),
        ),
    ).fit()  # fmt: skip


def test_a_killed_process_and_a_dead_guide_cost_neither_trials_nor_epochs(tmp_path):
    path = tmp_path / "calls.jsonl"
    guide = Guide.start(ScriptedLLM([answer] * 30), calls=20, transcript=path)
    searcher = LLMSearcher(llm=guide, batch_size=2, seed=0, ledger=str(tmp_path / "l.jsonl"))
    trainable = tune.with_parameters(train, out=str(tmp_path), guide=guide)
    grid = fit(searcher, tmp_path, trainable, num_samples=5)
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "unguided").exists()
    assert (len(grid), len(grid.errors)) == (5, 0)
    assert len({result.config["x"] for result in grid}) == 5
    events = read_events(tmp_path / "l.jsonl")
    curves = {row["trial_id"]: row["curve"] for row in events.of("outcome")}
    assert set(curves) == {result.metrics["trial_id"] for result in grid}
    for result in grid:
        curve = curves[result.metrics["trial_id"]]
        assert curve["epochs"] == list(range(1, EPOCHS + 1))
        wanted = [result.config["x"] + 1 / epoch for epoch in curve["epochs"]]
        assert curve["columns"]["loss"] == pytest.approx(wanted, abs=0)
    assert searcher.tally.best.score == grid.get_best_result().metrics["loss"]
    assert read_events(path).of("call")
    with pytest.raises(LLMCallError, match=r"Guide\.start"):
        guide.spent()


def test_a_guide_started_again_goes_on_with_the_budget_that_is_left(tmp_path):
    path, ask = tmp_path / "calls.jsonl", Request("s", "u", {"type": "object"}, 100, 20.0)
    guide = Guide.start(Slow(str(tmp_path / "here")), calls=4, transcript=path, name="kept")
    for number in range(2):
        guide.complete(replace(ask, user=f"quick {number}"))
    lost = ray.remote(num_cpus=0)(lambda: _status(guide, replace(ask, user="slow"))).remote()
    end = time.monotonic() + 20
    while not (tmp_path / "here").exists() and time.monotonic() < end:
        time.sleep(0.01)
    ray.kill(ray.get_actor("kept", namespace="raymimic"))
    assert ray.get(lost) == "guide_lost"
    again = Guide.start(Slow(""), calls=4, transcript=path, name="kept")
    spent = again.spent()
    assert (spent.calls, spent.failed) == (3, 1)  # the one that was cut off counts in full
    assert spent.tokens_in + spent.tokens_out > 2 * 10 + 100
    assert guide.complete(replace(ask, user="quick 3")).text == "quick"
    with pytest.raises(BudgetError, match="at most 4 calls"):
        guide.complete(ask)
    again.stop()
    assert len(read_events(path).of("asked")) == 4


class Slow:
    """Answers at once, or with a "slow" question never; says by a file that it was asked."""

    model = "slow"

    def __init__(self, here: str) -> None:
        self.here = here

    def complete(self, request: Request) -> Reply:
        if request.user == "slow":
            Path(self.here).touch()
            time.sleep(request.deadline)
        return Reply("quick", self.model, tokens_in=5, tokens_out=5)


def _status(guide: Guide, request: Request) -> str:
    try:
        guide.complete(request)
    except LLMCallError as error:
        return error.status
    return "ok"


class TimeIsUp(tune.Stopper):
    """Ends the run as a time budget does, once two trials have come to their third epoch."""

    def __init__(self) -> None:
        self.far: set[str] = set()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if result["training_iteration"] >= 3:
            self.far.add(trial_id)
        return False

    def stop_all(self) -> bool:
        return len(self.far) == 2


def test_what_a_time_budget_cuts_off_keeps_its_curve(tmp_path):
    def endless(config: dict[str, Any]) -> None:
        for epoch in itertools.count(1):  # however late the other begins
            time.sleep(0.1)
            tune.report({"loss": config["x"] + 1 / epoch})

    searcher = LLMSearcher(llm="none", seed=0, ledger=str(tmp_path / "l.jsonl"))
    grid = fit(searcher, tmp_path, endless, num_samples=2, stop=TimeIsUp())
    events = read_events(tmp_path / "l.jsonl")
    kept = {row["trial_id"]: row["curve"]["epochs"] for row in events.of("unfinished")}
    assert kept == {
        result.metrics["trial_id"]: list(range(1, result.metrics["training_iteration"] + 1))
        for result in grid
    }
    running = evidence_from_ledger(events).running
    assert {trial.trial_id: len(trial.curve) for trial in running} == {
        name: len(epochs) for name, epochs in kept.items()
    }
    assert "2 under way" in events.of("summary")[0]["text"]
