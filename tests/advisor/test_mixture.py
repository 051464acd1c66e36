"""The guide, the statistical proposer and chance share the trials; nobody is shut out."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from dataclasses import replace

import pytest

from raymimic import LLMAdvisor, ScriptedLLM
from raymimic.advisor import (
    HeuristicAdvisor,
    MixtureAdvisor,
    RandomAdvisor,
    SearchEvidence,
    question_to_guide,
)
from raymimic.advisor.propose.objective_values import told
from raymimic.advisor.propose.selection import GUARDED, INFORMED, select
from raymimic.advisor.propose.share import CEILING, FLOOR, earned_share
from raymimic.errors import AdvisorError
from raymimic.records import Call, Config, Proposal
from raymimic.space import Choice, SearchSpace
from raymimic.testing.searches import (
    OPTIMUM,
    SPACE,
    WORST,
    RuleAdvisor,
    around,
    at,
    best,
    bowl,
    drawn,
    ended,
    evidence,
    known,
    search,
)

MANY = 20
"""Slots enough for every side to get some."""


pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.fixture(autouse=True)
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """TPE answers in milliseconds; which sampler it is does not matter here."""
    monkeypatch.setattr("raymimic.advisor.propose.optuna_samplers.gp_available", lambda: False)


def good(rng: random.Random) -> Config:
    return around(OPTIMUM, rng)


def hostile(rng: random.Random) -> Config:
    return around(WORST, rng)


def sources(proposals) -> list[str]:
    return [proposal.source for proposal in proposals]


def share(trials) -> float:
    return earned_share(trials, told(evidence(trials)), "heuristic")


# -- the opening ---------------------------------------------------------------------------------


def test_the_first_batch_is_three_guesses_and_a_random_one() -> None:
    advice = MixtureAdvisor(RuleAdvisor(good)).propose(evidence(), 4)
    assert sources(advice.proposals) == ["heuristic"] * 3 + ["random"]


@pytest.mark.parametrize("state", ["ended", "running", "waiting"])
def test_the_users_point_takes_the_place_of_a_guess(state: str) -> None:
    point = at(0.1, 0.1, 0.1)
    trial = ended("user", point, 1.0, "user")
    seen = {
        "ended": evidence([trial]),
        "running": evidence(running=(replace(trial, status="running"),)),
        "waiting": evidence(queued=(point,), queued_by_user=1),
    }[state]
    advice = MixtureAdvisor(RuleAdvisor(good)).propose(seen, 3)
    assert sources(advice.proposals) == ["heuristic", "heuristic", "random"]


def test_many_points_of_the_user_leave_the_guide_two_guesses() -> None:
    points = tuple(at(x, 0.5, 0.5) for x in (0.2, 0.4, 0.6, 0.8))
    seen = evidence(queued=points, queued_by_user=4)
    advice = MixtureAdvisor(RuleAdvisor(good)).propose(seen, 3)
    assert sources(advice.proposals) == ["heuristic", "heuristic", "random"]


@pytest.mark.parametrize("n", [1, 8, 16])
def test_one_at_a_time_or_many_at_once_the_opening_is_mixed(n: int) -> None:
    guide, waiting = RuleAdvisor(good), evidence()
    proposals: list[Proposal] = []
    while len(proposals) < 16:
        proposals += MixtureAdvisor(guide).propose(waiting, n).proposals
        waiting = evidence(queued=[proposal.config for proposal in proposals])
    counts = Counter(sources(proposals[:8]))
    assert counts["random"] == 1
    assert 3 <= counts["heuristic"] < 8


# -- the share -----------------------------------------------------------------------------------


def test_a_hostile_guide_loses_its_share_and_a_good_one_earns_more() -> None:
    counts, ends = {}, {}
    for rule in (good, hostile):
        trials = search(MixtureAdvisor(RuleAdvisor(rule)), 24)
        shares = [share(trials[:i]) for i in range(len(trials) + 1)]
        assert all(FLOOR <= value <= CEILING for value in shares)
        counts[rule] = Counter(trial.source for trial in trials)
        ends[rule] = shares[-1]
    assert ends[hostile] < ends[good]
    assert ends[hostile] < share([])
    assert counts[hostile]["heuristic"] < counts[good]["heuristic"]
    assert counts[good]["statistical"] > 0


def outcomes(*scores: float, source: str = "heuristic") -> list:
    """Ended trials after a random one of score 0.5."""
    configs = drawn(len(scores) + 1)
    return (
        [ended("first", configs[0], 0.5)]
        + [
            ended(i, config, score, source)  # type: ignore[arg-type]
            for i, (config, score) in enumerate(zip(configs[1:], scores, strict=True))
        ]
    )


def test_a_guide_that_comes_to_its_senses_gets_trials_again() -> None:
    losing, winning = (1.0 + i for i in range(12)), (-1.0 - i for i in range(12))
    bad = list(losing)
    reformed = share(outcomes(*bad, *winning))
    assert reformed > share(outcomes(*bad, *(20.0 + i for i in range(12))))
    assert share(outcomes(*bad)) < share(outcomes(0.4))
    assert guided(outcomes(*bad)) < guided(outcomes(*(-score for score in bad)))


def guided(trials) -> int:
    """How many of the next hundred slots are the guide's."""
    guide = RuleAdvisor(good)
    MixtureAdvisor(guide).propose(evidence(trials), 100)
    return guide.asked[-1][0].to_run or 0


