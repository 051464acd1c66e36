"""`LLMScheduler`: who is stopped, who is not, and that the reason can be read everywhere."""

from __future__ import annotations

import json
import math
import pickle
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray import cloudpickle, tune
from ray.tune.schedulers import TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from raymimic import LLMScheduler, LLMSearcher, RaymimicCallback, read_events
from raymimic.scheduling.rank_rule import Stopping

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LENGTH = 30


def curve(end: float, length: int = LENGTH) -> list[float]:
    """A loss that falls from about 2 towards ``end``; it starts the better, the better it ends."""
    return [end + (2.0 - 0.9 * end) * epoch**-0.8 for epoch in range(1, length + 1)]


class Tuner:
    """Drives a scheduler as Tune does, one trial after the other or side by side."""

    def __init__(self, scheduler: LLMScheduler, mode: str = "min", **spec: Any) -> None:
        self.scheduler = scheduler
        assert scheduler.set_search_properties("loss", mode, **spec)
        self.sign = 1.0 if mode == "min" else -1.0

    def add(self, name: str, **more: Any) -> Any:
        trial = SimpleNamespace(trial_id=name, **more)
        self.scheduler.on_trial_add(None, trial)
        return trial

    def report(self, trial: Any, epoch: int, loss: float, **more: float) -> bool:
        result = {"loss": self.sign * loss, "training_iteration": epoch, **more}
        action = self.scheduler.on_trial_result(None, trial, result)
        if action == TrialScheduler.STOP:
            self.scheduler.on_trial_complete(None, trial, {**result, "done": True})
        return bool(action == TrialScheduler.STOP)

    def end(self, trial: Any, epoch: int, loss: float) -> None:
        result = {"loss": self.sign * loss, "training_iteration": epoch, "done": True}
        self.scheduler.on_trial_complete(None, trial, result)

    def run(self, name: str, losses: list[float]) -> int:
        """Train one trial; returns the epochs it was given."""
        trial = self.add(name)
        for epoch, loss in enumerate(losses, start=1):
            if self.report(trial, epoch, loss):
                return epoch
        self.end(trial, len(losses), losses[-1])
        return len(losses)


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "stops.jsonl")


@pytest.fixture(params=["min", "max"])
def tuner(request: Any, ledger: str) -> Tuner:
    return Tuner(LLMScheduler(ledger=ledger), request.param)


def warm(tuner: Tuner, ends: list[float]) -> None:
    for index, end in enumerate(ends):
        tuner.run(f"warm{index}", curve(end))


def test_hopeless_trials_stop_early_and_good_ones_run_to_the_end(tuner):
    warm(tuner, [0.7, 0.6, 0.5])
    assert tuner.run("bad", [1.9 + 0.001 * epoch for epoch in range(LENGTH)]) < LENGTH / 2
    assert tuner.run("best", curve(0.2)) == LENGTH
    assert tuner.scheduler.verdict("bad").kind == "hopeless"
    assert "1 trials stopped (hopeless 1), 4 finished" in tuner.scheduler.debug_string()


def test_the_two_best_so_far_run_to_the_end(tuner):
    given = [tuner.run(f"{end}", curve(end)) for end in (0.1, 1.0, 1.9, 0.5)]
    assert given[:2] == [LENGTH] * 2
    assert given[2] < LENGTH
    assert given[3] == LENGTH


def test_what_limits_the_run_decides_how_many_go_on(ledger):
    ends = [float(end) for end in np.random.default_rng(0).uniform(0.2, 1.5, size=30)]
    given = {}
    for name, spec in {
        "trials": {"num_samples": 30},
        "time": {"num_samples": 30, "time_budget_s": 60},
        "endless": {"num_samples": -1},
    }.items():
        tuner = Tuner(LLMScheduler(max_t=LENGTH, ledger=ledger), **spec)
        epochs = [tuner.run(f"{index}", curve(end)) for index, end in enumerate(ends)]
        assert epochs[ends.index(min(ends))] == LENGTH
        given[name] = sum(epochs)
    assert given["time"] == given["endless"] < given["trials"] < 30 * LENGTH / 2


def test_chance_and_late_bloomers_are_not_taken_for_failures(ledger):
    tuner = Tuner(LLMScheduler(ledger=ledger))
    random = np.random.default_rng(0)
    for index in range(20):  # all stand close for long
        tuner.run(f"flat{index}", [0.7 + 0.01 * random.normal() for _ in range(LENGTH)])
    noisy = [0.72 + 0.02 * random.normal() for _ in range(15)]
    assert tuner.run("noisy", [*noisy, *np.linspace(0.7, 0.4, LENGTH - 15)]) == LENGTH
    assert tuner.run("steep", [3.0 * 0.85**epoch for epoch in range(LENGTH)]) == LENGTH
    assert tuner.run("flat and behind", [0.9] * LENGTH) < LENGTH / 2


