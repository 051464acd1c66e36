"""Population training: who is cloned, from whom and how often, and what the results say of it."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune
from ray.tune.schedulers import TrialScheduler

from raymimic import Knob, LLMScheduler, RaymimicCallback, read_events
from raymimic.advisor import JudgeAdvice, JudgeEvidence, Judgement
from raymimic.scheduling import redirects as redirects_room
from raymimic.scheduling.rank_rule import Reading, Stopping
from raymimic.summary import Tally
from raymimic.tune import LiveKnobs
from raymimic.tune.mailbox import Board, Handover, open_board

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LENGTH = 40
SPAN = LENGTH // 10  # epochs in which a clone's effect is measured
LIVE = LiveKnobs({"lr": Knob(1e-4, 0.1, "learning rate"), "dropout": Knob(0.0, 0.6)})


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second epoch on whoever stands above 0.6 is hopeless, above 0.5 in doubt."""

    def read(self: Stopping, trial_id: str) -> Reading | None:
        trial = self._trials[trial_id]
        epoch, hopeless = trial.epochs[-1], not trial.values[-1] < 0.6
        place = 1 if trial.values[-1] <= 0.5 else 3
        if not 1 < epoch < LENGTH:
            return None
        return Reading(epoch, LENGTH, place, 4, 2.0, place, hopeless=hopeless)

    monkeypatch.setattr(Stopping, "read", read)


class FakeBoard(Board):
    """The board itself, called as an actor's handle is; ``sent`` keeps every handover."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, dict[str, float], Any]] = []

        def push(trial_id: str, values: dict[str, float], handover: Handover | None) -> None:
            Board.push(self, trial_id, values, handover)
            self.sent.append((trial_id, values, handover and handover.checkpoint))

        self.push = SimpleNamespace(remote=push)
        self.forget = SimpleNamespace(remote=lambda trial_id: Board.forget(self, trial_id))


class Run:
    """Drives a scheduler as Tune does; trials take over what the board has for them."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.board, self.path = FakeBoard(), tmp_path / "ledger.jsonl"
        monkeypatch.setattr(redirects_room, "open_board", lambda: self.board)
        given = {"redirect": LIVE, "population": True, "max_t": LENGTH, "ledger": str(self.path)}
        self.scheduler = LLMScheduler("loss", "min", **{**given, **settings})
        assert self.scheduler.set_search_properties(None, None)
        self.trials: list[Any] = []
        self.controller = SimpleNamespace(get_trials=lambda: self.trials)

    def add(self, name: str, lr: float = 0.05, checkpoint: str | None = None) -> Any:
        trial = SimpleNamespace(
            trial_id=name,
            evaluated_params={"lr": lr},
            checkpoint=checkpoint,
            epoch=0,
            metrics={"raymimic/live/lr": lr, "raymimic/live/dropout": 0.1},
            took=None,
        )
        self.trials.append(trial)
        self.scheduler.on_trial_add(self.controller, trial)
        return trial

    def take(self, trial: Any, said: str = "taken") -> bool:
        """What `TrialKnobs.update` does; returns whether a clone came."""
        parcel = self.board.take(trial.trial_id)
        if said == "taken":
            trial.metrics |= {f"raymimic/live/{name}": new for name, new in parcel.values.items()}
        if parcel.handover is None:
            return False
        trial.metrics[f"raymimic/clone/{said}"] = float(parcel.handover.serial)
        trial.took = parcel.handover.checkpoint
        return True

    def report(self, trial: Any, loss: float) -> bool:
        """One epoch; returns whether the trial was stopped."""
        trial.epoch += 1
        result = {"loss": loss, "training_iteration": trial.epoch, **trial.metrics}
        action = self.scheduler.on_trial_result(self.controller, trial, result)
        if action == TrialScheduler.STOP:
            self.scheduler.on_trial_complete(self.controller, trial, {**result, "done": True})
        return bool(action == TrialScheduler.STOP)

    def train(self, trial: Any, own: float, cloned: float, until: int = LENGTH) -> int:
        """Report ``own`` until a clone comes, ``cloned`` from then on; returns the last epoch."""
        while trial.epoch < until:
            self.take(trial)
            if self.report(trial, cloned if trial.took else own):
                break
        return int(trial.epoch)

    def events(self, kind: str) -> list[dict[str, Any]]:
        self.scheduler.ledger.flush()
        return read_events(self.path).of(kind)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda **settings: Run(tmp_path, monkeypatch, **settings)


