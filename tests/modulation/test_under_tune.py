"""Modulated trainings as real Tune trials: retries, exploited checkpoints, early stops, a Guide."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
import small_training
import torch
from ray import cloudpickle, tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining
from small_training import network, one_epoch, same, validation

from raymimic import Adjustment, AdjustmentAdvice, Knob, Modulator, Operation, ScriptedLLM
from raymimic.tune import Guide

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here", "quiet_ray")]

# Workers cannot import these files; their functions travel by value.
for module in (sys.modules[__name__], small_training):
    cloudpickle.register_pickle_by_value(module)

EPOCHS = 6
KINDS = ("noise", "extrapolate", "reinit", "shrink", "pull")


class EachEpoch:
    """Always has something to say, by the epoch alone; signs it with the trial's name."""

    remote = False

    def __init__(self, name: str) -> None:
        self.name = name

    def adjust(self, evidence: Any) -> AdjustmentAdvice:
        epoch = evidence.epoch
        operation = Operation(KINDS[epoch % len(KINDS)], "3.*", amount=0.2, toward="initial")
        knobs = {"dropout": 0.1 + 0.02 * epoch, "weight_decay": 0.001 * epoch, "mix": epoch / 10}
        return AdjustmentAdvice(Adjustment(knobs, 0.3, (operation,), rationale=self.name))


def build(config: dict[str, Any], advisor: Any) -> list[Any]:
    """Give model, optimizer and modulator, as the trial's checkpoint has them if there is one."""
    torch.set_num_threads(1)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), config.get("lr", 1e-2))
    knobs = {"mix": Knob(0, 1)}
    parts = [model, optimizer, Modulator(model, optimizer, llm=advisor, knobs=knobs, ema=0.9)]
    if (checkpoint := tune.get_checkpoint()) is not None:
        for part, state in zip(parts, load(checkpoint), strict=True):
            part.load_state_dict(state)
    return parts


def load(checkpoint: Any) -> list[dict[str, Any]]:
    with checkpoint.as_directory() as folder:
        return torch.load(Path(folder) / "parts.pt")


def report(parts: list[Any], storage: str, **metrics: Any) -> None:
    folder = Path(storage) / "staging" / f"{tune.get_context().get_trial_id()}"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save([part.state_dict() for part in parts], folder / "parts.pt")
    tune.report(
        {**metrics, **parts[2].metrics()}, checkpoint=tune.Checkpoint.from_directory(folder)
    )


def signatures(modulator: Modulator) -> list[str]:
    return [past.adjustment.rationale for past in modulator.history]


def train(config: dict[str, Any]) -> None:
    """Sign each adjustment with the trial's name; ``die`` at the third epoch, once, if asked.

    ``died`` is the folder that remembers it.
    """
    name = config.get("name") or tune.get_context().get_trial_id()
    parts = model, optimizer, modulator = build(config, EachEpoch(name))
    if "lr" in config:
        optimizer.param_groups[0]["lr"] = config["lr"]
    came = signatures(modulator)
    first = modulator.state_dict()["record"]["epoch"]
    for epoch in range(first, EPOCHS):
        if epoch == 3 and config.get("die") and not Path(config["died"], config["die"]).exists():
            modulator.step()  # in the middle of an interval
            Path(config["died"], config["die"]).touch()
            if config["die"] == "killed":
                os.kill(os.getpid(), signal.SIGKILL)  # as when its machine is gone
            raise RuntimeError("out of memory")
        one_epoch(model, optimizer, modulator.step, epoch)
        loss = validation(model)
        modulator.epoch_end({"val_loss": config.get("loss", loss) + 0.0 * loss})
        report(
            parts, config["storage"], loss=loss, came=json.dumps(came), first=first,
            signed=json.dumps(signatures(modulator)),
        )  # fmt: skip


def fit(tmp_path: Path, trainable: Any, space: dict[str, Any], **options: Any) -> tune.ResultGrid:
    failures = options.pop("failures", 0)
    grid = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 0.5}),
        param_space={"storage": str(tmp_path), **space},
        tune_config=tune.TuneConfig(metric="loss", mode="min", reuse_actors=True, **options),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "runs"), name="run", verbose=0,
            failure_config=tune.FailureConfig(max_failures=failures),
        ),
    ).fit()  # fmt: skip
    assert not grid.errors
    return grid