def test_neither_side_is_shut_out() -> None:
    losses, wins = [5.0 + i for i in range(30)], [-5.0 - i for i in range(30)]
    hopeless = [*outcomes(*losses), *outcomes(*wins, source="statistical")[1:]]
    assert share(hopeless) == FLOOR
    assert guided(hopeless) > 0
    glorious = [*outcomes(*losses[:3], source="statistical"), *outcomes(*wins[:3])[1:]]
    assert share([]) < share(glorious) <= CEILING
    assert guided(glorious) < 100


def test_the_share_falls_as_the_search_goes_on_and_ignores_expectations() -> None:
    wins = [-float(i) for i in range(1, 80)]
    assert share(outcomes(*wins)) < share(outcomes(*wins[:5]))
    modest = outcomes(0.4, 0.3)
    boastful = [replace(trial, expected=-1e9) for trial in modest]
    assert share(boastful) == share(modest)


def test_failures_and_the_statistical_sides_wins_count_against_the_guide() -> None:
    scored = outcomes(0.4, 0.6, 0.7, 0.3)
    failures = [ended(f"f{i}", at(0, 0, i / 9), None, "heuristic") for i in range(4)]
    assert share([*scored, *failures]) < share(scored)
    assert share([*scored[:1], *failures]) < share(scored[:1])  # nor is the least bad failure a win
    assert share(outcomes(0.4, 0.3, 0.2, source="statistical")) < share([])


# -- what is taken of the guide's proposals ------------------------------------------------------


def test_more_is_asked_of_the_guide_than_will_be_run_and_a_model_is_told() -> None:
    seen = known(GUARDED - 1)
    guide = RuleAdvisor(good)
    advice = MixtureAdvisor(guide).propose(seen, MANY)
    (told_guide, asked), taken = guide.asked[-1], sources(advice.proposals).count("heuristic")
    assert asked > taken == told_guide.to_run
    assert (told_guide, asked) == question_to_guide(seen, MANY, 0)

    llm = ScriptedLLM(['{"proposals": [{"config": {"lr": 0.1, "width": 9, "dropout": 0.1}}]}'])
    paid = MixtureAdvisor(LLMAdvisor(llm)).propose(seen, MANY).calls
    assert [call.status for call in paid] == ["ok"]
    (request,) = llm.requests
    assert f"Propose exactly {asked} new configurations." in request.user
    assert f"pick {taken} of them to be run" in request.user


def test_invalid_and_repeated_candidates_are_dropped_with_a_reason_and_replaced() -> None:
    seen = known(GUARDED - 1, queued=(at(0.5, 0.5, 0.5),))
    new = at(0.21, 0.31, 0.41)
    said = iter([{"lr": 7}, seen.trials[1].config, seen.queued[0], new, new])
    advice = MixtureAdvisor(RuleAdvisor(lambda rng: next(said, new))).propose(seen, MANY)
    guided = [p for p in advice.proposals if p.source == "heuristic"]
    assert [p.config for p in guided] == [new]
    for old in (seen.trials[1].config, seen.queued[0], new):
        assert f"{SPACE.show(old)} was proposed before" in advice.drops
    assert any("width: missing" in drop for drop in advice.drops)
    assert len(advice.proposals) == MANY
    assert len({SPACE.key(p.config) for p in advice.proposals}) == MANY