def test_population_needs_live_knobs():
    with pytest.raises(ValueError, match="redirect=LiveKnobs"):
        LLMScheduler(population=True)


def test_a_hopeless_trial_goes_on_from_the_best_ones_checkpoint(start):
    run = start()
    good, better, bare = run.add("good", 0.03, "w1"), run.add("best", 0.01, "w2"), run.add("bare")
    for _ in range(9):
        run.report(good, 0.3)
        run.report(better, 0.2)
        run.report(bare, 0.1)  # it saves no checkpoint
    poor = run.add("poor")
    assert run.train(poor, own=0.9, cloned=0.25) == LENGTH
    assert poor.took == "w2"
    ((_, values, _),) = run.board.sent
    assert values["lr"] in (pytest.approx(0.012), pytest.approx(0.008))
    assert values["dropout"] in (pytest.approx(0.12), pytest.approx(0.08))
    (clone,) = run.events("clone")
    assert (clone["trial_id"], clone["from"], clone["from_epoch"]) == ("poor", "best", 9)
    assert (clone["from_value"], clone["epoch"], clone["source"]) == (0.2, 2, "heuristic")
    assert clone["knobs"]["lr"] == [0.05, values["lr"]]
    (effect,) = run.events("verdict")
    assert (effect["verdict"], effect["ended"]) == ("better", 2 + SPAN)
    assert "redirects and clones: 1 better" in run.scheduler.debug_string()
    assert not run.events("stop")
    text = run.scheduler.debug_string()
    assert cloudpickle.loads(cloudpickle.dumps(run.scheduler)).debug_string() == text


def test_what_is_said_of_a_clone(start, capsys):
    run = start()
    leader, poor = run.add("ab12", 0.01, "w"), run.add("poor")
    for loss in (0.5, 0.21):
        run.report(leader, loss)
    run.report(poor, 0.9)
    run.report(poor, 0.9)
    text = run.scheduler.verdict("poor").text
    assert text.startswith("continue: cloned trial ab12 (loss 0.21 at epoch 2), lr 0.05 -> 0.0")
    assert "although hopeless: loss 0.9 at epoch 2" in text
    assert 'heuristic, now: "the weights of trial ab12' in text
    callback, result = RaymimicCallback(scheduler=run.scheduler, metric="loss", mode="min"), {}
    result = {"loss": 0.9, "training_iteration": 2}
    callback.on_trial_result(1, run.trials, poor, result)
    assert result["raymimic/decision"] == text
    assert "trial poor  cloned trial ab12 (loss 0.21 at epoch 2), lr" in capsys.readouterr().out
    tally = Tally(metric="loss")
    for row in [*run.events("clone"), *run.events("verdict")]:
        tally.add(row["event"], row)
    assert "Sent the weights of better trials: heuristic 1." in tally.text()


def test_once_in_a_quarter_of_a_training_and_never_while_the_effect_is_measured(start):
    run = start()
    leader = run.add("leader", 0.01, "w")
    for _ in range(5):
        run.report(leader, 0.2)
    assert run.train(run.add("poor"), own=0.9, cloned=0.8) == 2 + SPAN + 1
    slow = run.add("slow")
    while slow.epoch < 15:  # it falls until the quarter is over, then it is hopeless again
        run.take(slow)
        assert not run.report(slow, 0.5 * 0.8**slow.epoch if 2 <= slow.epoch < 11 else 0.9)
    clones = [row["epoch"] for row in run.events("clone") if row["trial_id"] == "slow"]
    assert clones == [2, 12]


def test_only_a_clearly_better_trial_with_epochs_left_to_gain_is_followed(start):
    run = start()
    alike = run.add("alike", 0.01, "w")
    noisy = [0.9, 1.1, 0.9, 1.1, 0.9, 1.1]
    for loss in noisy:
        alike.epoch += 1
        run.scheduler._stopping.add("alike", alike.epoch, loss)
    trial = run.add("poor")
    run.report(run.add("ahead", 0.02, "w2"), 0.59)
    stopped = [run.report(trial, loss) for loss in (0.62, 0.6)]
    assert stopped == [False, True]  # the step of 0.02 is as large as the lead
    last = run.add("last")
    last.epoch = LENGTH - 2
    assert run.report(last, 5.0)
    assert not run.events("clone")


