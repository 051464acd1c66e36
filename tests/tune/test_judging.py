"""Trials in doubt and a judge: who is brought, when its word acts, and that it holds up nobody."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.tune.schedulers import TrialScheduler

from raymimic import Knob, LLMScheduler, LLMSearcher, ScriptedLLM, read_events
from raymimic.advisor import JudgeAdvice, JudgeEvidence, Judgement
from raymimic.errors import AdvisorError, LLMCallError
from raymimic.llm import Request
from raymimic.scheduling import redirects as redirects_room
from raymimic.scheduling.rank_rule import Reading, Stopping
from raymimic.tune import LiveKnobs

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LENGTH = 40
LIVE = LiveKnobs({"lr": Knob(1e-4, 0.1, "learning rate"), "dropout": Knob(0.0, 0.6)})


def curve(end: float, length: int = LENGTH) -> list[float]:
    return [end + (2.0 - 0.9 * end) * epoch**-0.8 for epoch in range(1, length + 1)]


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that look at every epoch, stop nobody, and nearly stop whoever is above 0.6."""

    def read(self: Stopping, trial_id: str) -> Reading | None:
        trial = self._trials[trial_id]
        epoch, good = trial.epochs[-1], trial.values[-1] < 0.6 or trial_id.startswith("warm")
        if epoch >= LENGTH:
            return None
        place = 1 if good else 3
        return Reading(epoch, LENGTH, place=place, rivals=4, kept=2.0, reach=min(place, 2))

    monkeypatch.setattr(Stopping, "read", read)


