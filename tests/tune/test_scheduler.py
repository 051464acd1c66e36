"""`LLMScheduler`: who is stopped, who is not, and that the reason can be read everywhere."""

from __future__ import annotations

import json
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

from raymimic import (
    Knob,
    LiveKnobs,
    LLMScheduler,
    LLMSearcher,
    RaymimicCallback,
    read_events,
)
from raymimic.scheduling.decisions import Decisions
from raymimic.scheduling.rank_rule import RankRule
from raymimic.scheduling.worth import COUNTED, TIMED
from raymimic.tune import results

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
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "stops.jsonl"


@pytest.fixture(params=["min", "max"])
def tuner(request: Any, ledger: str) -> Tuner:
    return Tuner(LLMScheduler(ledger=ledger, llm="none"), request.param)


def warm(tuner: Tuner, ends: list[float]) -> None:
    for index, end in enumerate(ends):
        tuner.run(f"warm{index}", curve(end))


@pytest.mark.parametrize(
    ("spec", "known", "words"),
    [
        ({"num_samples": 30}, True, f"counts {COUNTED:g} x"),
        ({"num_samples": 30}, False, f"counts {COUNTED:g} x"),
        ({"num_samples": 30, "time_budget_s": 60}, True, f"counts {TIMED:g} x"),
        ({"num_samples": -1}, True, f"counts {TIMED:g} x"),
        ({"num_samples": -1}, False, "the best 1 go on"),
        ({"num_samples": 30, "time_budget_s": 60}, False, "the best 1 go on"),
    ],
)
def test_what_limits_the_run_and_who_proposes_say_how_trials_are_weighed(
    make, ledger, spec, known, words
):
    searcher = make() if known else None
    scheduler = LLMScheduler(searcher=searcher, max_t=LENGTH, ledger=ledger, llm="none")
    tuner = Tuner(scheduler, **spec)
    for index, end in enumerate([1.2, 1.0, 0.8, 0.6]):  # each leads at its epoch
        assert tuner.run(f"t{index}", curve(end)) == LENGTH
    assert tuner.run("bad", [3.0] * LENGTH) < LENGTH
    assert words in scheduler.verdict("bad").text


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


def test_nothing_raised_inside_reaches_tune_and_it_is_said_once(tuner, ledger, monkeypatch, caplog):
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("boom")

    for method in ("add", "end", "clone"):
        monkeypatch.setattr(RankRule, method, fail)
    with caplog.at_level("WARNING", logger="raymimic"):
        assert tuner.run("one", curve(0.5)) == LENGTH
        tuner.scheduler.on_trial_error(None, SimpleNamespace(trial_id="one"))
        tuner.scheduler.on_trial_remove(None, SimpleNamespace(trial_id="one"))
        tuner.scheduler.on_trial_add(None, None)
        tuner.scheduler.on_trial_complete(None, None, {})
    odd = tuner.add("odd")
    for result in ({}, {"loss": "text", "training_iteration": 1}, {"loss": 1.0}, None):
        assert tuner.scheduler.on_trial_result(None, odd, result) == TrialScheduler.CONTINUE
    monkeypatch.setattr(RankRule, "finished", property(fail))
    assert tuner.scheduler.debug_string() == "LLMScheduler: no status"
    faults = tuner.scheduler.faults.counts
    assert faults["by_rule"] >= LENGTH
    assert {"on_trial_error", "on_trial_remove", "on_trial_add", "on_trial_complete"} <= set(faults)
    assert sum("failed in" in line for line in caplog.messages) == 1
    tuner.scheduler.ledger.flush()
    hooks = [row["hook"] for row in read_events(ledger).of("fault")]
    assert hooks.count("by_rule") < LENGTH  # one of a kind, not one a result
    assert set(hooks) == set(faults)


def test_a_fault_after_the_rules_leaves_their_verdict(ledger, monkeypatch):
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(Decisions, "by_judge", fail)
    knobs = LiveKnobs({"lr": Knob(1e-4, 0.1)})
    tuner = Tuner(LLMScheduler(ledger=ledger, llm="none", knobs=knobs))
    warm(tuner, [0.7, 0.6, 0.5])
    assert tuner.run("bad", [1.9] * LENGTH) < LENGTH
    assert tuner.scheduler.verdict("bad").kind == "hopeless"
    assert tuner.scheduler.faults.counts["by_judge"] >= LENGTH


def test_a_verdict_that_cannot_be_kept_stops_all_the_same(ledger, monkeypatch):
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(Decisions, "settle", fail)
    assert Tuner(LLMScheduler(ledger=ledger, llm="none", max_t=3)).run("one", curve(0.5)) == 3


def begin(searcher: LLMSearcher, name: str) -> None:
    """A trial that the searcher has proposed."""
    while searcher.suggest(name) is None:
        time.sleep(0.01)


def test_with_a_searcher_the_present_epoch_is_diagnosed_too(make, ledger):
    alone = Tuner(LLMScheduler(ledger=ledger, llm="none", patience=LENGTH))
    searcher: LLMSearcher = make()
    beside = Tuner(LLMScheduler(searcher=searcher, llm="none", patience=LENGTH))
    said = []
    for tuner in (alone, beside):
        for index, end in enumerate([0.45, 0.4, 0.35, 0.3]):
            if tuner is beside:
                begin(searcher, f"warm{index}")
            tuner.run(f"warm{index}", curve(end))
        if tuner is beside:
            begin(searcher, "over")
        trial = tuner.add("over")
        for epoch in range(1, LENGTH + 1):
            rising = 0.9 + 0.02 * max(0, epoch - 6) + (0.5 / epoch if epoch < 7 else 0.0)
            result = {"loss": rising, "train_loss": 1.0 / epoch, "training_iteration": epoch}
            if tuner.scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
                break
            if tuner is beside:
                searcher.on_trial_result("over", result)
        said.append(tuner.scheduler.verdict("over"))
    assert said[0].kind == "overfitting"
    assert said[0] == said[1]