def test_candidates_that_promise_less_than_a_random_draw_are_set_aside() -> None:
    rng = random.Random(7)
    corner = [ended(f"bad{i}", hostile(rng), 1.0 + i, "heuristic") for i in range(3)]
    seen = evidence([*known(2 * INFORMED).trials, *corner])
    advice = MixtureAdvisor(RuleAdvisor(hostile)).propose(seen, MANY)
    assert set(sources(advice.proposals)) == {"statistical"}
    assert any("promises less than a random draw" in drop for drop in advice.drops)


def candidates(*places: tuple[float, float, float]) -> list[Proposal]:
    return [Proposal(at(*units), "why", "llm") for units in places]


def test_a_model_of_the_scores_picks_the_best_and_not_its_twin() -> None:
    seen, twin, other = known(2 * INFORMED), (0.701, 0.301, 0.501), (0.66, 0.36, 0.45)
    offered = candidates(WORST, OPTIMUM, twin, other)
    picked, set_aside = select(seen, offered, 1, random.Random(0))
    assert picked in ([offered[1]], [offered[2]])
    assert not set_aside
    pair, _ = select(seen, offered, 2, random.Random(0))
    assert offered[3] in pair


def test_before_that_the_guides_own_order_counts() -> None:
    offered = candidates((0.6, 0.45, 0.4), OPTIMUM, (0.7, 0.4, 0.5))
    assert select(known(INFORMED - 1), offered, 2, random.Random(0)) == (offered[:2], [])
    alike = known(3 * INFORMED, lambda config: 1.0)
    assert select(alike, offered, 2, random.Random(0)) == (offered[:2], [])
    assert select(known(3 * INFORMED), offered, 2, random.Random(0))[0][0] != offered[0]


def test_a_good_guide_is_not_blunted() -> None:
    mixed = search(MixtureAdvisor(RuleAdvisor(good)), INFORMED)
    assert best(mixed[:3]) == min(bowl(t.config) for t in mixed if t.source == "heuristic")
    assert best(mixed[:1]) < 0.02  # the guide's first guess is the first trial


# -- the contract of an advisor ------------------------------------------------------------------


def test_it_depends_on_seed_and_evidence_alone() -> None:
    for seen in (evidence(), known(5), known(2 * INFORMED)):
        advisor = MixtureAdvisor(HeuristicAdvisor(3), 3)
        first = advisor.propose(seen, 6)
        assert advisor.propose(seen, 6) == first
        assert pickle.loads(pickle.dumps(advisor)).propose(seen, 6) == first
        assert MixtureAdvisor(HeuristicAdvisor(4), 4).propose(seen, 6) != first


class Failing:
    name, remote = "failing", True

    def propose(self, evidence: SearchEvidence, n: int):
        raise AdvisorError("no reply", reason="503", calls=(Call("m", "503", 1.0),))


def test_a_guide_that_cannot_answer_says_so_with_its_calls() -> None:
    with pytest.raises(AdvisorError, match="no reply") as caught:
        MixtureAdvisor(Failing()).propose(evidence(), 4)
    assert [call.status for call in caught.value.calls] == ["503"]


@pytest.mark.parametrize("values", [(1,), ("a", "b"), ("a", "b", "c", "d", "e")])
def test_a_finite_space_may_be_used_up(values: tuple) -> None:
    space = SearchSpace({"kind": Choice(values), "flag": Choice((False, True))})
    advisor = MixtureAdvisor(HeuristicAdvisor())
    trials, tried = [], []
    for i in range(2 * space.size):
        (proposal,) = advisor.propose(evidence(trials, space), 1).proposals
        assert space.check(proposal.config) == (proposal.config, ())
        tried.append(space.key(proposal.config))
        trials.append(ended(i, proposal.config, float(i % 5), proposal.source))
    assert len(set(tried)) == space.size


def test_an_empty_space_is_left_to_the_guide() -> None:
    advice = MixtureAdvisor(RandomAdvisor()).propose(evidence(space=SearchSpace({})), 2)
    assert [proposal.config for proposal in advice.proposals] == [{}, {}]
