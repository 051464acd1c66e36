"""Clones in a real run: weights that arrive without a restart, checkpoints that are gone."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune

from raymimic import Knob, LLMScheduler, RaymimicCallback, read_events
from raymimic.scheduling.rank_rule import RankRule, Reading
from raymimic.tune import LiveKnobs
from raymimic.tune.mailbox import Handover, open_mailbox

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LIVE = LiveKnobs({"lr": Knob(1e-4, 0.1, "learning rate"), "dropout": Knob(0.0, 0.6)})
EPOCHS = 16


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_in_a_real_run_a_weak_trial_takes_the_good_ones_weights_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def read(self: RankRule, trial_id: str) -> Reading | None:
        trial = self._trials[trial_id]
        epoch, hopeless = trial.epochs[-1], trial.values[-1] > 1.0
        if not 2 < epoch < EPOCHS:
            return None
        return Reading(epoch, EPOCHS, 3 if hopeless else 1, 4, 2.0, 3, hopeless=hopeless)

    monkeypatch.setattr(RankRule, "read", read)
    seen, live = tmp_path / "seen.jsonl", LIVE

    def train(config: dict[str, Any]) -> None:
        knobs, weight, end = live.start({"lr": config["lr"]}), 2.0, time.monotonic() + 600
        while config["lr"] != 0.05 and not Path(tmp_path, "0.05-8").exists():
            assert time.monotonic() < end, "the good one leads before a weak one is looked at"
            time.sleep(0.05)
        for epoch in range(1, EPOCHS + 1):
            knobs.update()
            if knobs.checkpoint is not None:
                with knobs.checkpoint.as_directory() as folder:
                    weight = json.loads(Path(folder, "weight.json").read_text())
            weight *= 1.0 - knobs["lr"] * 5
            with seen.open("a") as file:
                file.write(json.dumps([config["lr"], os.getpid(), epoch, weight]) + "\n")
            folder = tmp_path / f"{config['lr']}-{epoch}"
            folder.mkdir()
            (folder / "weight.json").write_text(json.dumps(weight))
            checkpoint = tune.Checkpoint.from_directory(str(folder))
            tune.report({"loss": weight, **knobs.metrics()}, checkpoint=checkpoint)
            time.sleep(0.02)

    ledger = tmp_path / "ledger.jsonl"
    scheduler = LLMScheduler(llm="none", knobs=live, population=True, max_t=EPOCHS, ledger=ledger)
    grid = tune.Tuner(
        train,
        param_space={"lr": tune.grid_search([0.05, 0.0011, 0.0012, 0.0013])},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", scheduler=scheduler, max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), name="run", verbose=0,
            callbacks=[RaymimicCallback(scheduler=scheduler, metric="loss", mode="min")],
        ),
    ).fit()  # fmt: skip
    ends, said = {result.config["lr"]: result for result in grid}, capsys.readouterr().out
    rows = [json.loads(line) for line in seen.read_text().splitlines()]
    events = read_events(ledger)
    clones = {row["trial_id"]: row for row in events.of("clone")}
    assert len(clones) == 3
    good = ends[0.05].metrics["trial_id"]
    for lr in (0.0011, 0.0012, 0.0013):
        mine = [row[1:] for row in rows if row[0] == lr]
        pids, epochs, weights = zip(*mine, strict=True)
        assert epochs == tuple(range(1, EPOCHS + 1))  # none came twice
        assert len(set(pids)) == 1
        clone = clones[ends[lr].metrics["trial_id"]]
        leader = first = clone["from"]
        while first != good:  # it was cloned from it before
            first = clones[first]["from"]
        assert (clone["epoch"], clone["source"]) == (3, "heuristic")
        assert clone["reason"].startswith(f"the weights of trial {leader}")
        assert weights[2] > 1.9  # its own, until the clone came
        assert weights[-1] < 0.5
        assert f"{clone['trial_id']}  cloned trial {leader} (loss " in said
    # Later verdicts are on knobs that the rules turned in what had come to rest by then.
    found = [row["verdict"] for row in events.of("verdict") if row["epoch"] == 3]
    assert found == ["better"] * 3
    assert ends[0.05].metrics["training_iteration"] == EPOCHS
    assert not events.of("stop")


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_checkpoint_that_is_gone_leaves_the_trial_as_it_was(tmp_path: Path, caplog: Any):
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.mkdir()
    mailbox, knobs = open_mailbox(), LIVE.start({"lr": 0.05}, trial_id="t1")
    unread = LIVE.start({"lr": 0.05}, trial_id="t2")
    for serial, folder in enumerate((gone, gone, there), start=1):
        handover = Handover(tune.Checkpoint.from_directory(str(folder)), serial)
        ray.get(mailbox.push.remote("t1", {"lr": 0.01}, handover))
        ray.get(mailbox.push.remote("t2", {"lr": 0.01}, handover))
        with caplog.at_level("WARNING", logger="raymimic"):
            assert knobs.update() == ({"lr": 0.01} if folder == there else {})
            unread.update()
        if folder == gone:
            assert knobs.checkpoint is None
            assert knobs["lr"] == 0.05
            assert knobs.metrics()["raymimic/clone/lost"] == serial
    assert sum("which is gone (said once)" in one for one in caplog.messages) == 2  # of each trial
    assert knobs.checkpoint.path == str(there)
    assert knobs.metrics()["raymimic/clone/taken"] == 3
    assert "raymimic/clone/taken" not in unread.metrics()  # nobody looked at the checkpoint
    assert knobs.update() == {}
    assert knobs.checkpoint is None