def test_the_reason_has_numbers_and_stands_in_the_ledger(tuner, ledger):
    warm(tuner, [0.7, 0.6, 0.55, 0.5, 0.45])
    stopped_at = tuner.run("bad", [2.5] * LENGTH)
    text = tuner.scheduler.verdict("bad").text
    assert text.startswith("hopeless: loss")
    assert "place" in text
    assert "forecast" in text
    assert "%" in text
    tuner.scheduler.ledger.flush()
    rows = [row for row in read_events(ledger).of("stop") if row["trial_id"] == "bad"]
    assert [(row["kind"], row["epoch"], row["text"]) for row in rows] == [
        ("hopeless", stopped_at, text)
    ]


def test_a_metric_that_becomes_nan_ends_the_trial_at_once(tuner):
    assert tuner.run("broken", [1.0, 0.9, math.nan, 0.8]) == 3
    text = tuner.scheduler.verdict("broken").text
    assert text.startswith("diverged: loss is nan at epoch 3 (was")
    # A reward before the first episode's end is no divergence.
    assert tuner.run("late", [math.nan, math.nan, 1.0, *curve(0.5)]) == LENGTH + 3


def test_persistent_overfitting_ends_a_trial_that_does_not_lead(ledger):
    tuner = Tuner(LLMScheduler(ledger=ledger, patience=LENGTH))
    for index, end in enumerate([0.45, 0.4, 0.35, 0.3]):
        tuner.run(f"warm{index}", curve(end))
    trial, stopped = tuner.add("over"), None
    for epoch in range(1, LENGTH + 1):
        rising = 0.9 + 0.02 * max(0, epoch - 6) + (0.5 / epoch if epoch < 7 else 0.0)
        if tuner.report(trial, epoch, rising, train_loss=1.0 / epoch):
            stopped = epoch
            break
    assert stopped is not None
    assert stopped < LENGTH
    assert tuner.scheduler.verdict("over").text.startswith("overfitting since epoch")


def test_max_t_ends_a_training_as_a_whole_one(ledger):
    tuner = Tuner(LLMScheduler(max_t=5, ledger=ledger))
    assert tuner.run("long", curve(0.5)) == 5
    assert tuner.scheduler.verdict("long").kind == "whole"
    assert not tuner.scheduler.stopped
    assert "1 finished" in tuner.scheduler.debug_string()


def test_side_by_side_without_a_known_length_the_better_half_goes_on(tuner):
    trials = [tuner.add(f"t{index}") for index in range(12)]
    curves = [curve(0.1 * (index + 1)) for index in range(12)]
    length = dict.fromkeys(range(12), LENGTH)
    for epoch in range(1, LENGTH + 1):
        for index in [index for index in range(12) if length[index] >= epoch]:
            if tuner.report(trials[index], epoch, curves[index][epoch - 1]):
                length[index] = epoch
    assert sum(epochs == LENGTH for epochs in length.values()) >= 3
    assert length[0] == LENGTH
    assert sum(length.values()) < 12 * LENGTH


