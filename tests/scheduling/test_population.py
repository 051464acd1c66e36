"""Population training: who is cloned, from whom and how often, and what the results say of it."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest
from driver import Driver, FakeMailbox, Trial

from raymimic.advisor import HeuristicAdvisor, JudgeAdvice, JudgeEvidence, Judgement
from raymimic.errors import AdvisorError
from raymimic.scheduling.rank_rule import RankRule, Reading
from raymimic.summary import Tally

LENGTH = 40
SPAN = LENGTH // 10  # epochs in which a clone's effect is measured


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second epoch on whoever stands above 0.6 is hopeless, above 0.5 in doubt."""

    def read(self: RankRule, trial_id: str) -> Reading | None:
        trial = self._trials[trial_id]
        epoch, hopeless = trial.epochs[-1], not trial.values[-1] < 0.6
        place = 1 if trial.values[-1] <= 0.5 else 3
        if not 1 < epoch < LENGTH:
            return None
        return Reading(epoch, LENGTH, place, 4, 2.0, place, hopeless=hopeless)

    monkeypatch.setattr(RankRule, "read", read)


class Run(Driver):
    """A population in which a trial is added with its learning rate and its checkpoint."""

    def __init__(self, judge: Any = None) -> None:
        judge = judge or HeuristicAdvisor()
        super().__init__(judge=judge, knobs=True, population=True, max_t=LENGTH)

    def join(self, name: str, lr: float = 0.05, checkpoint: str | None = None) -> Trial:
        knobs = {"lr": lr, "dropout": 0.1}
        return self.add(name, config={"lr": lr}, checkpoint=checkpoint, knobs=knobs)

    def leader(self, epochs: int = 5, name: str = "leader") -> Trial:
        """A good trial with a checkpoint."""
        trial = self.join(name, 0.01, "w")
        trial.knobs["dropout"] = 0.2
        for _ in range(epochs):
            self.report(trial, 0.2)
        return trial


def test_a_hopeless_trial_goes_on_from_the_best_ones_checkpoint():
    run = Run()
    good, better, bare = (
        run.join("good", 0.03, "w1"),
        run.join("best", 0.01, "w2"),
        run.join("bare"),
    )
    for _ in range(9):
        run.report(good, 0.3)
        run.report(better, 0.2)
        run.report(bare, 0.1)  # it saves no checkpoint
    poor = run.join("poor")
    assert run.train(poor, own=0.9, cloned=0.25, until=LENGTH) == LENGTH
    assert poor.took == "w2"
    ((_, values, _),) = run.mailbox.sent
    assert values["lr"] in (pytest.approx(0.012), pytest.approx(0.008))
    assert values["dropout"] in (pytest.approx(0.12), pytest.approx(0.08))
    (clone,) = run.events("clone")
    assert (clone["trial_id"], clone["from"], clone["from_epoch"]) == ("poor", "best", 9)
    assert (clone["from_value"], clone["epoch"], clone["source"]) == (0.2, 2, "heuristic")
    assert clone["knobs"]["lr"] == [0.05, values["lr"]]
    (effect,) = run.events("verdict")
    assert (effect["verdict"], effect["ended"]) == ("better", 2 + SPAN)
    text = run.decisions.text()
    assert "redirects and clones: 1 better" in text
    assert not run.events("stop")
    assert pickle.loads(pickle.dumps(run)).decisions.text() == text
    assert run.decisions._run.ranks._trials["poor"].start == 2  # its own epochs before
    run.end(poor, 0.25)
    assert "poor" not in run.decisions._run.ranks._field  # no training from scratch


def test_the_mailbox_is_there_when_the_first_trial_looks_for_it():
    opened: list[bool] = []

    class Watched(Run):
        def open_mailbox(self) -> FakeMailbox:
            opened.append(True)
            return super().open_mailbox()

    run = Watched()
    assert not opened
    run.join("first")
    run.join("second")
    assert opened == [True]