def test_each_result_is_read_once_and_kept_once_by_all_three(make, monkeypatch):
    read: list[Any] = []
    whole = results.metrics_of
    monkeypatch.setattr(results, "metrics_of", lambda *given: read.append(1) or whole(*given))
    searcher: LLMSearcher = make()
    scheduler = LLMScheduler(searcher=searcher, llm="none", max_t=3)
    callback = RaymimicCallback(searcher, scheduler=scheduler)
    tuner = Tuner(scheduler)
    for name, ends_at in (("stopped", 3), ("ends", 2)):
        begin(searcher, name)
        trial = tuner.add(name)
        for epoch in range(1, ends_at + 1):
            result = {"loss": 1.0 / epoch, "training_iteration": epoch}
            if scheduler.on_trial_result(None, trial, dict(result)) != TrialScheduler.STOP:
                searcher.on_trial_result(name, dict(result))
            callback.on_trial_result(0, [], trial, result)
        last = {**result, "done": True}
        scheduler.on_trial_complete(None, trial, dict(last))
        searcher.on_trial_complete(name, dict(last))
    assert len(read) == 5
    assert callback.history is scheduler.history is searcher.history
    assert [len(searcher.history.curve(name)) for name in ("stopped", "ends")] == [3, 2]
    assert searcher.trial("stopped").stopped
    assert not searcher.trial("ends").stopped


def test_what_only_the_end_of_a_trial_brings_is_kept_and_counts(make):
    searcher: LLMSearcher = make()
    scheduler = LLMScheduler(searcher=searcher, llm="none")
    callback, tuner = RaymimicCallback(searcher, scheduler=scheduler), Tuner(scheduler)
    begin(searcher, "t")
    trial, result = tuner.add("t"), {"loss": 2.0, "training_iteration": 1}
    scheduler.on_trial_result(None, trial, result)
    searcher.on_trial_result("t", result)
    callback.on_trial_result(0, [], trial, dict(result))
    last = {"loss": 1.0, "training_iteration": 2, "done": True}  # stop={"training_iteration": 2}
    callback.on_trial_result(0, [], trial, dict(last))
    scheduler.on_trial_complete(None, trial, last)
    searcher.on_trial_complete("t", last)
    assert searcher.trial("t").score == 1.0
    assert searcher.trial("t").stopped


def test_the_same_epoch_after_a_retry_is_read_again(ledger):
    scheduler = LLMScheduler(ledger=ledger, llm="none")
    callback, tuner = RaymimicCallback(scheduler=scheduler), Tuner(scheduler)
    trial = tuner.add("t")
    for loss in (9.0, 2.0):
        result = {"loss": loss, "training_iteration": 1, "iterations_since_restore": 1}
        scheduler.on_trial_result(None, trial, result)
        callback.on_trial_result(0, [], trial, dict(result))
        scheduler.on_trial_error(None, trial)
    assert callback.history.curve("t").column("loss").tolist() == [2.0]


def test_epochs_are_counted_by_the_attribute_that_is_named(ledger):
    tuner = Tuner(LLMScheduler(ledger=ledger, llm="none", time_attr="step", max_t=300))
    trial, given = tuner.add("steps"), []
    for report in range(1, 10):
        result = {"loss": 1.0, "training_iteration": report, "step": 100 * report}
        given.append(tuner.scheduler.on_trial_result(None, trial, result))
    assert given[:3] == [TrialScheduler.CONTINUE] * 2 + [TrialScheduler.STOP]
    assert tuner.scheduler.curve("steps").epochs[:3].tolist() == [100, 200, 300]
    for odd in ({}, {"step": 1.5}, {"step": float("nan")}, {"step": "x"}):
        result = {"loss": 1.0, "training_iteration": 9, **odd}
        assert tuner.scheduler.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE
    assert not tuner.scheduler.faults.counts


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
    assert tuner.run("new", [3.0] * LENGTH) < LENGTH / 2
    assert "4 finished" in tuner.scheduler.debug_string()


def test_after_a_restore_without_a_searcher_tunes_own_files_are_read(tmp_path, ledger):
    knobs = LiveKnobs({"lr": Knob(1e-4, 0.1)})  # there is no Ray to turn them through
    tuner = Tuner(LLMScheduler(ledger=ledger, llm="none", knobs=knobs))
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
    assert tuner.run("new", [3.0] * LENGTH) < LENGTH / 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "least"},
        {"grace_period": 0},
        {"max_t": 0},
        {"patience": 0},
        {"knobs": None, "population": True},
    ],
)
def test_arguments_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LLMScheduler(**wrong)


def test_metric_and_mode_come_from_one_place(ledger):
    scheduler = LLMScheduler("acc", "max", ledger=ledger)
    assert not scheduler.set_search_properties("loss", "min")
    assert scheduler.set_search_properties(None, None)
    with pytest.raises(ValueError, match="mode"):
        LLMScheduler(ledger=ledger, llm="none").set_search_properties("loss", None)


def test_a_result_costs_little_with_many_trials(ledger):
    tuner = Tuner(LLMScheduler(ledger=ledger, llm="none"))
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
        scheduler = LLMScheduler(ledger=ledger, llm="none")
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
    assert "stopped, hopeless" in capfd.readouterr().out