def test_a_diverged_trial_is_cloned_and_its_past_is_forgotten(start):
    run = start()
    leader = run.add("leader", 0.01, "w")
    for _ in range(8):
        run.report(leader, 0.2)
    trial = run.add("lost")
    for loss in (0.5, 0.4):
        assert not run.report(trial, loss)
    assert run.train(trial, own=float("nan"), cloned=0.45) == LENGTH
    (effect,) = run.events("verdict")
    assert effect["verdict"] == "better"  # than a NaN
    again = run.add("again")
    run.report(again, 0.5)
    ended = run.train(again, own=float("nan"), cloned=float("nan"))
    assert ended == 2 + SPAN + 1
    assert [row["verdict"] for row in run.events("verdict")] == ["better", "worse"]
    assert run.events("stop")[0]["kind"] == "diverged"


def test_a_trial_that_takes_nothing_over_is_stopped_next_time(start, caplog):
    run = start()
    leader, deaf = run.add("leader", 0.01, "w"), run.add("deaf")
    for _ in range(5):
        run.report(leader, 0.2)
    with caplog.at_level("WARNING", logger="raymimic"):
        while not run.report(deaf, 0.9):
            run.board.take("deaf")
    assert deaf.epoch == 2 + SPAN + 2
    assert [row["verdict"] for row in run.events("verdict")] == ["unheard"]
    assert sum("go on from knobs.checkpoint" in line for line in caplog.messages) == 1
    mute = run.add("mute")
    mute.metrics = {}
    assert run.train(mute, own=0.9, cloned=0.1) == 2  # reports no knobs: stopped as ever


def test_a_lost_checkpoint_is_sent_again_and_in_the_end_given_up(start):
    run = start()
    leader, poor = run.add("leader", 0.01, "w1"), run.add("poor")
    run.report(leader, 0.3)
    while True:
        leader.checkpoint = f"w{leader.epoch}"
        run.report(leader, 0.2)
        run.take(poor, "lost")
        if run.report(poor, 0.9):
            break
    assert [checkpoint for _, _, checkpoint in run.board.sent] == ["w2", "w3", "w4"]
    assert [row["from_epoch"] for row in run.events("clone")] == [3, 4, 5]
    assert [row["verdict"] for row in run.events("verdict")] == ["lost"] * 3
    assert "3 lost" in run.scheduler.debug_string()
    assert poor.metrics["raymimic/live/lr"] == 0.05
    assert poor.epoch == 6


class Judge:
    """Answers when it is let go; every case of a question gets the same judgement."""

    name = "slow"

    def __init__(
        self, action: str = "clone", knobs: dict[str, float] | None = None, remote: bool = True
    ) -> None:
        self.action, self.knobs, self.remote = action, knobs or {}, remote
        self.cases: list[Any] = []
        self.go = threading.Event()

    def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
        self.cases += evidence.cases
        assert evidence.population
        assert self.go.wait(20)
        made = (
            Judgement(case.trial_id, self.action, "as it looks", self.knobs, "llm")
            for case in evidence.cases
        )
        return JudgeAdvice(tuple(made))


def judged(run: Run, judge: Judge, loss: float = 0.9) -> Any:
    """A hopeless trial at epoch 2 about which the judge is asked, and has answered."""
    leader, poor = run.add("leader", 0.01, "w"), run.add("poor")
    for _ in range(5):
        run.report(leader, 0.2)
    assert not run.report(poor, loss)
    assert not run.report(poor, loss)  # it goes on meanwhile
    assert "until slow says whether it is cloned" in run.scheduler.verdict("poor").text
    judge.go.set()
    run.scheduler._judging._docket.hearing._inquiry.wait(20)
    return poor


def test_a_judge_chooses_the_knobs_of_a_clone(start):
    judge = Judge(knobs={"lr": 9.0})
    run = start(advisor=judge)
    poor = judged(run, judge)
    assert run.train(poor, own=0.9, cloned=0.2) == LENGTH
    (case,) = judge.cases
    assert (case.leader.trial_id, case.leader.value, case.leader.epoch) == ("leader", 0.2, 5)
    assert case.leader.knobs == {"lr": 0.01, "dropout": 0.1}
    assert case.leader.config == {"lr": 0.01}
    assert case.may_stop
    (clone,) = run.events("clone")
    assert (clone["epoch"], clone["source"], clone["reason"]) == (3, "llm", "as it looks")
    assert {name: pair[1] for name, pair in clone["knobs"].items()} == {"lr": 0.1, "dropout": 0.1}
    assert [row["outcome"] for row in run.events("judgement")] == ["applied"]
    assert "slow judged: clone 1" in run.scheduler.debug_string()