def test_what_is_said_of_a_clone():
    run = Run()
    leader, poor = run.join("ab12", 0.01, "w"), run.join("poor")
    for loss in (0.5, 0.21):
        run.report(leader, loss)
    run.report(poor, 0.9)
    run.report(poor, 0.9)
    text = run.text(poor)
    assert text.startswith("continue: cloned trial ab12 (loss 0.21 at epoch 2), lr 0.05 -> 0.0")
    assert "although hopeless: loss 0.9 at epoch 2" in text
    assert 'heuristic, now: "the weights of trial ab12' in text
    assert run.decisions.verdict("poor").clone.startswith(
        "cloned trial ab12 (loss 0.21 at epoch 2)"
    )
    tally = Tally(metric="loss")
    for row in [*run.events("clone"), *run.events("verdict")]:
        tally.add(row["event"], row)
    assert "Sent the weights of better trials: heuristic 1." in tally.text()


def test_a_leader_may_have_ended():
    run = Run()
    leader = run.leader()
    run.end(leader, 0.2)
    poor = run.join("poor")
    run.train(poor, own=0.9, cloned=0.3, until=5)
    assert poor.took == "w"


def test_once_in_a_quarter_of_a_training_and_never_while_the_effect_is_measured():
    run = Run()
    run.leader()
    assert run.train(run.join("poor"), own=0.9, cloned=0.8, until=LENGTH) == 2 + SPAN + 1
    slow = run.join("slow")
    while slow.epoch < 15:  # it falls until the quarter is over, then it is hopeless again
        run.take(slow)
        assert not run.report(slow, 0.5 * 0.8**slow.epoch if 2 <= slow.epoch < 11 else 0.9)
    clones = [row["epoch"] for row in run.events("clone") if row["trial_id"] == "slow"]
    assert clones == [2, 12]


def test_who_is_no_more_than_its_noise_behind_is_not_cloned():
    run = Run()
    run.report(run.join("ahead", 0.02, "w2"), 0.59)
    trial = run.join("poor")
    stopped = [run.report(trial, loss) for loss in (0.62, 0.6)]
    assert stopped == [False, True]  # the step of 0.02 is as large as the lead
    assert not run.events("clone")


def test_who_has_no_epochs_left_to_gain_is_not_cloned():
    run = Run()
    run.leader()
    last = run.join("last")
    last.epoch = LENGTH - 2
    assert run.report(last, 5.0)
    assert not run.events("clone")


def test_a_trial_leads_nobody_without_knobs_nor_itself():
    run = Run()
    run.report(run.add("mute", checkpoint="w"), 0.1)
    poor = run.join("poor", checkpoint="own")
    assert run.train(poor, own=0.9, cloned=0.1, until=LENGTH) == 2


def test_a_diverged_trial_is_cloned_and_its_past_is_forgotten():
    run = Run()
    run.leader(8)
    trial = run.join("lost")
    for loss in (0.5, 0.4):
        assert not run.report(trial, loss)
    assert run.train(trial, own=float("nan"), cloned=0.45, until=LENGTH) == LENGTH
    (effect,) = run.events("verdict")
    assert effect["verdict"] == "better"  # than a NaN
    again = run.join("again")
    run.report(again, 0.5)
    ended = run.train(again, own=float("nan"), cloned=float("nan"), until=LENGTH)
    assert ended == 2 + SPAN + 1
    assert [row["verdict"] for row in run.events("verdict")] == ["better", "worse"]
    assert run.events("stop")[0]["kind"] == "diverged"


def test_a_trial_that_takes_nothing_over_is_stopped_next_time(caplog):
    run = Run()
    run.leader()
    deaf = run.join("deaf")
    with caplog.at_level("WARNING", logger="raymimic"):
        while not run.report(deaf, 0.9):
            run.mailbox.waiting.clear()
    assert deaf.epoch == 2 + SPAN + 2
    assert [row["verdict"] for row in run.events("verdict")] == ["unheard"]
    assert sum("go on from knobs.checkpoint" in line for line in caplog.messages) == 1
    mute = run.add("mute")
    assert run.train(mute, own=0.9, cloned=0.1, until=LENGTH) == 2  # reports no knobs