class FakeBoard:
    """Stands for the actor's handle: keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.push = SimpleNamespace(remote=lambda *sent: self.sent.append(("push", *sent[:2])))
        self.forget = SimpleNamespace(remote=lambda *sent: self.sent.append(("forget", *sent)))


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    fake = FakeBoard()
    monkeypatch.setattr(redirects_room, "open_board", lambda: fake)
    return fake


class Slow:
    """A judge that answers when it is let go; ``asked`` are the trials of each question."""

    name, remote = "slow", True

    def __init__(self, action: str = "stop", error: Exception | None = None) -> None:
        self.action, self.error = action, error
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
        return JudgeAdvice(
            tuple(Judgement(case.trial_id, self.action, said) for case in evidence.cases)
        )


class Run:
    """Drives a scheduler as Tune does."""

    def __init__(self, tmp_path: Any, **settings: Any) -> None:
        self.path = tmp_path / "ledger.jsonl"
        given = {"ledger": str(self.path), **settings}
        self.scheduler = LLMScheduler("loss", "min", **given)
        assert self.scheduler.set_search_properties(None, None)
        for index, end in enumerate((0.5, 0.7, 0.9)):
            self.whole(f"warm{index}", end)

    def add(self, name: str) -> Any:
        trial = SimpleNamespace(trial_id=name, evaluated_params={"x": 1.5})
        self.scheduler.on_trial_add(None, trial)
        return trial

    def report(self, trial: Any, epoch: int, loss: float, **more: float) -> bool:
        result = {"loss": loss, "training_iteration": epoch, **more}
        if self.scheduler.on_trial_result(None, trial, result) != TrialScheduler.STOP:
            return False
        self.scheduler.on_trial_complete(None, trial, {**result, "done": True})
        return True

    def whole(self, name: str, end: float) -> None:
        trial = self.add(name)
        for epoch, loss in enumerate(curve(end), start=1):
            assert not self.report(trial, epoch, loss)
        last = {"loss": loss, "training_iteration": LENGTH, "done": True}
        self.scheduler.on_trial_complete(None, trial, last)

    def settle(self, judge: Slow | None = None) -> None:
        """Wait until the question under way is answered; ``judge`` is let go for it."""
        if judge is not None:
            judge.go.set()
        self.scheduler._judging._docket.hearing._inquiry.wait(20)

    def events(self, kind: str) -> list[dict[str, Any]]:
        self.scheduler.ledger.flush()
        return read_events(self.path).of(kind)


def doubtful(epoch: int) -> float:
    return curve(0.8)[epoch - 1]


def test_a_judged_stop_has_the_numbers_and_the_judges_sentence(tmp_path):
    judge = Slow()
    run = Run(tmp_path, advisor=judge)
    trial = run.add("poor")
    assert not run.report(trial, 1, doubtful(1))
    assert not run.report(trial, 2, doubtful(2))  # nobody waits for the answer
    run.settle(judge)
    (case,) = judge.evidence[0].cases
    assert case.may_stop
    assert case.config == {"x": 1.5}
    assert re.search("place 3 of 4, the best 2 go on", case.standing)
    assert judge.evidence[0].finals[0] == pytest.approx(curve(0.5)[-1])
    assert run.report(trial, 3, doubtful(3))
    verdict = run.scheduler.verdict("poor")
    assert verdict.kind == "judged"
    assert re.match(
        r'judged: place 3 of 4, .* \| slow, 2 epochs ago: "it will not get there"',
        verdict.text,
    )
    (stop,) = run.events("stop")
    (judgement,) = run.events("judgement")
    assert (stop["kind"], stop["text"]) == ("judged", verdict.text)
    assert judgement["action"] == "stop"
    assert judgement["outcome"] == "applied"
    assert (judgement["asked_epoch"], judgement["epoch"], judgement["age"]) == (1, 3, 2)
    assert "slow judged: stop 1" in run.scheduler.debug_string()
    assert "judged 1" in run.scheduler.debug_string()


def test_while_a_question_is_under_way_others_collect_into_one_batch(tmp_path):
    judge = Slow("continue")
    run = Run(tmp_path, advisor=judge)
    trials = [run.add(f"t{index}") for index in range(12)]
    slowest = 0.0
    for epoch in range(1, 10):
        for index, trial in enumerate(trials):
            begun = time.perf_counter()
            assert not run.report(trial, epoch, doubtful(epoch) - 0.001 * index)
            slowest = max(slowest, time.perf_counter() - begun)
    assert slowest < 1.0
    run.settle(judge)
    assert judge.asked == [["t0"]]
    for epoch in range(10, 20):
        for index, trial in enumerate(trials):
            run.report(trial, epoch, doubtful(epoch) - 0.001 * index)
        run.settle()
    assert judge.asked[:2] == [["t0"], [f"t{index}" for index in range(1, 9)]]
    assert {"t9", "t10", "t11"} <= set(judge.asked[2])
    told = [row["trial_id"] for row in run.events("judgement") if row["outcome"] == "applied"]
    assert set(told) == {f"t{index}" for index in range(12)}
    assert all(row["age"] >= 1 for row in run.events("judgement"))


def test_an_answer_on_a_trial_that_ended_or_began_again_is_stale(tmp_path):
    judge = Slow()
    run = Run(tmp_path, advisor=judge)
    for name, end in (("gone", True), ("again", False)):
        trial = run.add(name)
        judge.go.clear()
        run.report(trial, 1, doubtful(1))
        if end:
            run.scheduler.on_trial_remove(None, trial)
        else:
            run.scheduler.on_trial_error(None, trial)
        run.settle(judge)
        again = trial if not end else run.add("other")
        assert not run.report(again, 1, 0.1)
    outcomes = {row["trial_id"]: row["outcome"] for row in run.events("judgement")}
    assert outcomes == {"gone": "stale", "again": "stale"}
    assert "stale 2" in run.scheduler.debug_string()
    assert not run.events("stop")


def test_a_stop_that_no_longer_fits_is_outdated(tmp_path):
    judge = Slow()
    run = Run(tmp_path, advisor=judge)
    trial = run.add("rises")
    run.report(trial, 1, doubtful(1))
    run.report(trial, 2, 0.01)
    run.settle(judge)
    assert not run.report(trial, 3, 0.01)
    assert [row["outcome"] for row in run.events("judgement")] == ["outdated"]


def test_the_leader_and_trials_before_any_finished_one_may_not_be_stopped(tmp_path, board):
    judge = Slow("continue")
    judge.go.set()
    run = Run(tmp_path, advisor=judge, redirect=LIVE)
    leader = run.add("leader")
    for epoch in range(1, 30):  # on a plateau, far in front: brought, since knobs can be turned
        lr = {"raymimic/live/lr": 0.01}
        run.report(leader, epoch, 0.1 + 0.0001 * (-1) ** epoch + 0.5**epoch, **lr)
        run.settle()
    assert any("leader" in asked for asked in judge.asked)
    cases = [case for one in judge.evidence for case in one.cases if case.trial_id == "leader"]
    assert not any(case.may_stop for case in cases)

    early = Slow("continue")
    early.go.set()
    first = LLMScheduler("loss", "min", advisor=early, ledger=str(tmp_path / "other.jsonl"))
    assert first.set_search_properties(None, None)
    trials = [SimpleNamespace(trial_id=f"t{index}") for index in range(8)]
    for epoch in range(1, 20):
        for index, trial in enumerate(trials):
            result = {"loss": curve(0.1 * index)[epoch], "training_iteration": epoch}
            first.on_trial_result(None, trial, result)
    assert not early.asked  # no answer could change anything


@pytest.mark.parametrize(
    ("error", "reason"),
    [(AdvisorError("no credit", reason="402", permanent=True), "402"), (KeyError("x"), "crash")],
)
def test_a_failing_judge_leaves_all_to_the_rules_and_is_shown_once(tmp_path, caplog, error, reason):
    judge = Slow(error=error)
    judge.go.set()
    with caplog.at_level("WARNING", logger="raymimic"):
        run = Run(tmp_path, advisor=judge)
        for name in ("a", "b"):
            trial = run.add(name)
            for epoch in range(1, 20):
                assert not run.report(trial, epoch, doubtful(epoch))
                run.settle()
    assert len(judge.asked) == 1  # backed off, or given up
    (row,) = run.events("unjudged")
    assert row["reason"] == reason
    assert row["trials"] == judge.asked[0]
    assert f"the judge failed 1 times ({reason} 1)" in run.scheduler.debug_string()
    assert sum("the judge of running trials failed" in line for line in caplog.messages) == 1


def test_a_scripted_model_is_asked_with_its_calls_in_the_searchers_bill(make, events):
    def reply(request: Request) -> str:
        ids = re.findall(r'## trial "(\w+)"', request.user)
        said = {"reason": "rests far above the best", "knobs": {}}
        actions = {one: "stop" if one == "t2" else "continue" for one in [*ids, "else"]}
        return json.dumps(
            {"judgements": [{"trial_id": k, "action": v, **said} for k, v in actions.items()]}
        )

    searcher: LLMSearcher = make()
    llm = ScriptedLLM([LLMCallError("down", status="500"), *[reply] * 20], model="m-1")
    scheduler = LLMScheduler(
        "loss", "min", searcher=searcher, advisor=llm, instruction="small nets are cheaper"
    )
    assert scheduler.set_search_properties(None, None)
    for index, end in enumerate((0.5, 0.52, 0.8)):
        while (config := searcher.suggest(f"t{index}")) is None:
            time.sleep(0.01)
        trial = SimpleNamespace(trial_id=f"t{index}", config=config)
        scheduler.on_trial_add(None, trial)
        for epoch, loss in enumerate(curve(end), start=1):
            scheduler._judging._docket.hearing._inquiry._retry_at = (
                0.0  # no pause after the failure
            )
            result = {"loss": loss, "training_iteration": epoch}
            if scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
                break
            searcher.on_trial_result(trial.trial_id, result)
            scheduler._judging._docket.hearing._inquiry.wait(20)
        scheduler.on_trial_complete(None, trial, result)
        searcher.on_trial_complete(trial_id=trial.trial_id, result=result)
    (stop,) = events("stop")
    assert (stop["trial_id"], stop["kind"]) == ("t2", "judged")
    assert 'm-1, 1 epoch ago: "rests far above the best"' in stop["text"]
    judged = [row for row in events("judgement") if row["outcome"] == "applied"]
    assert judged[-1]["action"] == "stop"
    assert judged[-1]["model"] == "m-1"
    assert judged[-1]["tokens"] > 100
    reasons = [row["reason"] for row in events("unjudged")]
    assert reasons.count("500") == 1
    assert "rejected" in reasons  # the judgement on a trial that nobody asked about
    assert "small nets" in llm.requests[0].system
    assert '"x": 0.' in llm.requests[0].user
    text = searcher.summary()
    assert "Stopped early: judged 1." in text
    assert re.search("Running trials judged: .*stop 1", text)
    assert "500 1" in text
    assert (
        cloudpickle.loads(cloudpickle.dumps(scheduler)).debug_string() == scheduler.debug_string()
    )


# -- redirects -------------------------------------------------------------------------------------


def train_on_a_plateau(run: Run, epochs: int, *, hears: bool = True, gain: float = 0.3) -> Any:
    """Rests at 0.9 until its learning rate is lowered; then it is ``gain`` better."""
    trial, lr = run.add("rests"), 0.09
    sent = run.scheduler._judging.redirects._board.sent
    for epoch in range(1, epochs + 1):
        got = [item for item in sent if item[:2] == ("push", "rests")]
        lr = got[-1][2]["lr"] if got and hears else lr
        loss = 0.9 + 0.5**epoch + 0.001 * (-1) ** epoch - (gain if lr < 0.09 else 0.0)
        more = {"raymimic/live/lr": lr, "raymimic/live/dropout": 0.1}
        if run.report(trial, epoch, loss, **more):
            break
    return trial


@pytest.mark.parametrize(("gain", "verdict"), [(0.5, "better"), (-0.5, "worse")])
def test_a_plateau_is_redirected_by_rule_and_its_effect_measured(tmp_path, board, gain, verdict):
    run = Run(tmp_path, redirect=LIVE)
    train_on_a_plateau(run, LENGTH - 1, gain=gain)
    pushes = [item for item in board.sent if item[0] == "push"]
    assert pushes[0] == ("push", "rests", {"lr": pytest.approx(0.03)})
    redirects = run.events("redirect")
    assert redirects[0]["knobs"] == {"lr": [0.09, pytest.approx(0.03)]}
    assert redirects[0]["reason"].startswith("plateau since epoch")
    assert all(b["epoch"] - a["epoch"] >= 10 for a, b in pairwise(redirects))
    effect = run.events("verdict")[0]
    assert (effect["trial_id"], effect["verdict"]) == ("rests", verdict)
    assert effect["before"] - effect["after"] == pytest.approx(gain, abs=0.05)
    assert re.search(f"redirects: .*{verdict}", run.scheduler.debug_string())


def test_the_rules_wait_for_a_redirects_effect_and_then_decide(tmp_path, board, monkeypatch):
    run = Run(tmp_path, redirect=LIVE)
    nearly = Stopping.read

    def hopeless_after_a_redirect(self: Stopping, trial_id: str) -> Reading | None:
        reading = nearly(self, trial_id)
        late = trial_id == "rests" and any(item[0] == "push" for item in board.sent)
        return replace(reading, hopeless=True) if late and reading is not None else reading

    monkeypatch.setattr(Stopping, "read", hopeless_after_a_redirect)
    train_on_a_plateau(run, LENGTH - 1, gain=-0.1)
    (redirect,), (effect,), (stop,) = (run.events(kind) for kind in ("redirect", "verdict", "stop"))
    assert effect["ended"] == redirect["epoch"] + LENGTH // 10
    assert (stop["kind"], stop["epoch"]) == ("hopeless", effect["ended"] + 1)


def test_a_trial_that_hears_nothing_is_left_alone_and_told_of_once(tmp_path, board, caplog):
    run = Run(tmp_path, redirect=LIVE)
    with caplog.at_level("WARNING", logger="raymimic"):
        train_on_a_plateau(run, LENGTH - 1, hears=False)
    assert len([item for item in board.sent if item[0] == "push"]) == 1
    assert [row["verdict"] for row in run.events("verdict")] == ["unheard"]
    assert sum("must call knobs.update()" in line for line in caplog.messages) == 1


def test_what_was_sent_to_a_trial_that_starts_again_is_taken_back(tmp_path, board):
    run = Run(tmp_path, redirect=LIVE)
    trial = train_on_a_plateau(run, LENGTH - 1)
    run.scheduler.on_trial_error(None, trial)
    assert board.sent[-1] == ("forget", "rests")
    assert run.scheduler._judging.redirects.past("rests") == ()


def test_a_judges_redirect_is_kept_to_its_bounds_and_shown_to_it_again(tmp_path, board):
    class Wild(Slow):
        def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
            self.evidence.append(evidence)
            return JudgeAdvice(
                tuple(
                    Judgement(case.trial_id, "redirect", "far", {"lr": 99.0, "warp": 1.0}, "llm")
                    for case in evidence.cases
                    if case.knobs
                )
            )

    judge = Wild()
    run = Run(tmp_path, redirect=LIVE, advisor=judge)
    trial, lr = run.add("wild"), 0.05
    for epoch in range(1, LENGTH):
        pushed = [item for item in board.sent if item[:2] == ("push", "wild")]
        lr = pushed[-1][2]["lr"] if pushed else lr
        run.report(trial, epoch, doubtful(epoch), **{"raymimic/live/lr": lr})
        run.settle()
    assert board.sent[0] == ("push", "wild", {"lr": 0.1})
    shown = [case.redirects for one in judge.evidence for case in one.cases if case.redirects]
    assert shown[-1][0].changed == {"lr": (0.05, 0.1)}
    assert shown[-1][0].verdict in ("better", "worse", "within noise")


def test_without_ray_nothing_reaches_tune(tmp_path, monkeypatch):
    def no_ray() -> Any:
        raise RuntimeError("no Ray")

    monkeypatch.setattr(redirects_room, "open_board", no_ray)
    run = Run(tmp_path, redirect=LIVE)
    trial = run.add("rests")
    for epoch in range(1, LENGTH):
        more = {"raymimic/live/lr": 0.09}
        assert not run.report(trial, epoch, 0.9 + 0.5**epoch, **more)
    assert run.scheduler.verdict("rests").text.startswith("continue")


@pytest.mark.parametrize("answer", [None, "stop", {"stop": "a"}])
def test_an_answer_of_another_form_leaves_all_to_the_rules(tmp_path, answer):
    judge = Slow()
    judge.judge = lambda evidence: answer
    run = Run(tmp_path, advisor=judge)
    trial = run.add("a")
    for epoch in range(1, 4):
        assert not run.report(trial, epoch, doubtful(epoch))
        run.settle()
    (row,) = run.events("unjudged")
    assert row["reason"] == "bad_advice"