def test_nothing_raised_inside_reaches_tune(tuner, monkeypatch):
    def fail(*_: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(Stopping, "add", fail)
    monkeypatch.setattr(Stopping, "end", fail)
    assert tuner.run("one", curve(0.5)) == LENGTH
    assert tuner.run("two", curve(0.5)) == LENGTH
    odd = tuner.add("odd")
    for result in ({}, {"loss": "text", "training_iteration": 1}, {"loss": 1.0}, None):
        assert tuner.scheduler.on_trial_result(None, odd, result) == TrialScheduler.CONTINUE


def test_a_retry_takes_back_what_comes_again(ledger):
    tuner = Tuner(LLMScheduler(ledger=ledger))
    trial = tuner.add("retried")
    for epoch, loss in enumerate(curve(0.5)[:10], start=1):
        tuner.report(trial, epoch, loss)
    tuner.scheduler.on_trial_error(None, trial)
    assert tuner.run("retried", curve(0.5)) == LENGTH
    assert "1 finished" in tuner.scheduler.debug_string()
    assert tuner.run("other", curve(0.6)) == LENGTH
    assert "place 2 of 2" in tuner.scheduler.verdict("other").text


def test_it_pickles_with_its_knowledge(tuner):
    warm(tuner, [0.7, 0.6, 0.5, 0.4])
    again = pickle.loads(pickle.dumps(tuner.scheduler))
    before = tuner.scheduler.debug_string()
    assert again.debug_string() == before
    tuner.scheduler = again
    assert tuner.run("bad", [3.0] * LENGTH) < LENGTH


def test_after_a_restore_the_searchers_curves_are_known_again(make):
    searcher: LLMSearcher = make()
    for index, end in enumerate([0.5, 0.6, 0.7, 0.8]):
        name = f"t{index}"
        while searcher.suggest(name) is None:
            time.sleep(0.01)
        losses = curve(end)
        for epoch, loss in enumerate(losses, start=1):
            searcher.on_trial_result(name, {"loss": loss, "training_iteration": epoch})
        last = {"loss": losses[-1], "training_iteration": LENGTH, "done": True}
        searcher.on_trial_complete(name, last)
    tuner = Tuner(LLMScheduler(searcher=searcher))
    assert tuner.run("new", [3.0] * LENGTH) < 5
    assert "4 finished" in tuner.scheduler.debug_string()


def test_after_a_restore_without_a_searcher_tunes_own_files_are_read(tmp_path, ledger):
    tuner = Tuner(LLMScheduler(ledger=ledger))
    for index, end in enumerate([0.5, 0.6, 0.7, 0.8]):
        folder = tmp_path / f"t{index}"
        folder.mkdir()
        lines = [
            json.dumps({"loss": loss, "training_iteration": epoch})
            for epoch, loss in enumerate(curve(end), start=1)
        ]
        (folder / "result.json").write_text("\n".join([*lines, '{"torn']))
        tuner.add(f"t{index}", local_path=str(folder), status="TERMINATED")
    tuner.add("no files", local_path=str(tmp_path / "none"), status="PENDING")
    assert "4 finished" in tuner.scheduler.debug_string()
    assert tuner.run("new", [3.0] * LENGTH) < 5


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "least"}, {"grace_period": 0}, {"max_t": 0}, {"patience": 0}],
)
def test_arguments_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LLMScheduler(**wrong)


def test_metric_and_mode_come_from_one_place(ledger):
    scheduler = LLMScheduler("acc", "max", ledger=ledger)
    assert not scheduler.set_search_properties("loss", "min")
    assert scheduler.set_search_properties(None, None)
    with pytest.raises(ValueError, match="mode"):
        LLMScheduler(ledger=ledger).set_search_properties("loss", None)


def test_a_result_costs_little_with_many_trials(ledger):
    tuner = Tuner(LLMScheduler(ledger=ledger))
    random, results = np.random.default_rng(0), 0
    begun = time.process_time()
    for index in range(300):
        results += tuner.run(f"t{index}", curve(float(random.uniform(0.2, 1.5))))
    assert (time.process_time() - begun) / results < 2e-3  # 0.2 ms on an idle core


# -- in real runs ----------------------------------------------------------------------------------


def train(config: dict[str, Any]) -> None:
    for epoch in range(1, 13):
        tune.report({"loss": config["x"] + 1.0 / epoch})


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("kind", ["raymimic", "optuna"])
def test_in_a_real_run_bad_trials_stop_and_the_reason_can_be_read(kind, tmp_path, ledger, capfd):
    points = [{"x": x} for x in (1.2, 1.1, 1.0, 9.0, 0.1)]
    if kind == "raymimic":
        searcher: Any = LLMSearcher(llm="none", seed=0, ledger=ledger, points_to_evaluate=points)
        scheduler = LLMScheduler(searcher=searcher)
        callback = RaymimicCallback(searcher, scheduler=scheduler)
    else:
        searcher = OptunaSearch(points_to_evaluate=points)
        scheduler = LLMScheduler(ledger=ledger)
        callback = RaymimicCallback(scheduler=scheduler, metric="loss", mode="min")
    grid = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0.0, 10.0)},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", search_alg=searcher, scheduler=scheduler, num_samples=5,
            max_concurrent_trials=1, reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), name="run", verbose=0, callbacks=[callback]
        ),
    ).fit()  # fmt: skip
    ends = {result.config["x"]: result.metrics for result in grid}
    assert ends[9.0]["training_iteration"] < 12
    assert ends[9.0]["raymimic/decision"].startswith("hopeless: loss")
    assert ends[0.1]["training_iteration"] == 12
    assert ends[0.1]["raymimic/decision"].startswith("continue")
    (stop,) = read_events(ledger).of("stop")
    assert stop["trial_id"] == ends[9.0]["trial_id"]
    assert f"stopped: {stop['text'][:60]}" in capfd.readouterr().out