def test_no_judge_stops_a_clone_while_its_effect_is_measured(start):
    judge = Judge()
    run = start(advisor=judge)
    poor = judged(run, judge)
    run.scheduler._judging.finished("leader", 0.2)
    judge.action = "stop"
    while poor.epoch < LENGTH:
        run.take(poor)
        if run.report(poor, 0.55 if poor.took else 0.9):
            break
        run.scheduler._judging._docket.hearing._inquiry.wait(20)
    (clone,), (effect,), (stop,) = (run.events(kind) for kind in ("clone", "verdict", "stop"))
    assert stop["kind"] == "judged"
    assert stop["epoch"] > effect["ended"] == clone["epoch"] + SPAN


@pytest.mark.parametrize("action", ["stop", "continue"])
def test_a_judge_that_does_not_clone_leaves_it_to_the_rules(start, action):
    judge = Judge(action)
    run = start(advisor=judge)
    poor = judged(run, judge)
    assert run.report(poor, 0.9)
    (stop,) = run.events("stop")
    assert stop["kind"] == "hopeless"
    assert stop["text"].endswith('slow, 1 epoch ago: "as it looks"')
    assert not run.board.sent


def test_a_judge_at_hand_that_says_continue_leaves_it_to_the_rules_at_once(start):
    judge = Judge("continue", remote=False)
    judge.go.set()
    run = start(advisor=judge)
    run.report(run.add("leader", 0.01, "w"), 0.2)
    assert run.train(run.add("poor"), own=0.9, cloned=0.1) == 2


def test_an_older_answer_does_not_decide_on_a_clone(start):
    judge = Judge("stop")
    run = start(advisor=judge)
    leader, poor = run.add("leader", 0.01, "w"), run.add("poor")
    run.report(leader, 0.2)
    run.scheduler._judging.finished("other", 0.2)
    for loss in (0.55, 0.55, 0.9):  # asked when in doubt, then hopeless
        assert not run.report(poor, loss)
    judge.go.set()
    run.scheduler._judging._docket.hearing._inquiry.wait(20)
    judge.action = "clone"
    assert not run.report(poor, 0.9)
    run.scheduler._judging._docket.hearing._inquiry.wait(20)
    assert not run.report(poor, 0.9)
    outcomes = [(row["action"], row["outcome"]) for row in run.events("judgement")]
    assert outcomes == [("stop", "outdated"), ("clone", "applied")]


def test_a_redirect_after_a_clone_is_not_measured_against_the_jump(start):
    judge = Judge(remote=False)
    judge.go.set()
    run = start(advisor=judge)
    run.report(run.add("leader", 0.01, "w"), 0.2)
    poor = run.add("poor")
    for epoch in range(1, 11):
        assert not run.report(poor, 0.45 - 0.0001 * epoch if epoch < 10 else 0.9)
    judge.action, judge.knobs = "redirect", {"lr": 0.002}
    run.scheduler._judging.finished("other", 0.2)
    while poor.epoch < 18:
        run.take(poor)
        run.report(poor, 0.55 - 0.0001 * poor.epoch)
    redirect = run.events("redirect")[0]
    assert redirect["epoch"] == 10 + SPAN
    assert [row["verdict"] for row in run.events("verdict")] == ["better", "within noise"]


def test_the_jump_to_another_trials_curve_is_no_pace_of_the_own(start):
    judge = Judge(remote=False)
    judge.go.set()
    run = start(advisor=judge)
    run.report(run.add("leader", 0.01, "w"), 0.2)
    poor = run.add("poor")
    for epoch in range(1, 11):
        assert not run.report(poor, 0.45 - 0.0001 * epoch if epoch < 10 else 0.9)
    judge.action, judge.knobs = "continue", {"lr": 0.002}
    run.scheduler._judging.finished("other", 0.2)
    while poor.epoch < 24:
        run.take(poor)
        run.report(poor, 0.55 - 0.0001 * poor.epoch)
        if poor.epoch == 15:
            judge.action = "redirect"
    redirect = run.events("redirect")[0]
    assert redirect["epoch"] in range(16, 19)  # late enough for the noise not to hold the jump
    assert [row["verdict"] for row in run.events("verdict")] == ["better", "within noise"]


