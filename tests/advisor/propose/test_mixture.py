"""A model and the statistical proposer share the trials; what the model knows reaches both."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace

import pytest

from raymimic import LLMAdvisor, ScriptedLLM
from raymimic.advisor import (
    MixtureAdvisor,
    RandomAdvisor,
    StatisticalAdvisor,
    build_request,
    question_to_guide,
)
from raymimic.advisor.propose.objective_values import standings
from raymimic.advisor.propose.share import LEAST, MOST, earned_share
from raymimic.errors import AdvisorError
from raymimic.records import Advice, Belief, Budget, Call, Config, Place
from raymimic.space import SearchSpace
from raymimic.testing.searches import (
    OPTIMUM,
    SPACE,
    WORST,
    RuleAdvisor,
    around,
    at,
    best,
    drawn,
    ended,
    evidence,
    known,
    search,
)

MANY = 20
"""Slots enough for every side to get some."""

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def good(rng: random.Random) -> Config:
    return around(OPTIMUM, rng)


def hostile(rng: random.Random) -> Config:
    return around(WORST, rng)


class Guide(RuleAdvisor):
    """A model that proposes by rule."""

    name, remote = "guide", True

    def propose(self, evidence, n):
        proposals = super().propose(evidence, n).proposals
        return Advice(tuple(replace(proposal, source="llm") for proposal in proposals))


def sources(proposals) -> list[str]:
    return [proposal.source for proposal in proposals]


def share(trials) -> float:
    return earned_share(trials, standings(evidence(trials)))


# -- the opening ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 16])
def test_the_first_batch_holds_the_published_default_and_the_models_guesses(n: int) -> None:
    (default,) = StatisticalAdvisor().propose(evidence(), 1).proposals
    advice = MixtureAdvisor(Guide(good)).propose(evidence(), n)
    assert advice.proposals[0] == default
    assert sources(advice.proposals[:3]) == ["heuristic", "llm", "llm"]
    assert len(advice.proposals) + advice.left == n


def test_one_at_a_time_the_default_comes_first_and_then_the_model() -> None:
    trials = search(MixtureAdvisor(Guide(good)), 3)
    assert sources(trials) == ["heuristic", "llm", "llm"]


# -- the share -----------------------------------------------------------------------------------


def outcomes(*scores: float, source: str = "llm") -> list:
    """Ended trials after a random one of score 0.5."""
    configs = drawn(len(scores) + 1)
    return (
        [ended("first", configs[0], 0.5)]
        + [
            ended(i, config, score, source)  # type: ignore[arg-type]
            for i, (config, score) in enumerate(zip(configs[1:], scores, strict=True))
        ]
    )


def test_half_at_first_and_as_fast_down_as_up() -> None:
    bad, fine = [9.0 + i for i in range(10)], [0.1] * 10
    assert share([]) == pytest.approx(0.5)
    won = share([*outcomes(*fine), *outcomes(*bad, source="random")[1:]])
    lost = share([*outcomes(*bad), *outcomes(*fine, source="random")[1:]])
    assert won == pytest.approx(0.88, abs=0.02)  # of the other side nothing is known
    assert lost == pytest.approx(1 - won)
    assert LEAST <= lost < won <= MOST


def test_ten_wins_or_losses_in_a_row_settle_it_once_the_other_side_is_known() -> None:
    usual = outcomes(0.2, 0.8, 0.9, 0.25, 0.7, 0.95, source="statistical")  # two of six win
    won, lost = (
        share([*usual, *outcomes(*scores)[1:]])
        for scores in ([0.1] * 10, [9.0 + i for i in range(10)])
    )
    assert won > 0.9
    assert lost == LEAST


def test_failures_and_the_statistical_sides_wins_count_against_the_model() -> None:
    scored = outcomes(0.4, 0.6, 0.7, 0.3)
    failures = [ended(f"f{i}", at(0, 0, i / 9), None, "llm") for i in range(4)]
    assert share([*scored, *failures]) < share(scored)
    assert share([*scored[:1], *failures]) < share(scored[:1])  # nor is the least bad failure a win
    assert share(outcomes(0.4, 0.3, 0.2, source="statistical")) < share([])


def test_what_a_model_expects_of_its_proposals_counts_for_nothing() -> None:
    modest = outcomes(0.4, 0.3)
    assert share([replace(trial, expected=-1e9) for trial in modest]) == share(modest)


def test_a_good_model_is_followed_and_a_hostile_one_loses_its_trials() -> None:
    counts = {}
    for rule in (good, hostile):
        counts[rule] = sources(search(MixtureAdvisor(Guide(rule)), 24)).count("llm")
    assert counts[hostile] <= 6
    assert counts[good] >= 12


def test_beside_a_good_model_the_search_is_level_with_that_model_alone() -> None:
    """Scores go from 0 to 1.2; the good model's lie below .005."""
    alone, shared = (
        best(search(advisor, 20)) for advisor in (Guide(good), MixtureAdvisor(Guide(good)))
    )
    assert shared <= alone + 0.001


def test_a_model_alone_is_told_of_no_partner() -> None:
    asked: list[str] = []

    def say(request) -> str:
        asked.append(request.system + request.user)
        raise AssertionError

    llm = ScriptedLLM([say] * 2)
    for advisor in (LLMAdvisor(llm), MixtureAdvisor(LLMAdvisor(llm))):
        with pytest.raises((AdvisorError, AssertionError)):
            advisor.propose(known(8, budget=Budget(trials_total=30)), 4)
    alone, shared = asked
    for words in ("statistical model", "of them by you"):
        assert words in shared
        assert words not in alone


# -- what is taken of the model's proposals ------------------------------------------------------