def test_who_takes_the_knobs_over_and_not_the_weights_has_not_heard_and_is_cloned_no_more():
    run = Run()
    run.leader()
    blind = run.join("blind")
    while blind.epoch < 16:
        run.take(blind)
        blind.taken = 0  # it never looks at the checkpoint
        assert not run.report(blind, 0.9 if blind.epoch < 2 else 0.4)
    assert [row["verdict"] for row in run.events("verdict")] == ["unheard"]
    assert run.report(blind, 0.9)
    assert len(run.events("clone")) == 1


def test_between_two_looks_a_plan_waits_and_no_new_one_is_made(monkeypatch):
    every = RankRule.read

    def read(self: RankRule, trial_id: str) -> Reading | None:
        return None if self._trials[trial_id].epochs[-1] % 4 else every(self, trial_id)

    monkeypatch.setattr(RankRule, "read", read)
    judge = Judge()
    run = Run(judge)
    run.leader()
    poor = run.join("poor")
    for _ in range(4):
        assert not run.report(poor, 0.9)
    judge.go.set()
    run.settled()
    assert not run.report(poor, 0.9)  # nobody looks, but the answer is here
    assert [row["epoch"] for row in run.events("clone")] == [5]
    judge.go.clear()
    while poor.epoch < 35:
        run.take(poor)
        assert not run.report(poor, 0.4)
    assert len(judge.cases) == 1


def test_a_lost_checkpoint_is_sent_again_and_in_the_end_given_up():
    run = Run()
    leader, poor = run.join("leader", 0.01, "w1"), run.join("poor")
    run.report(leader, 0.3)
    while True:
        leader.checkpoint = f"w{leader.epoch}"
        run.report(leader, 0.2)
        run.take(poor, gone=True)
        if run.report(poor, 0.9):
            break
    assert [checkpoint for _, _, checkpoint in run.mailbox.sent] == ["w2", "w3", "w4"]
    assert [row["from_epoch"] for row in run.events("clone")] == [3, 4, 5]
    assert [row["verdict"] for row in run.events("verdict")] == ["lost"] * 3
    assert "3 lost" in run.decisions.text()
    assert poor.knobs["lr"] == 0.05
    assert poor.epoch == 6


def test_a_plateau_of_a_clone_is_diagnosed_from_its_own_epochs_alone():
    judge = Judge("continue", remote=False)
    judge.go.set()
    run = Run(judge)
    run.leader(1)
    poor = run.join("poor")
    for epoch in range(1, 6):  # it overfits before it is cloned
        run.report(poor, 0.1 + 0.09 * epoch, train_loss=1.0 / epoch)
    judge.action = "clone"
    run.report(poor, 0.9, train_loss=0.1)
    run.decisions._judging.finished("other", 0.2)
    judge.action = "continue"
    while poor.epoch < 30:
        run.take(poor)
        run.report(poor, 0.55 - 0.0001 * (poor.epoch % 2), train_loss=0.5)
    found = [case.diagnosis for case in judge.cases if case.epoch > poor.epoch - 10]
    assert found
    assert not any("overfitting" in one for one in found)


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


def judged(run: Run, judge: Judge, loss: float = 0.9) -> Trial:
    """A hopeless trial at epoch 2 about which the judge is asked, and has answered."""
    run.leader()
    poor = run.join("poor")
    assert not run.report(poor, loss)
    assert not run.report(poor, loss)  # it goes on meanwhile
    assert "until slow says whether it is cloned" in run.text(poor)
    judge.go.set()
    run.settled()
    return poor


