"""The keyless advisor: the rules that an experienced practitioner applies."""

from __future__ import annotations

from raymimic.advisor.adjust import AdjustmentAdvice, RunEvidence, adjustment_of
from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.judge import JudgeAdvice, JudgeEvidence, judgement_by_rule
from raymimic.advisor.propose.statistical import StatisticalAdvisor
from raymimic.records import Advice


class HeuristicAdvisor:
    """No language model: a search with published practice as its belief, and rules by diagnosis.

    Stateless: answers depend on ``seed`` and the evidence alone.

    >>> from raymimic import FloatRange, HeuristicAdvisor, SearchEvidence, SearchSpace
    >>> space = SearchSpace({"lr": FloatRange(1e-5, 1.0, log=True)})
    >>> (first,) = HeuristicAdvisor().propose(SearchEvidence(space, "loss", "min"), 1).proposals
    >>> first.config
    {'lr': 0.001}
    """

    name = "heuristic"
    remote = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose up to ``n`` new configurations as `StatisticalAdvisor` does."""
        return StatisticalAdvisor(self.seed).propose(evidence, n)

    def adjust(self, evidence: RunEvidence) -> AdjustmentAdvice:
        """Give the next interval's adjustment of a training by rule; it depends on nothing else."""
        return AdjustmentAdvice(adjustment_of(evidence))

    def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
        """Judge running trials by rule: none is stopped, live knobs are turned by diagnosis."""
        return JudgeAdvice(tuple(judgement_by_rule(case, evidence) for case in evidence.cases))
