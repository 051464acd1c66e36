"""The conformance classes: each fault of somebody's own advisor, judge or model is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raymimic import Advice, BudgetError, JudgeAdvice, Judgement, Proposal, RandomAdvisor, Reply
from raymimic.testing import AdvisorConformance, JudgeConformance, LLMConformance


class Changed(RandomAdvisor):
    """Random proposals, changed by ``change``."""

    def __init__(self, change=lambda advice, evidence: advice):
        super().__init__(0)
        self.change = change

    def __reduce__(self):
        return Changed, (self.change,)

    def propose(self, evidence, n):
        return self.change(super().propose(evidence, n), evidence)


def one_more(advice, _):
    return replace(advice, proposals=advice.proposals * 2)


def unknown_name(advice, _):
    return replace(advice, proposals=(Proposal({"lr_": 1}, "", "random"),))


def no_number(advice, _):
    return replace(advice, proposals=(replace(advice.proposals[0], expected=float("nan")),))


def silent(*_):
    return Advice(())


def crash(advice, evidence):
    return advice if evidence.trials[0].score > 0 else Advice(())


def forgets_the_past(advice, evidence):
    object.__setattr__(evidence, "trials", ())
    return advice


@pytest.mark.parametrize(
    ("change", "test"),
    [
        (one_more, "test_proposes_no_more_than_it_is_asked_for"),
        (unknown_name, "test_proposes_without_evidence"),
        (no_number, "test_proposes_without_evidence"),
        (silent, "test_proposes_without_evidence"),
        (crash, "test_survives_failed_trials"),
        (forgets_the_past, "test_survives_failed_trials"),
        (lambda advice, _: advice, "test_goes_on_from_a_pickle"),
    ],
)
def test_a_fault_of_an_advisor_is_found(change, test):
    class Conformance(AdvisorConformance):
        def make(self):
            return Changed(change)

    with pytest.raises(Exception):  # noqa: B017, PT011 - of every kind
        getattr(Conformance(), test)()


class Says:
    name, remote = "says", False

    def __init__(self, *judgements):
        self.judgements = judgements

    def judge(self, _):
        return JudgeAdvice(self.judgements)


@pytest.mark.parametrize(
    "judgements",
    [
        [Judgement("t9", "stop", "nobody asked")],
        [Judgement("t2", "stop", "may not be stopped")],
        [Judgement("t1", "clone", "has no leader")],
        [Judgement("t1", "redirect", "turns nothing")],
        [Judgement("t1", "redirect", "out of bounds", {"lr": 1.0})],
        [Judgement("t1", "redirect", "no such knob", {"width": 1.0})],
        [Judgement("t1", "continue", "")] * 2,
    ],
)
def test_a_fault_of_a_judge_is_found(judgements):
    class Conformance(JudgeConformance):
        def make(self):
            return Says(*judgements)

    with pytest.raises(AssertionError):
        Conformance().test_judges_the_cases_it_is_shown()


class Model:
    model = "mine"

    def __init__(self, key=""):
        self.key = key

    def complete(self, request):
        return Reply("text", self.model)


class OfModel(LLMConformance):
    key = "a-secret-key"

    def make(self):
        return Model()


def test_a_model_that_pickles_with_its_key_is_found():
    OfModel().test_goes_on_from_a_pickle_that_holds_no_key()
    conformance = OfModel()
    conformance.make = lambda: Model(key=OfModel.key)
    with pytest.raises(AssertionError):
        conformance.test_goes_on_from_a_pickle_that_holds_no_key()


def test_a_model_that_answers_late_or_raises_its_own_errors_is_found():
    class Raises(Model):
        def complete(self, request):
            raise KeyError("choices")

    conformance = OfModel()
    with pytest.raises(Exception, match="make_silent gives none"):
        conformance.test_gives_up_at_the_deadline()
    conformance.make_failing = Raises
    with pytest.raises(AssertionError):
        conformance.test_raises_nothing_but_an_llm_error()

    class Spent(Model):
        def complete(self, request):
            raise BudgetError("nothing is left")

    conformance.make_failing = Spent
    conformance.test_raises_nothing_but_an_llm_error()
