"""The fallback and the baseline: configurations drawn from the space."""

from __future__ import annotations

import random

from raymimic.advisor.base import SearchEvidence
from raymimic.records import Advice, Proposal


class RandomAdvisor:
    """Draws configurations; deterministic given ``seed`` and how many trials there are.

    Draws may repeat what was tried: that is random search. The asker drops duplicates.

    >>> from raymimic import FloatRange, RandomAdvisor, SearchEvidence, SearchSpace
    >>> evidence = SearchEvidence(SearchSpace({"x": FloatRange(0.0, 1.0)}), "loss", "min")
    >>> len(RandomAdvisor(seed=0).propose(evidence, 3).proposals)
    3
    """

    name = "random"
    remote = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Draw ``n`` configurations."""
        rng = stream(self.seed, "random", evidence)
        return Advice(
            tuple(
                Proposal(evidence.space.sample(rng), "drawn at random", source="random")
                for _ in range(n)
            )
        )


def stream(seed: int, name: str, evidence: SearchEvidence) -> random.Random:
    """Give the random numbers of one call: they depend on the seed and on how far the search is."""
    ended, running, queued = len(evidence.trials), len(evidence.running), len(evidence.queued)
    return random.Random(f"{name} {seed} {ended} {running} {queued}")
