"""Advice of any code: of the right form, or a counted failure; never another error."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from raymimic import Adjustment, AdjustmentAdvice, HeuristicAdvisor, Operation, SearchEvidence
from raymimic.advisor import JudgeAdvice, Judgement, ask_adjust, ask_judge, ask_propose
from raymimic.errors import AdvisorError
from raymimic.inquiry import Inquiry
from raymimic.records import Advice, Call, Proposal
from raymimic.space import FloatRange, SearchSpace
from raymimic.testing.runs import evidence as run_evidence
from raymimic.testing.trials import evidence as judge_evidence

SEARCH = SearchEvidence(SearchSpace({"x": FloatRange(0, 1)}), "loss", "min")


class Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError("no text")


class MuteAdvisorError(AdvisorError):
    def __str__(self) -> str:
        raise ZeroDivisionError("no text")


class Says:
    """Answers every question with ``answer``, or raises it."""

    name, remote = "own", False

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def propose(self, evidence: Any, n: int = 0) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    adjust = judge = propose


ASK = {
    "propose": lambda advisor: ask_propose(advisor, SEARCH, 2),
    "adjust": lambda advisor: ask_adjust(advisor, run_evidence()),
    "judge": lambda advisor: ask_judge(advisor, judge_evidence()),
}


@pytest.mark.parametrize("method", ASK)
@pytest.mark.parametrize("answer", [None, "lower the rate", {"lr": 0.1}, 7, [], Advice])
def test_an_answer_of_another_form_is_bad_advice(method, answer):
    with pytest.raises(AdvisorError, match=rf"the answer of {method}\(\) must be") as caught:
        ASK[method](Says(answer))
    assert caught.value.reason == "bad_advice"


@pytest.mark.parametrize("method", ASK)
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
        (RuntimeError("401 for sk-ant-secret"), r"RuntimeError: 401 for \[key\]"),
        (Mute(), "Mute: its text cannot be read"),
        (MuteAdvisorError("x"), "MuteAdvisorError: its text cannot be read"),
        (AdvisorError("x", calls=("paid",)), "AdvisorError: x"),
        (AdvisorError("x", reason=None), "AdvisorError: x"),  # type: ignore[arg-type]
    ],
)
def test_an_error_of_its_own_is_a_crash_with_its_text(method, error, text):
    with pytest.raises(AdvisorError, match=text) as caught:
        ASK[method](Says(error))
    assert type(caught.value) is AdvisorError
    assert caught.value.reason == "crash"
    assert caught.value.calls == ()


def test_an_advisors_own_failure_is_passed_on_and_a_final_one_stays_final():
    paid = AdvisorError("down", reason="503", calls=(Call("m", "503", 1.0),))
    with pytest.raises(AdvisorError) as caught:
        ask_adjust(Says(paid), run_evidence())
    assert caught.value is paid
    with pytest.raises(AdvisorError) as caught:
        ask_adjust(Says(MuteAdvisorError("x", permanent=True)), run_evidence())
    assert caught.value.permanent


def adjusted(**fields: Any) -> AdjustmentAdvice:
    return AdjustmentAdvice(Adjustment(**fields))


def proposed(**fields: Any) -> Advice:
    made = {"config": {"x": 0.5}, "rationale": "", "source": "heuristic"}
    return Advice((Proposal(**{**made, **fields}),))


def judged(**fields: Any) -> JudgeAdvice:
    return JudgeAdvice((Judgement(**{"trial_id": "t", "action": "stop", "reason": "", **fields}),))


BAD = [
    ("propose", Advice("ab"), "proposals"),  # type: ignore[arg-type]
    ("propose", Advice(({"x": 0.5},)), "proposals"),  # type: ignore[arg-type]
    ("propose", proposed(config="x=1"), "config"),
    ("propose", proposed(rationale=None), "rationale"),
    ("propose", proposed(source=None), "source"),
    ("propose", proposed(repairs=(1,)), "repairs"),
    ("propose", proposed(expected="low"), "expected"),
    ("propose", Advice((), drops=(1,)), "drops"),  # type: ignore[arg-type]
    ("propose", Advice((), calls=("paid",)), "calls"),  # type: ignore[arg-type]
    ("adjust", AdjustmentAdvice({"lr": 0.1}), "the adjustment"),  # type: ignore[arg-type]
    ("adjust", adjusted(knobs=None), "knobs"),
    ("adjust", adjusted(knobs={1: 0.1}), "knobs"),
    ("adjust", adjusted(knobs={"lr": "low"}), "knobs"),
    ("adjust", adjusted(operations=({"kind": "pull"},)), "operations"),
    ("adjust", adjusted(operations=None), "operations"),
    ("adjust", adjusted(operations=(Operation(["pull"]),)), "kind"),  # type: ignore[arg-type]
    ("adjust", adjusted(operations=(Operation("pull", params=None),)), "params"),
    ("adjust", adjusted(operations=(Operation("pull", toward=None),)), "toward"),
    ("adjust", adjusted(operations=(Operation("pull", amount="much"),)), "amount"),
    ("adjust", adjusted(rationale=None), "rationale"),
    ("adjust", adjusted(review=3), "review"),
    ("adjust", AdjustmentAdvice(Adjustment(), drops="ab"), "drops"),  # type: ignore[arg-type]
    ("judge", JudgeAdvice(("stop",)), "judgements"),  # type: ignore[arg-type]
    ("judge", judged(trial_id=3), "trial_id"),
    ("judge", judged(action="kill"), "action"),
    ("judge", judged(reason=None), "reason"),
    ("judge", judged(knobs=None), "knobs"),
    ("judge", judged(knobs={"lr": True}), "knobs"),
    ("judge", JudgeAdvice((), calls=(1,)), "calls"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("method", "advice", "part"), BAD)
def test_a_part_of_another_form_is_bad_advice_and_is_named(method, advice, part):
    with pytest.raises(AdvisorError, match=part) as caught:
        ASK[method](Says(advice))
    assert caught.value.reason == "bad_advice"


def test_sound_advice_is_given_as_it_came():
    for method, advice in (
        ("propose", proposed(expected=1)),
        ("adjust", adjusted(knobs={"lr": 1}, operations=[Operation("freeze")])),
        ("judge", judged(knobs={"lr": 0.1})),
    ):
        assert ASK[method](Says(advice)) is advice
    for ask in ASK.values():
        ask(HeuristicAdvisor())


def test_an_inquiry_counts_a_crash_that_cannot_tell_its_text():
    inquiry: Inquiry[Any] = Inquiry(5.0)
    inquiry.submit(lambda: Says(Mute()).propose(None))
    inquiry.wait(5.0)
    failed = inquiry.collect()
    assert isinstance(failed, AdvisorError)
    assert (failed.reason, str(failed)) == ("crash", "Mute: its text cannot be read")
    assert inquiry.failures == 1
    assert pickle.loads(pickle.dumps(inquiry)).failures == 0
