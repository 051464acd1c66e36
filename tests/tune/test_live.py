"""Live knobs: in a plain loop, and pushed to a trial of a real run between two epochs."""

from __future__ import annotations

import gc
import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune

from raymimic import Knob, LLMScheduler, RaymimicCallback, read_events
from raymimic.advisor import JudgeAdvice, JudgeEvidence, Judgement
from raymimic.scheduling.rank_rule import RankRule, Reading
from raymimic.tune import LiveKnobs
from raymimic.tune.mailbox import mailbox_name, open_mailbox

cloudpickle.register_pickle_by_value(sys.modules[__name__])

EPOCHS = 30
LIVE = LiveKnobs({"lr": Knob(1e-4, 0.1, "learning rate"), "dropout": Knob(0.0, 0.6, start=0.1)})


def test_in_a_plain_loop_the_values_just_stay():
    knobs = LIVE.start({"lr": 0.5})  # where it starts need not lie within what may be reached
    assert dict(knobs) == {"lr": 0.5, "dropout": 0.1}
    assert knobs.update() == {}
    assert knobs.metrics() == {"raymimic/live/lr": 0.5, "raymimic/live/dropout": 0.1}
    again = LIVE.start()
    again.load_state_dict(knobs.state_dict())
    assert dict(again) == dict(knobs)
    assert dict(pickle.loads(pickle.dumps(knobs))) == dict(knobs)


def test_wrong_knobs_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        LiveKnobs({})
    with pytest.raises(ValueError, match="got 'warp'"):
        LIVE.start({"warp": 1.0})
    with pytest.raises(ValueError, match="finite"):
        LIVE.start({"lr": float("nan")})


def test_without_a_mailbox_the_trial_goes_on_and_says_so_once(caplog, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # other tests may have left it up
    knobs = LIVE.start({"lr": 0.05}, trial_id="lonely")
    with caplog.at_level("WARNING", logger="raymimic"):
        for _ in range(3):
            assert knobs.update() == {}
            knobs._retry_at = 0.0
    assert knobs["lr"] == 0.05
    assert sum("cannot reach the mailbox" in line for line in caplog.messages) == 1


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_what_is_pushed_is_taken_once_within_its_bounds_and_a_lost_mailbox_changes_nothing(caplog):
    ray.get(open_mailbox().push.remote("before", {"lr": 0.3}))
    open_mailbox()  # by another scheduler: the first one's handle must live on
    gc.collect()
    time.sleep(0.5)
    mailbox = open_mailbox()
    assert ray.get(mailbox.take.remote("before")).values == {"lr": 0.3}
    knobs = LIVE.start({"lr": 0.05}, trial_id="t1")
    other = LIVE.start({"lr": 0.05}, trial_id="t2")
    mailbox.push.remote("t1", {"lr": 9.0, "unknown": 1.0})
    mailbox.push.remote("t1", {"dropout": 0.3})
    ray.get(mailbox.push.remote("t1", {"lr": 0.2}))
    assert knobs["lr"] == 0.05  # nothing changes before the update
    assert knobs.update() == {"lr": 0.1, "dropout": 0.3}
    assert knobs.update() == {}
    assert other.update() == {}
    ray.get(mailbox.push.remote("t1", {"lr": 0.01}))
    ray.get(mailbox.forget.remote("t1"))
    assert knobs.update() == {}
    ray.kill(mailbox)
    with caplog.at_level("WARNING", logger="raymimic"):
        assert knobs.update() == {}
    assert dict(knobs) == {"lr": 0.1, "dropout": 0.3}
    assert mailbox_name().startswith("mailbox-")


class ByConfig:
    """A judge that turns the learning rate of one trial and stops another."""

    name, remote = "by-config", True

    def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
        found = []
        for case in evidence.cases:
            if case.config["x"] == 2.0 and case.knobs and not case.redirects:
                found.append(
                    Judgement(case.trial_id, "redirect", "smaller steps", {"lr": 0.01}, "llm")
                )
            if case.config["x"] == 3.0 and case.may_stop:
                found.append(Judgement(case.trial_id, "stop", "it rests far behind", {}, "llm"))
        return JudgeAdvice(tuple(found))


def nearly_stops_above_1(self: RankRule, trial_id: str) -> Reading:
    trial = self._trials[trial_id]
    place = 2 if trial.values[-1] < 1.0 else 3
    return Reading(trial.epochs[-1], EPOCHS, place=place, rivals=4, kept=2.0, reach=2)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_in_a_real_run_a_redirect_arrives_without_a_restart_and_a_judge_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(RankRule, "read", nearly_stops_above_1)
    seen, live = tmp_path / "seen.jsonl", LIVE

    def train(config: dict[str, Any]) -> None:
        knobs = live.start({"lr": 0.09})
        for epoch in range(1, EPOCHS + 1):
            knobs.update()
            gain = 1.2 if knobs["lr"] == 0.01 else 0.0
            with seen.open("a") as file:
                file.write(json.dumps([config["x"], os.getpid(), epoch, knobs["lr"]]) + "\n")
            loss = config["x"] - gain + 0.5**epoch + 0.001 * (-1) ** epoch
            tune.report({"loss": loss, **knobs.metrics()})
            time.sleep(0.02)

    ledger = tmp_path / "ledger.jsonl"
    scheduler = LLMScheduler(llm=ByConfig(), knobs=live, ledger=ledger)
    grid = tune.Tuner(
        train,
        param_space={"x": tune.grid_search([0.5, 2.0, 3.0])},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", scheduler=scheduler, max_concurrent_trials=1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), name="run", verbose=0,
            callbacks=[RaymimicCallback(scheduler=scheduler, metric="loss", mode="min")],
        ),
    ).fit()  # fmt: skip
    ends = {result.config["x"]: result.metrics for result in grid}
    rows = [json.loads(line)[1:] for line in seen.read_text().splitlines() if "[2.0" in line]
    pids, epochs, lrs = zip(*rows, strict=True)
    assert epochs == tuple(range(1, EPOCHS + 1))  # none came twice
    assert len(set(pids)) == 1
    first = lrs.index(0.01)
    assert lrs == (0.09,) * first + (0.01,) * (EPOCHS - first)
    events = read_events(ledger)
    (redirect,) = events.of("redirect")
    assert redirect["knobs"] == {"lr": [0.09, 0.01]}
    assert redirect["epoch"] in (first, first - 1)  # between two epochs, the next or the one after
    assert events.of("verdict")[0]["verdict"] == "better"
    assert ends[3.0]["training_iteration"] < EPOCHS
    assert ends[3.0]["raymimic/decision"].startswith("judged: place 3 of 4, the best 2 go on")
    assert ends[3.0]["raymimic/decision"].endswith('ago: "it rests far behind"')
    assert [row["kind"] for row in events.of("stop")] == ["judged"]