def test_a_judge_may_redirect_a_hopeless_trial(start):
    judge = Judge("redirect", {"lr": 0.005})
    run = start(advisor=judge)
    poor = judged(run, judge)
    assert not run.report(poor, 0.9)
    assert run.board.sent == [("poor", {"lr": 0.005}, None)]


def test_a_trial_that_recovers_meanwhile_is_not_cloned(start):
    judge = Judge()
    run = start(advisor=judge)
    poor = judged(run, judge)
    for _ in range(3):
        assert not run.report(poor, 0.4)
    assert not run.events("clone")
    assert [row["outcome"] for row in run.events("judgement")] == ["outdated"]


def test_without_an_answer_in_time_the_rule_clones(start):
    judge = Judge()
    run = start(advisor=judge)
    leader, poor = run.add("leader", 0.01, "w"), run.add("poor")
    for _ in range(5):
        run.report(leader, 0.2)
    assert run.train(poor, own=0.9, cloned=0.2, until=12) == 12
    (clone,) = run.events("clone")
    assert (clone["epoch"], clone["source"]) == (2 + LENGTH // 20, "heuristic")
    (late,) = run.events("unjudged")
    assert (late["reason"], late["trials"]) == ("late", ["poor"])
    assert "unanswered 1" in run.scheduler.debug_string()
    judge.go.set()
    run.scheduler._judging._docket.hearing._inquiry.wait(20)
    assert not run.report(poor, 0.2)
    assert [row["outcome"] for row in run.events("judgement")] == ["outdated"]
    assert len(run.events("clone")) == 1


def test_without_a_controller_the_rules_stop_as_ever(start):
    run = start()
    run.controller = None
    run.report(run.add("leader", 0.01, "w"), 0.2)
    assert run.train(run.add("poor"), own=0.9, cloned=0.1) == 2


# -- the rule of ranks -----------------------------------------------------------------------------


def test_nobody_is_measured_against_a_clones_later_epochs(monkeypatch):
    monkeypatch.undo()
    ranks = Stopping(grace=1, length=LENGTH, patience=2.0)

    def scratch(epoch: int, end: float) -> float:
        return end + epoch**-0.5

    for name, end in (("a", 0.1), ("b", 0.5), ("c", 0.6)):
        for epoch in range(1, 31):
            ranks.add(name, epoch, scratch(epoch, end))
    before = [ranks._ranked(ranks._trials["c"], 20, LENGTH, 1)]
    for name in ("d", "e"):
        for epoch in range(1, 6):
            ranks.add(name, epoch, 2.0)
        ranks.clone(name)
        for epoch in range(6, 30):
            ranks.add(name, epoch, 0.1)
            reading = ranks.read(name)
            assert reading is None or not reading.hopeless
    late = Stopping.read
    ranks.add("f", 1, scratch(1, 0.3))
    for epoch in range(2, 30):
        ranks.add("f", epoch, scratch(epoch, 0.3))
        reading = late(ranks, "f")
        assert reading is None or (reading.place == 2 and not reading.hopeless)
    assert before[0].place == 3
    ranks.end("d", whole=True)
    assert ranks.finished == 1
    assert ranks._field.length == 0  # no forecast is made from it
    ranks.add("d", 1, 2.0)  # it was retried from scratch
    assert 2.0 in ranks._at[1]


# -- real Ray --------------------------------------------------------------------------------------

EPOCHS = 16


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_in_a_real_run_a_weak_trial_takes_the_good_ones_weights_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def read(self: Stopping, trial_id: str) -> Reading | None:
        trial = self._trials[trial_id]
        epoch, hopeless = trial.epochs[-1], trial.values[-1] > 1.0
        if not 2 < epoch < EPOCHS:
            return None
        return Reading(epoch, EPOCHS, 3 if hopeless else 1, 4, 2.0, 3, hopeless=hopeless)

    monkeypatch.setattr(Stopping, "read", read)
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
    scheduler = LLMScheduler(redirect=live, population=True, max_t=EPOCHS, ledger=str(ledger))
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
        assert f"trial {clone['trial_id']}  cloned trial {leader} (loss " in said
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
    board, knobs = open_board(), LIVE.start({"lr": 0.05}, trial_id="t1")
    unread = LIVE.start({"lr": 0.05}, trial_id="t2")
    for serial, folder in enumerate((gone, gone, there), start=1):
        handover = Handover(tune.Checkpoint.from_directory(str(folder)), serial)
        ray.get(board.push.remote("t1", {"lr": 0.01}, handover))
        ray.get(board.push.remote("t2", {"lr": 0.01}, handover))
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