def test_the_model_is_asked_for_what_will_be_run_and_all_of_it_is_run() -> None:
    seen, guide = known(8), Guide(good)
    advice = MixtureAdvisor(guide).propose(seen, MANY)
    (told_guide, asked), taken = guide.asked[-1], sources(advice.proposals).count("llm")
    assert asked == taken
    assert told_guide.shared
    assert (told_guide, asked) == question_to_guide(seen, MANY, 0)


def test_invalid_and_repeated_proposals_are_dropped_with_a_reason_and_replaced() -> None:
    seen = known(8, queued=(at(0.5, 0.5, 0.5),))
    new = at(0.21, 0.31, 0.41)
    said = iter([{"lr": 7}, seen.trials[1].config, seen.queued[0], new, new])
    advice = MixtureAdvisor(Guide(lambda rng: next(said, new))).propose(seen, MANY)
    guided = [p for p in advice.proposals if p.source == "llm"]
    assert [p.config for p in guided] == [new]
    for old in (seen.trials[1].config, seen.queued[0], new):
        assert f"{SPACE.show(old)} was proposed before" in advice.drops
    assert any("width: missing" in drop for drop in advice.drops)
    assert len(advice.proposals) + advice.left == MANY


# -- the model's belief --------------------------------------------------------------------------

NARROW = Belief(
    {
        "lr": (Place(0.03, 0.2, "log", "the model"),),
        "width": (Place(80, 0.1, "log", "the model"),),
        "dropout": (Place(0.25, 0.03, "linear", "the model"),),
    }
)


class Believer(Guide):
    """Proposes nothing and believes in the optimum's place."""

    def propose(self, evidence, n):
        return Advice((), belief=NARROW)


def test_what_a_model_believes_reaches_the_other_sides_proposals() -> None:
    def near(advice: Advice) -> int:
        return sum(SPACE.distance(p.config, at(*OPTIMUM)) < 0.15 for p in advice.proposals)

    said = MixtureAdvisor(Believer(good)).propose(evidence(), 12)
    assert said.belief == NARROW
    assert said.left == 11
    told = StatisticalAdvisor().propose(evidence(model_belief=said.belief), 12)
    assert near(told) > near(StatisticalAdvisor().propose(evidence(), 12))
    assert "belief from common practice and the model" in told.proposals[-1].rationale


def test_the_belief_of_a_model_that_keeps_losing_counts_little() -> None:
    lost = [ended(i, config, 5.0 + i, "llm") for i, config in enumerate(drawn(12, seed=3))]
    seen = evidence([*known(3).trials, *lost], model_belief=NARROW)
    (with_it,) = StatisticalAdvisor().propose(seen, 1).proposals
    (without,) = StatisticalAdvisor().propose(replace(seen, model_belief=None), 1).proposals
    assert SPACE.distance(with_it.config, without.config) < 0.5


class Restating(Guide):
    """Believes anew with each reply, and narrowly."""

    def propose(self, evidence, n):
        return replace(super().propose(evidence, n), belief=NARROW)


def test_what_a_model_believes_after_results_does_not_count_them_again() -> None:
    assert MixtureAdvisor(Restating(good)).propose(evidence(), 4).belief == NARROW
    for seen in (known(8), evidence(model_belief=Belief())):
        advice = MixtureAdvisor(Restating(good)).propose(seen, 6)
        assert advice == MixtureAdvisor(Guide(good)).propose(seen, 6)


def test_a_model_is_asked_what_it_believes_before_the_first_result_alone() -> None:
    for seen, asked in ((evidence(), True), (known(3), False)):
        request = build_request(seen, 2)
        assert ("belief" in request.schema["properties"]) is asked
        assert ('{"belief": {"some number"' in request.system) is asked
        assert ("Your belief:" in request.system) is asked
        assert '"proposals": [{"config": {...}, ' in request.system


# -- the contract of an advisor ------------------------------------------------------------------


def test_it_depends_on_seed_and_evidence_alone() -> None:
    for seen in (evidence(), known(5), known(16)):
        advisor = MixtureAdvisor(RandomAdvisor(3), 3)
        first = advisor.propose(seen, 6)
        assert advisor.propose(seen, 6) == first
        assert pickle.loads(pickle.dumps(advisor)).propose(seen, 6) == first
        assert MixtureAdvisor(RandomAdvisor(4), 4).propose(seen, 6) != first


class Failing:
    name, remote = "failing", True

    def propose(self, evidence, n):
        raise AdvisorError("no reply", reason="503", calls=(Call("m", "503", 1.0),))


def test_a_model_that_cannot_answer_says_so_with_its_calls() -> None:
    with pytest.raises(AdvisorError, match="no reply") as caught:
        MixtureAdvisor(Failing()).propose(evidence(), 4)
    assert [call.status for call in caught.value.calls] == ["503"]


def test_an_empty_space_is_left_to_the_model() -> None:
    advice = MixtureAdvisor(RandomAdvisor()).propose(evidence(space=SearchSpace({})), 2)
    assert [proposal.config for proposal in advice.proposals] == [{}, {}]


def test_a_models_reply_is_read_with_its_belief() -> None:
    reply = {
        "proposals": [{"config": {"lr": 0.1, "width": 9, "dropout": 0.1}, "rationale": "so"}],
        "belief": {"lr": {"best": 0.01, "low": 0.001, "high": 0.1}, "depth": {"best": 3}},
    }
    advice = MixtureAdvisor(LLMAdvisor(ScriptedLLM([json.dumps(reply)]))).propose(evidence(), 3)
    assert advice.belief is not None
    assert list(advice.belief.places) == ["lr"]
    (place,) = advice.belief.places["lr"]
    assert (place.centre, place.width, place.scale) == (0.01, pytest.approx(1.0), "log")
    assert any("depth" in drop for drop in advice.drops)