def test_a_judge_chooses_the_knobs_of_a_clone():
    judge = Judge(knobs={"lr": 9.0})
    run = Run(judge)
    poor = judged(run, judge)
    assert run.train(poor, own=0.9, cloned=0.2, until=LENGTH) == LENGTH
    (case,) = judge.cases
    assert (case.leader.trial_id, case.leader.value, case.leader.epoch) == ("leader", 0.2, 5)
    assert case.leader.knobs == {"lr": 0.01, "dropout": 0.2}
    assert case.leader.config == {"lr": 0.01}
    assert case.may_stop
    (clone,) = run.events("clone")
    assert (clone["epoch"], clone["source"], clone["reason"]) == (3, "llm", "as it looks")
    assert clone["knobs"] == {"lr": [0.05, 0.1], "dropout": [0.1, 0.2]}  # bounded; the leader's
    assert [row["outcome"] for row in run.events("judgement")] == ["applied"]
    assert "slow judged: clone 1" in run.decisions.text()


def test_no_judge_stops_a_clone_while_its_effect_is_measured():
    judge = Judge()
    run = Run(judge)
    poor = judged(run, judge)
    run.decisions._judging.finished("leader", 0.2)
    judge.action = "stop"
    while poor.epoch < LENGTH:
        run.take(poor)
        if run.report(poor, 0.55 if poor.took else 0.9):
            break
        run.settled()
    (clone,), (effect,), (stop,) = (run.events(kind) for kind in ("clone", "verdict", "stop"))
    assert stop["kind"] == "judged"
    assert stop["epoch"] > effect["ended"] == clone["epoch"] + SPAN


@pytest.mark.parametrize("action", ["stop", "continue"])
def test_a_judge_that_does_not_clone_leaves_it_to_the_rules(action):
    judge = Judge(action)
    run = Run(judge)
    poor = judged(run, judge)
    assert run.report(poor, 0.9)
    (stop,) = run.events("stop")
    assert stop["kind"] == "hopeless"
    assert stop["text"].endswith('slow, 1 epoch ago: "as it looks"')
    assert not run.mailbox.sent
    assert [(row["action"], row["outcome"]) for row in run.events("judgement")] == [
        (action, "applied")
    ]


def test_a_clone_without_a_checkpoint_any_more_is_outdated_and_the_rules_stop():
    judge = Judge()
    run = Run(judge)
    poor = judged(run, judge)
    run.trials["leader"].checkpoint = None
    assert run.report(poor, 0.9)
    assert run.events("stop")[0]["kind"] == "hopeless"
    assert run.events("stop")[0]["epoch"] == 3
    assert [row["outcome"] for row in run.events("judgement")] == ["outdated"]


def test_a_redirect_that_turns_nothing_is_outdated_and_the_rules_stop():
    judge = Judge("redirect", {"lr": float("nan"), "warp": 1.0})
    run = Run(judge)
    poor = judged(run, judge)
    assert run.report(poor, 0.9)
    assert [row["outcome"] for row in run.events("judgement")] == ["outdated"]
    assert not run.mailbox.sent


def test_where_the_judge_gave_up_the_rule_clones_at_once():
    class Broke(Judge):
        def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
            raise AdvisorError("no credit", reason="402", permanent=True)

    run = Run(Broke())
    run.leader()
    poor = run.join("poor")
    run.report(poor, 0.9)
    run.report(poor, 0.9)
    run.settled()
    assert not run.report(poor, 0.9)
    assert [(row["epoch"], row["source"]) for row in run.events("clone")] == [(3, "heuristic")]


def test_who_recovers_before_the_judge_is_asked_is_not_asked_about():
    judge = Judge()
    run = Run(judge)
    run.leader()
    first, second = run.join("first"), run.join("second")
    for trial in (first, first, second, second):
        run.report(trial, 0.9)
    run.report(second, 0.4)
    judge.go.set()
    run.settled()
    run.report(first, 0.9)
    run.settled()
    assert [case.trial_id for case in judge.cases] == ["first"]


