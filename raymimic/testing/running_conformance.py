"""What every `Judge` of running trials and every `Adjuster` of a training has to do, as tests."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from raymimic.advisor import (
    Action,
    Adjuster,
    Adjustment,
    AdjustmentAdvice,
    Case,
    Judge,
    JudgeAdvice,
    JudgeEvidence,
    Judgement,
    Operation,
    RunEvidence,
)
from raymimic.curves import diagnose
from raymimic.errors import AdvisorError
from raymimic.records import Source
from raymimic.testing import runs, trials
from raymimic.testing.curves import curve

_NO_NUMBERS = ([math.nan] * 4, [1.0, 0.5, math.nan, math.nan], [1.0, math.inf, math.inf, 1e300])


class JudgeConformance:
    """Subclass, and give `make`. `AdvisorError` may be raised for any evidence: the trials go on.

    What would not be heard counts as a fault: a stop of a case that may not be stopped, a clone
    without a leader, a redirect that turns no knob, a knob that cannot be turned or lies outside
    its bounds.
    """

    def make(self) -> Judge:
        """A fresh judge that can answer a few dozen questions."""
        raise NotImplementedError

    def test_says_its_name_and_whether_it_is_remote(self) -> None:
        """Both are attributes that the scheduler reads before it asks."""
        judge = self.make()
        assert isinstance(judge, Judge)
        assert isinstance(judge.name, str)
        assert judge.name
        assert isinstance(judge.remote, bool)

    def test_judges_the_cases_it_is_shown(self) -> None:
        """Two trials on a plateau, one of which may not be stopped."""
        self.ask(trials.evidence())

    def test_goes_on_from_a_pickle(self) -> None:
        """The checkpoint of a search holds its judge, before and after a question."""
        judge = pickle.loads(pickle.dumps(self.make()))
        self.ask(trials.evidence(), judge)
        again = pickle.loads(pickle.dumps(judge))
        assert (again.name, again.remote) == (judge.name, judge.remote)
        self.ask(trials.evidence(), again)

    def test_survives_a_trial_without_a_curve(self) -> None:
        """Where no epoch was kept."""
        self.ask(trials.evidence(replace(trials.case("t1"), curve=None)))

    def test_survives_curves_that_are_no_numbers(self) -> None:
        """A loss that is NaN from the first epoch, becomes so, or is infinite."""
        cases = [
            trials.case(f"t{i}", curve({"loss": values})) for i, values in enumerate(_NO_NUMBERS)
        ]
        self.ask(trials.evidence(*cases))

    def test_survives_a_case_without_knobs(self) -> None:
        """Nothing can be turned, and nothing has ended yet."""
        self.ask(trials.evidence(trials.case("t1", knobs=()), finals=(), live=()))

    def test_judges_hopeless_trials_with_a_leader(self) -> None:
        """May be cloned, whether or not it has knobs; one that was redirected before."""
        self.ask(
            trials.evidence(
                trials.case("t1", leader=trials.LEADER),
                trials.case("t2", leader=trials.LEADER, knobs=()),
                trials.case("t3", trials.overfitting(), redirects=(trials.past(),)),
            )
        )

    def test_judges_many_cases(self) -> None:
        """Forty at once, in either direction."""
        cases = [trials.case(f"t{i}", trials.overfitting()) for i in range(40)]
        self.ask(trials.evidence(*cases))
        self.ask(trials.evidence(*cases, mode="max"))

    def ask(self, evidence: JudgeEvidence, judge: Judge | None = None) -> JudgeAdvice | None:
        """Ask and check the answer; None if the judge had none."""
        judge = self.make() if judge is None else judge
        before = repr(evidence)
        try:
            advice = judge.judge(evidence)
        except AdvisorError:
            return None
        assert repr(evidence) == before, "the evidence is shared: it must not be changed"
        assert isinstance(advice, JudgeAdvice)
        named = [judgement.trial_id for judgement in advice.judgements]
        assert len(set(named)) == len(named), "one judgement a trial"
        for judgement in advice.judgements:
            case = evidence.case(judgement.trial_id)
            assert case is not None, f"nobody asked about trial {judgement.trial_id!r}"
            check_judgement(judgement, case)
        return advice


def check_judgement(judgement: Judgement, case: Case) -> None:
    """AssertionError for one that would not be heard."""
    assert isinstance(judgement, Judgement)
    assert judgement.action in get_args(Action)
    assert isinstance(judgement.reason, str)
    assert judgement.source in get_args(Source)
    assert case.may_stop or judgement.action != "stop"
    assert case.leader is not None or judgement.action != "clone"
    assert judgement.knobs or judgement.action != "redirect"
    for name, value in judgement.knobs.items():
        knob = case.knob(name)
        assert knob is not None, f"{name} cannot be turned now"
        assert knob.low <= value <= knob.high


class AdjusterConformance:
    """Subclass, and give `make`. `AdvisorError` may be raised for any evidence: training goes on.

    Knobs may lie outside their bounds, and operations may fit no parameter: the `Modulator` checks
    both. They must be finite.
    """

    def make(self) -> Adjuster:
        """A fresh adjuster that can answer a dozen questions."""
        raise NotImplementedError

    def test_says_its_name_and_whether_it_is_remote(self) -> None:
        """Both are attributes that the modulator reads before it asks."""
        adjuster = self.make()
        assert isinstance(adjuster, Adjuster)
        assert isinstance(adjuster.name, str)
        assert adjuster.name
        assert isinstance(adjuster.remote, bool)

    def test_goes_on_from_a_pickle(self) -> None:
        """It travels to the trial with its configuration."""
        adjuster = pickle.loads(pickle.dumps(self.make()))
        self.ask(runs.evidence(), adjuster)
        self.ask(runs.evidence(9), pickle.loads(pickle.dumps(adjuster)))

    def test_adjusts_from_the_first_epoch_on(self) -> None:
        """Short and long curves, with what was done before and without layers."""
        for epochs in (1, 2, 30):
            self.ask(runs.evidence(epochs))
        self.ask(runs.evidence(12, history=(runs.past(3), runs.past(7, verdict="worse"))))
        self.ask(runs.evidence(layers=(), knobs=(), anchors=()))

    def test_survives_curves_that_are_no_numbers(self) -> None:
        """A loss that is NaN from the first epoch, becomes so, or is infinite."""
        for values in _NO_NUMBERS:
            seen = curve({"val_loss": values})
            found = diagnose(seen, "val_loss", "min")
            self.ask(runs.evidence(len(values), curve=seen, diagnosis=found, noise=None))

    def ask(
        self, evidence: RunEvidence, adjuster: Adjuster | None = None
    ) -> AdjustmentAdvice | None:
        """Ask and check the answer; None if the adjuster had none."""
        adjuster = self.make() if adjuster is None else adjuster
        before = repr(evidence)
        try:
            advice = adjuster.adjust(evidence)
        except AdvisorError:
            return None
        assert repr(evidence) == before, "the evidence is shared: it must not be changed"
        assert isinstance(advice, AdjustmentAdvice)
        check_adjustment(advice.adjustment)
        return advice


def check_adjustment(adjustment: Adjustment) -> None:
    """AssertionError for one that is malformed."""
    assert isinstance(adjustment, Adjustment)
    assert isinstance(adjustment.knobs, Mapping)
    assert all(math.isfinite(value) for value in adjustment.knobs.values())
    assert adjustment.alpha is None or math.isfinite(adjustment.alpha)
    assert all(isinstance(operation, Operation) for operation in adjustment.operations)
    assert all(math.isfinite(operation.amount) for operation in adjustment.operations)
    assert isinstance(adjustment.rationale, str)
    assert adjustment.source in get_args(Source)
