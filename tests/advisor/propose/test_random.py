from __future__ import annotations

from raymimic.advisor.base import Advisor, SearchEvidence, TrialRecord
from raymimic.advisor.propose.random import RandomAdvisor
from raymimic.space import Choice, FloatRange, SearchSpace

SPACE = SearchSpace({"lr": FloatRange(1e-5, 1.0, log=True), "act": Choice(("relu", "tanh"))})


def evidence(ended: int = 0) -> SearchEvidence:
    config = {"lr": 0.1, "act": "relu"}
    trials = tuple(TrialRecord(f"t{i}", config, "done", "random", score=1.0) for i in range(ended))
    return SearchEvidence(SPACE, "loss", "min", trials)


def test_draws_valid_configurations_and_says_that_they_are_random() -> None:
    advisor = RandomAdvisor()
    assert isinstance(advisor, Advisor)
    proposals = advisor.propose(evidence(), 20).proposals
    assert len(proposals) == 20
    assert {proposal.source for proposal in proposals} == {"random"}
    assert all(SPACE.check(p.config) == (p.config, ()) for p in proposals)
    assert len({SPACE.key(p.config) for p in proposals}) == 20


def test_is_deterministic_and_moves_on_with_the_search() -> None:
    first = RandomAdvisor(3).propose(evidence(), 5)
    assert RandomAdvisor(3).propose(evidence(), 5) == first
    assert RandomAdvisor(4).propose(evidence(), 5) != first
    assert RandomAdvisor(3).propose(evidence(ended=1), 5) != first