def test_a_judge_at_hand_that_says_continue_leaves_it_to_the_rules_at_once():
    judge = Judge("continue", remote=False)
    judge.go.set()
    run = Run(judge)
    run.leader(1)
    assert run.train(run.join("poor"), own=0.9, cloned=0.1, until=LENGTH) == 2


def test_an_older_answer_does_not_decide_on_a_clone():
    judge = Judge("stop")
    run = Run(judge)
    run.leader(1)
    poor = run.join("poor")
    run.decisions._judging.finished("other", 0.2)
    for loss in (0.55, 0.55, 0.9):  # asked when in doubt, then hopeless
        assert not run.report(poor, loss)
    judge.go.set()
    run.settled()
    judge.action = "clone"
    assert not run.report(poor, 0.9)
    run.settled()
    assert not run.report(poor, 0.9)
    outcomes = [(row["action"], row["outcome"]) for row in run.events("judgement")]
    assert outcomes == [("stop", "outdated"), ("clone", "applied")]


@pytest.mark.parametrize("first", ["redirect", "continue"])
def test_a_redirect_after_a_clone_is_not_measured_against_the_jump(first):
    judge = Judge(remote=False)
    judge.go.set()
    run = Run(judge)
    run.leader(1)
    poor = run.join("poor")
    for epoch in range(1, 11):
        assert not run.report(poor, 0.45 - 0.0001 * epoch if epoch < 10 else 0.9)
    judge.action, judge.knobs = first, {"lr": 0.002}
    run.decisions._judging.finished("other", 0.2)
    while poor.epoch < 24:
        run.take(poor)
        run.report(poor, 0.55 - 0.0001 * poor.epoch)
        if poor.epoch == 15:
            judge.action = "redirect"
    redirect = run.events("redirect")[0]
    # The later one is late enough for the noise not to hold the jump.
    assert redirect["epoch"] in ([10 + SPAN] if first == "redirect" else range(16, 19))
    kinds = [row["verdict"] for row in run.events("verdict")][:2]
    assert kinds == ["better", "within noise"]


def test_a_judge_may_redirect_a_hopeless_trial():
    judge = Judge("redirect", {"lr": 0.005})
    run = Run(judge)
    poor = judged(run, judge)
    assert not run.report(poor, 0.9)
    assert run.mailbox.sent == [("poor", {"lr": 0.005}, None)]


def test_a_trial_that_recovers_meanwhile_is_not_cloned():
    judge = Judge()
    run = Run(judge)
    poor = judged(run, judge)
    for _ in range(3):
        assert not run.report(poor, 0.4)
    assert not run.events("clone")
    assert [row["outcome"] for row in run.events("judgement")] == ["outdated"]


def test_without_an_answer_in_time_the_rule_clones():
    judge = Judge()
    run = Run(judge)
    run.leader()
    poor = run.join("poor")
    assert run.train(poor, own=0.9, cloned=0.2, until=12) == 12
    (clone,) = run.events("clone")
    assert (clone["epoch"], clone["source"]) == (2 + LENGTH // 20, "heuristic")
    (late,) = run.events("unjudged")
    assert (late["reason"], late["trials"]) == ("late", ["poor"])
    assert "unanswered 1" in run.decisions.text()
    judge.go.set()
    run.settled()
    assert not run.report(poor, 0.2)
    assert [row["outcome"] for row in run.events("judgement")] == ["outdated"]
    assert len(run.events("clone")) == 1


def test_what_the_rule_has_decided_is_asked_about_no_more():
    judge = Judge()
    run = Run(judge)
    run.leader()
    first, second = run.join("first"), run.join("second")
    for _ in range(2 + LENGTH // 20):  # the judge holds the first, so the second only waits
        run.report(first, 0.9)
        run.report(second, 0.9)
    assert [row["trial_id"] for row in run.events("clone")] == ["first", "second"]
    judge.go.set()
    run.settled()
    run.report(first, 0.2)
    run.settled()
    assert {case.trial_id for case in judge.cases} == {"first"}
