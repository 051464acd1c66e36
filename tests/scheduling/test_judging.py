"""Trials in doubt and a judge: who is brought, when its word acts, and that it holds up nobody."""

from __future__ import annotations

import pickle
import re
import threading
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from driver import Driver, Trial, falling

from raymimic.advisor import HeuristicAdvisor, JudgeAdvice, JudgeEvidence, Judgement
from raymimic.curves import Diagnosis, Forecast, Signal, diagnose
from raymimic.errors import AdvisorError
from raymimic.inquiry import Inquiry
from raymimic.records import Objective
from raymimic.scheduling.cases import borderline, in_doubt
from raymimic.scheduling.rank_rule import RankRule, Reading
from raymimic.scheduling.running import RunningTrial

LENGTH = 40


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that look at every epoch, stop nobody, and nearly stop whoever is above 0.6.

    Below 0.6 a trial is the second, below 0.59 the first.
    """

    def read(self: RankRule, trial_id: str) -> Reading | None:
        trial = self._trials[trial_id]
        epoch, value = trial.epochs[-1], trial.values[-1]
        if epoch >= LENGTH:
            return None
        good = value < 0.59 or trial_id.startswith("warm")
        place = 1 if good else 2 if value < 0.6 else 3
        return Reading(epoch, LENGTH, place=place, rivals=4, kept=2.0, reach=min(place, 2))

    monkeypatch.setattr(RankRule, "read", read)


class Slow:
    """A judge that answers when it is let go; ``asked`` are the trials of each question."""

    name, remote = "slow", True

    def __init__(
        self,
        action: str = "stop",
        error: Exception | None = None,
        knobs: dict[str, float] | None = None,
    ) -> None:
        self.action, self.error, self.knobs = action, error, knobs or {}
        self.asked: list[list[str]] = []
        self.evidence: list[JudgeEvidence] = []
        self.go = threading.Event()

    def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
        self.evidence.append(evidence)
        self.asked.append([case.trial_id for case in evidence.cases])
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        said = "it will not get there"
        made = (
            Judgement(case.trial_id, self.action, said, self.knobs, "llm")
            for case in evidence.cases
        )
        return JudgeAdvice(tuple(made))


def begun(judge: Any, **settings: Any) -> Driver:
    """A run in which three trainings have finished."""
    driver = Driver(judge=judge, **settings)
    for index, end in enumerate((0.5, 0.7, 0.9)):
        driver.run(f"warm{index}", falling(end, LENGTH))
    return driver


def settle(driver: Driver, judge: Slow) -> None:
    judge.go.set()
    driver.settled()


def doubtful(epoch: int) -> float:
    return falling(0.8, LENGTH)[epoch - 1]


def test_a_judged_stop_has_the_numbers_and_the_judges_sentence():
    judge = Slow()
    driver = begun(judge)
    trial = driver.add("poor", config={"x": 1.5})
    assert not driver.report(trial, doubtful(1))
    assert not driver.report(trial, doubtful(2))  # nobody waits for the answer
    settle(driver, judge)
    (case,) = judge.evidence[0].cases
    assert case.may_stop
    assert case.config == {"x": 1.5}
    assert case.epoch == len(case.curve) == 1  # as it stood when it was brought
    assert re.search("place 3 of 4, the best 2 go on", case.standing)
    assert judge.evidence[0].finals == pytest.approx(
        [falling(end, LENGTH)[-1] for end in (0.5, 0.7, 0.9)]
    )
    assert driver.report(trial, doubtful(3))
    assert driver.decisions.verdict("poor").kind == "judged"
    assert re.match(
        r'judged: place 3 of 4, .* \| slow, 2 epochs ago: "it will not get there"',
        driver.text("poor"),
    )
    (stop,), (judgement,) = driver.events("stop"), driver.events("judgement")
    assert (stop["kind"], stop["text"]) == ("judged", driver.text("poor"))
    assert (judgement["action"], judgement["outcome"]) == ("stop", "applied")
    assert (judgement["asked_epoch"], judgement["epoch"], judgement["age"]) == (1, 3, 2)
    assert "slow judged: stop 1" in driver.decisions.text()
    assert "judged 1" in driver.decisions.text()


@pytest.mark.parametrize(("latency", "stopped"), [(9.0, True), (1.0, False)])
def test_with_several_objectives_no_judge_stops_what_may_be_on_the_front(latency, stopped):
    judge = Slow()
    driver = Driver(judge=judge)
    driver.decisions.begin("loss", "min", others=(Objective("latency", "min"),))
    for index, end in enumerate((0.5, 0.6, 0.7)):
        warm = driver.add(f"warm{index}")
        for loss in falling(end, LENGTH):
            driver.report(warm, loss, latency=5.0)
        driver.end(warm, end)
    trial = driver.add("poor")
    for epoch in (1, 2):
        assert not driver.report(trial, doubtful(epoch), latency=latency)
    settle(driver, judge)
    assert driver.report(trial, doubtful(3), latency=latency) is stopped


def test_while_a_question_is_under_way_others_collect_into_one_batch():
    judge = Slow("continue")
    driver = begun(judge)
    trials = [driver.add(f"t{index}") for index in range(12)]
    for epoch in range(1, 10):
        for index, trial in enumerate(trials):
            assert not driver.report(trial, doubtful(epoch) - 0.001 * index)
    settle(driver, judge)
    assert judge.asked == [["t0"]]
    for epoch in range(10, 20):
        for index, trial in enumerate(trials):
            driver.report(trial, doubtful(epoch) - 0.001 * index)
        driver.settled()
    assert judge.asked[:2] == [["t0"], [f"t{index}" for index in range(1, 9)]]
    assert {"t9", "t10", "t11"} <= set(judge.asked[2])
    rows = driver.events("judgement")
    told = {row["trial_id"] for row in rows if row["outcome"] == "applied"}
    assert told == {f"t{index}" for index in range(12)}
    assert all(row["age"] >= 1 for row in rows)


def test_an_answer_within_the_very_result_acts_at_the_next(monkeypatch):
    submit = Inquiry.submit

    def answered_at_once(self, question):
        submit(self, question)
        self.wait(20)

    monkeypatch.setattr(Inquiry, "submit", answered_at_once)
    judge = Slow("continue")
    judge.go.set()
    driver = begun(judge)
    trial = driver.add("a")
    driver.report(trial, doubtful(1))
    assert judge.asked
    assert not driver.events("judgement")
    driver.report(trial, doubtful(2))
    (row,) = driver.events("judgement")
    assert (row["outcome"], row["age"]) == ("applied", 1)


def test_a_trial_is_asked_about_once_in_a_tenth_of_a_training():
    judge = Slow("continue")
    judge.go.set()
    driver = begun(judge)
    trial = driver.add("again")
    for epoch in range(1, 20):
        driver.report(trial, doubtful(epoch))
        driver.settled()
    epochs = [case.epoch for one in judge.evidence for case in one.cases]
    assert len(epochs) >= 4
    assert all(b - a >= LENGTH // 10 for a, b in pairwise(epochs))


@pytest.mark.parametrize("again", [False, True])
def test_an_answer_on_a_trial_that_ended_or_began_again_is_stale(again):
    judge = Slow()
    driver = begun(judge)
    trial = driver.add("gone")
    driver.report(trial, doubtful(1))
    driver.decisions.fail("gone")
    settle(driver, judge)
    assert not driver.report(trial if again else driver.add("other"), 0.1, epoch=1)
    assert [(row["trial_id"], row["outcome"]) for row in driver.events("judgement")] == [
        ("gone", "stale")
    ]
    assert "stale 1" in driver.decisions.text()
    assert not driver.events("stop")


def test_an_answer_that_waits_when_its_trial_ends_is_stale():
    judge = Slow()
    driver = begun(judge)
    trial = driver.add("ends")
    driver.report(trial, doubtful(1))
    settle(driver, judge)
    driver.report(driver.add("other"), 0.1)  # its result takes the answer in
    driver.decisions.fail("ends")
    assert [row["outcome"] for row in driver.events("judgement")] == ["stale"]


def test_a_stop_that_no_longer_fits_is_outdated():
    judge = Slow()
    driver = begun(judge)
    trial = driver.add("rises")
    driver.report(trial, doubtful(1))
    driver.report(trial, 0.01)
    settle(driver, judge)
    assert not driver.report(trial, 0.01)
    assert [row["outcome"] for row in driver.events("judgement")] == ["outdated"]


def test_a_stop_holds_though_the_trial_went_up_a_place_meanwhile():
    judge = Slow()
    driver = begun(judge)
    trial = driver.add("rises a little")
    driver.report(trial, doubtful(1))
    driver.report(trial, 0.595)
    settle(driver, judge)
    assert driver.report(trial, 0.595)
    assert [row["outcome"] for row in driver.events("judgement")] == ["applied"]


def test_who_leads_at_its_epoch_is_brought_for_its_knobs_alone():
    judge = Slow("continue")
    judge.go.set()
    driver = begun(judge, knobs=True)
    leader = driver.add("leader", knobs={"lr": 0.01})
    for epoch in range(1, 30):  # on a plateau, far in front
        driver.report(leader, 0.1 + 0.0001 * (-1) ** epoch + 0.5**epoch)
        driver.settled()
    cases = [case for one in judge.evidence for case in one.cases if case.trial_id == "leader"]
    assert cases
    assert not any(case.may_stop for case in cases)


def test_who_has_reported_the_best_value_of_all_may_not_be_stopped():
    judge = Slow()
    judge.go.set()
    driver = begun(judge)
    trials = {name: driver.add(name) for name in ("was best", "never was")}
    driver.report(trials["was best"], 0.01)
    driver.report(trials["never was"], 0.5)
    for epoch in range(2, 8):  # both stand at place 3 now
        for name, trial in trials.items():
            if driver.decisions.verdict(name).kind != "judged":
                driver.report(trial, doubtful(epoch))
        driver.settled()
    assert [row["trial_id"] for row in driver.events("stop")] == ["never was"]
    assert "was best" not in {name for asked in judge.asked for name in asked}


def test_before_any_training_has_finished_nobody_is_brought_without_knobs():
    judge = Slow("continue")
    judge.go.set()
    driver = Driver(judge=judge)
    trials = [driver.add(f"t{index}") for index in range(8)]
    for epoch in range(1, 20):
        for index, trial in enumerate(trials):
            driver.report(trial, falling(0.1 * index, LENGTH)[epoch])
    assert not judge.asked  # no answer could change anything


@pytest.mark.parametrize(
    ("error", "reason"),
    [(AdvisorError("no credit", reason="402", permanent=True), "402"), (KeyError("x"), "crash")],
)
def test_a_failing_judge_leaves_all_to_the_rules_and_is_shown_once(caplog, error, reason):
    judge = Slow(error=error)
    judge.go.set()
    with caplog.at_level("WARNING", logger="raymimic"):
        driver = begun(judge)
        for name in ("a", "b"):
            trial = driver.add(name)
            for epoch in range(1, 20):
                assert not driver.report(trial, doubtful(epoch))
                driver.settled()
    assert len(judge.asked) == 1  # backed off, or given up
    (row,) = driver.events("unjudged")
    assert row["reason"] == reason
    assert row["trials"] == judge.asked[0]
    assert f"the judge failed 1 times ({reason} 1)" in driver.decisions.text()
    assert sum("the judge of running trials failed" in line for line in caplog.messages) == 1


def test_what_a_judge_says_of_others_or_wrongly_is_counted_as_rejected():
    class Babbles(Slow):
        remote = False

        def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
            return JudgeAdvice((Judgement("else", "stop", "who?"),), drops=("no such action",))

    driver = begun(Babbles())
    assert not driver.report(driver.add("a"), doubtful(1))
    (row,) = driver.events("unjudged")
    assert (row["reason"], row["text"], row["trials"]) == ("rejected", "no such action", ["a"])
    assert "rejected 1" in driver.decisions.text()
    assert not driver.events("judgement")


def test_an_answer_does_not_keep_from_the_rules_who_is_hopeless_meanwhile(monkeypatch):
    nearly = RankRule.read

    def read(self: RankRule, trial_id: str) -> Reading | None:
        reading = nearly(self, trial_id)
        hopeless = reading is not None and self._trials[trial_id].values[-1] > 5
        return replace(reading, hopeless=True) if hopeless else reading

    monkeypatch.setattr(RankRule, "read", read)
    judge = Slow("redirect", knobs={"lr": 0.01})
    driver = begun(judge, knobs=True)
    trial = driver.add("fails", knobs={"lr": 0.05})
    driver.report(trial, doubtful(1))
    settle(driver, judge)
    assert driver.report(trial, 9.0)
    assert driver.decisions.verdict("fails").kind == "hopeless"
    assert not driver.mailbox.sent
    driver.report(driver.add("other"), 0.1)  # its result takes the answer in
    assert [row["outcome"] for row in driver.events("judgement")] == ["stale"]


def test_nobody_is_brought_again_while_an_answer_is_on_its_way_or_waits():
    judge = Slow("continue")
    driver = begun(judge)
    trial = driver.add("long")
    for epoch in range(1, 12):
        driver.report(trial, doubtful(epoch))
    settle(driver, judge)
    driver.report(trial, doubtful(12))
    driver.settled()
    assert judge.asked == [["long"]]


def test_a_case_waits_without_a_diagnosis_and_is_shown_with_it():
    judge = Slow("continue")
    driver = begun(judge, patience=LENGTH)
    first, rests = driver.add("first"), driver.add("rests")
    driver.report(first, doubtful(1))  # holds the judge
    for epoch in range(1, 14):
        driver.report(rests, 0.9 + 0.5**epoch + 0.001 * (-1) ** epoch)
    again = pickle.loads(pickle.dumps(driver.decisions._judging._waiting))
    settle(driver, judge)
    driver.report(first, doubtful(2))
    driver.settled()
    (case,) = judge.evidence[1].cases
    assert (case.trial_id, case.epoch) == ("rests", len(case.curve))
    assert case.diagnosis == diagnose(case.curve, "loss", "min")
    assert case.diagnosis.signals
    assert again["rests"].epoch == case.epoch


def reading(**changes: Any) -> Reading:
    return replace(Reading(8, LENGTH, place=1, rivals=9, kept=2.0, reach=1), **changes)


def test_who_is_borderline():
    sure = Forecast(0.5, 0.1, 0.1, 8, support=6)
    assert not borderline(reading())
    assert borderline(reading(place=3))
    assert not borderline(reading(place=3, hopeless=True))
    assert borderline(reading(forecast=sure, beats=0.02))
    assert not borderline(reading(forecast=sure, beats=0.02, hopeless=True))
    assert not borderline(reading(forecast=sure, beats=0.03))
    assert not borderline(reading(forecast=replace(sure, support=5), beats=0.02))


def test_in_doubt_is_who_is_borderline_or_in_trouble_at_this_epoch():
    trouble = Diagnosis((Signal("plateau", 3, "plateau since epoch 3"),))
    near = RunningTrial("t", reading=reading(place=3))
    ill = RunningTrial("t", looked=8, diagnosis=trouble)
    assert in_doubt(near, 8, knobs=False)
    assert not in_doubt(near, 9, knobs=True)
    assert in_doubt(ill, 8, knobs=True)
    assert not in_doubt(ill, 9, knobs=True)
    assert not in_doubt(ill, 8, knobs=False)
    assert not in_doubt(RunningTrial("t", looked=8, diagnosis=Diagnosis()), 8, knobs=True)


# -- redirects -------------------------------------------------------------------------------------


def by_rule() -> Driver:
    return begun(HeuristicAdvisor(), knobs=True)


def train_on_a_plateau(
    driver: Driver, epochs: int, *, hears: bool = True, gain: float = 0.3
) -> Trial:
    """Rests at 0.9 until its learning rate is lowered; then it is ``gain`` better."""
    trial = driver.add("rests", knobs={"lr": 0.09, "dropout": 0.1})
    for epoch in range(1, epochs + 1):
        if hears:
            driver.take(trial)
        better = gain if trial.knobs["lr"] < 0.09 else 0.0
        if driver.report(trial, 0.9 + 0.5**epoch + 0.001 * (-1) ** epoch - better):
            break
    return trial


@pytest.mark.parametrize(("gain", "verdict"), [(0.5, "better"), (-0.5, "worse")])
def test_a_plateau_is_redirected_by_rule_and_its_effect_measured(gain, verdict):
    driver = by_rule()
    train_on_a_plateau(driver, LENGTH - 1, gain=gain)
    assert driver.mailbox.sent[0] == ("rests", {"lr": pytest.approx(0.03)}, None)
    redirects = driver.events("redirect")
    assert redirects[0]["knobs"] == {"lr": [0.09, pytest.approx(0.03)]}
    assert redirects[0]["reason"].startswith("plateau since epoch")
    assert all(b["epoch"] - a["epoch"] >= 10 for a, b in pairwise(redirects))
    effect = driver.events("verdict")[0]
    assert (effect["trial_id"], effect["verdict"]) == ("rests", verdict)
    assert effect["before"] - effect["after"] == pytest.approx(gain, abs=0.05)
    assert re.search(f"redirects: .*{verdict}", driver.decisions.text())
    run = driver.decisions._run  # its weights are its own as before
    assert (run.trials["rests"].weights_since, run.ranks._trials["rests"].start) == (0, 0)


def test_the_rules_wait_for_a_redirects_effect_and_then_decide(monkeypatch):
    driver, nearly = by_rule(), RankRule.read

    def hopeless_after_a_redirect(self: RankRule, trial_id: str) -> Reading | None:
        reading = nearly(self, trial_id)
        late = trial_id == "rests" and driver.mailbox.sent
        return replace(reading, hopeless=True) if late and reading is not None else reading

    monkeypatch.setattr(RankRule, "read", hopeless_after_a_redirect)
    train_on_a_plateau(driver, LENGTH - 1, gain=-0.1)
    ((redirect,), (effect,), (stop,)) = map(driver.events, ("redirect", "verdict", "stop"))
    assert effect["ended"] == redirect["epoch"] + LENGTH // 10
    assert (stop["kind"], stop["epoch"]) == ("hopeless", effect["ended"] + 1)


def test_a_redirect_spares_nobody_whose_metric_is_nan():
    driver = by_rule()
    trial = train_on_a_plateau(driver, LENGTH - 1, hears=False)
    while not driver.mailbox.sent:
        driver.report(trial, 0.9)
    fresh = driver.add("breaks", knobs={"lr": 0.09, "dropout": 0.1})
    for epoch in range(1, LENGTH):
        if any(name == "breaks" for name, _, _ in driver.mailbox.sent):
            break
        driver.report(fresh, 0.9 + 0.5**epoch + 0.001 * (-1) ** epoch)
    assert driver.report(fresh, float("nan"))
    assert driver.decisions.verdict("breaks").kind == "diverged"


def test_a_trial_that_hears_nothing_is_left_alone_and_told_of_once(caplog):
    driver = by_rule()
    with caplog.at_level("WARNING", logger="raymimic"):
        train_on_a_plateau(driver, LENGTH - 1, hears=False)
    assert len(driver.mailbox.sent) == 1
    assert [row["verdict"] for row in driver.events("verdict")] == ["unheard"]
    assert sum("must call knobs.update()" in line for line in caplog.messages) == 1


def test_what_was_sent_to_a_trial_that_starts_again_is_taken_back():
    driver = by_rule()
    trial = train_on_a_plateau(driver, LENGTH - 1)
    driver.decisions.fail(trial.trial_id)
    assert driver.mailbox.forgotten == ["rests"]
    assert driver.decisions._run.trials["rests"].past == []


def test_a_redirect_is_measured_by_the_epochs_that_its_trial_had():
    driver = by_rule()
    trial = driver.add("ends", knobs={"lr": 0.09, "dropout": 0.1})
    for epoch in range(1, LENGTH):
        driver.take(trial)
        driver.report(
            trial, 0.9 + 0.5**epoch + 0.001 * (-1) ** epoch - 0.3 * (trial.knobs["lr"] < 0.09)
        )
        if trial.knobs["lr"] < 0.09:
            break
    driver.end(trial, 0.6)
    (effect,) = driver.events("verdict")
    assert (effect["verdict"], effect["ended"]) == ("better", trial.epoch)


def test_a_judges_redirect_is_kept_to_its_bounds_and_shown_to_it_again():
    judge = Slow("redirect", knobs={"lr": 99.0, "warp": 1.0})
    judge.go.set()
    driver = begun(judge, knobs=True)
    trial = driver.add("wild", knobs={"lr": 0.05})
    for epoch in range(1, LENGTH):
        driver.take(trial)
        driver.report(trial, doubtful(epoch))
        driver.settled()
    assert driver.mailbox.sent[0] == ("wild", {"lr": 0.1}, None)
    shown = [case.redirects for one in judge.evidence for case in one.cases if case.redirects]
    assert shown[-1][0].changed == {"lr": (0.05, 0.1)}
    assert shown[-1][0].verdict in ("better", "worse", "within noise")


@pytest.mark.parametrize(("waits", "outcome"), [(LENGTH // 4, "applied"), (11, "outdated")])
def test_a_redirect_that_comes_after_a_quarter_of_a_training_is_outdated(waits, outcome):
    judge = Slow("redirect", knobs={"lr": 0.01})
    driver = begun(judge, knobs=True)
    trial = driver.add("waits", knobs={"lr": 0.05})
    for epoch in range(1, waits + 1):
        driver.report(trial, doubtful(epoch))
    settle(driver, judge)
    driver.report(trial, doubtful(waits + 1))
    assert [row["outcome"] for row in driver.events("judgement")] == [outcome]
    assert bool(driver.mailbox.sent) == (outcome == "applied")


def test_no_answer_holds_up_a_result():
    judge = Slow("continue")
    driver = begun(judge)
    trial, begun_at = driver.add("quick"), time.monotonic()
    for epoch in range(1, LENGTH):
        driver.report(trial, doubtful(epoch))
    assert time.monotonic() - begun_at < 10  # the judge would have waited for 20 s
    judge.go.set()