def test_a_trial_that_died_ends_as_one_that_did_not(tmp_path):
    died = tmp_path / "died"
    died.mkdir()
    space = {"name": "all", "died": str(died), "die": tune.grid_search(["", "raised", "killed"])}
    plain, *others = fit(tmp_path, train, space, failures=1, max_concurrent_trials=1)
    assert sorted(path.name for path in died.iterdir()) == ["killed", "raised"]
    model, optimizer, state = load(plain.checkpoint)
    assert len(state["record"]["history"]) == EPOCHS
    for resumed in others:
        assert (plain.metrics["first"], resumed.metrics["first"]) == (0, 3)
        again, other, restored = load(resumed.checkpoint)
        assert same(list(model.values()), list(again.values()))
        assert optimizer["param_groups"] == other["param_groups"]
        assert state["record"] == restored["record"]
        assert state["steering"]["knobs"] == restored["steering"]["knobs"]
        assert plain.metrics["raymimic/alpha"] == resumed.metrics["raymimic/alpha"]


def test_what_a_trial_exploits_brings_its_history_along(tmp_path):
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration", perturbation_interval=3, quantile_fraction=0.34,
        hyperparam_mutations={"lr": [1e-4, 1e-2]}, resample_probability=0.0, synch=True,
    )  # fmt: skip
    space = {"lr": tune.grid_search([1e-5, 1e-4, 1e-2])}
    grid = fit(tmp_path, train, space, scheduler=scheduler)
    exploited = [result for result in grid if result.metrics["first"]]
    assert exploited
    donors = {result.metrics["trial_id"] for result in grid}
    for result in grid:
        came, signed = (json.loads(result.metrics[key]) for key in ("came", "signed"))
        assert len(signed) == EPOCHS
        assert len(came) == result.metrics["first"]
        assert signed[: len(came)] == came
        assert set(signed[len(came) :]) <= {result.metrics["trial_id"]}
    foreign = [
        result for result in exploited
        if donors & set(json.loads(result.metrics["came"])) - {result.metrics["trial_id"]}
    ]  # fmt: skip
    assert foreign


def test_asha_stops_trials_that_report_their_knobs(tmp_path):
    scheduler = ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=2)
    space = {"lr": tune.grid_search([1e-2, 1e-5, 1e-6])}
    grid = fit(tmp_path, train, space, scheduler=scheduler, max_concurrent_trials=1)
    ended = [result.metrics["training_iteration"] for result in grid]
    assert ended[0] == EPOCHS > min(ended)
    for result in grid:
        assert {"raymimic/lr", "raymimic/dropout", "raymimic/mix", "raymimic/alpha",
                "raymimic/adjustments", "raymimic/rollbacks"} <= set(result.metrics)  # fmt: skip
        epoch = result.metrics["training_iteration"]
        assert result.metrics["raymimic/mix"] == pytest.approx(epoch / 10)


# -- one model for all workers -------------------------------------------------------------------


def reply(lr: float) -> str:
    shrink = {"kind": "shrink", "params": "*", "amount": 0.01, "toward": None, "values": None}
    return json.dumps(
        {"review": "", "rationale": f"lr {lr}", "knobs": {"lr": lr}, "alpha": 0.2,
         "operations": [shrink]}
    )  # fmt: skip


def guided(config: dict[str, Any], guide: Guide) -> None:
    torch.set_num_threads(1)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    modulator = Modulator(model, optimizer, llm=guide, wait=True, timeout=30.0)
    for epoch in range(EPOCHS):
        if epoch == 3:
            ray.kill(ray.get_actor(guide.name, namespace="raymimic"))
        one_epoch(model, optimizer, modulator.step, epoch)
        loss = validation(model)
        modulator.epoch_end({"val_loss": loss})
        sources = [past.adjustment.source for past in modulator.history]
        tune.report({"loss": loss, "sources": " ".join(sources), **modulator.metrics()})


def test_a_guide_steers_a_trial_and_its_death_does_not_end_it(tmp_path):
    guide = Guide.start(ScriptedLLM([reply(0.012), reply(0.014), reply(0.016)]))
    (result,) = fit(tmp_path, tune.with_parameters(guided, guide=guide), {})
    assert result.metrics["training_iteration"] == EPOCHS
    assert result.metrics["sources"] == "llm llm llm"
    assert result.metrics["raymimic/lr"] == pytest.approx(0.016)
    assert result.metrics["raymimic/failed_answers"] >= 1
