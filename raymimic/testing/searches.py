"""A smooth function to search, trials without training, and an advisor that follows a rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from raymimic.advisor import Advisor, SearchEvidence, StatisticalAdvisor, TrialRecord
from raymimic.records import Advice, Config, Proposal, Source, TrialStatus
from raymimic.space import FloatRange, IntRange, SearchSpace

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "width": IntRange(8, 256),
        "dropout": FloatRange(0.0, 0.5),
    }
)
OPTIMUM = (0.7, 0.3, 0.5)
WORST = (0.0, 1.0, 0.0)


def at(*units: float) -> Config:
    """The configuration at these unit coordinates."""
    dimensions = SPACE.dimensions.items()
    return {name: dim.from_unit(u) for (name, dim), u in zip(dimensions, units, strict=True)}


def around(units: Iterable[float], rng: random.Random, spread: float = 0.04) -> Config:
    """A configuration whose unit coordinates lie within ``spread`` of the given ones."""
    return at(*(u + rng.uniform(-spread, spread) for u in units))


def bowl(config: Config) -> float:
    """Squared distance from the optimum, 0 to about 1.2."""
    units = (dim.to_unit(config[name]) for name, dim in SPACE.dimensions.items())
    return sum((u - v) ** 2 for u, v in zip(units, OPTIMUM, strict=True))


def ended(
    name: object, config: Config, score: float | None, source: Source = "random", **more: Any
) -> TrialRecord:
    """An ended trial; without a score, a failed one."""
    status: TrialStatus = "failed" if score is None else "done"
    return TrialRecord(f"t{name}", config, status, source, score=score, **more)


def drawn(count: int, *, space: SearchSpace = SPACE, seed: int = 0) -> list[Config]:
    """Random configurations."""
    rng = random.Random(seed)
    return [space.sample(rng) for _ in range(count)]


def evidence(
    trials: Iterable[TrialRecord] = (), space: SearchSpace = SPACE, mode: Any = "min", **more: Any
) -> SearchEvidence:
    """Evidence of these ended trials; ``more`` are further fields of `SearchEvidence`."""
    return SearchEvidence(space, "loss", mode, tuple(trials), **more)


def known(
    count: int,
    score: Callable[[Config], float | None] = bowl,
    space: SearchSpace = SPACE,
    **more: Any,
) -> SearchEvidence:
    """Evidence of random trials."""
    trials = [ended(i, config, score(config)) for i, config in enumerate(drawn(count, space=space))]
    return evidence(trials, space, **more)


def search(advisor: Advisor, count: int, trials: Iterable[TrialRecord] = ()) -> list[TrialRecord]:
    """Try ``count`` proposals on the bowl, one after the other; what is left is filled."""
    done, partner = list(trials), StatisticalAdvisor()
    for _ in range(count):
        advice = advisor.propose(evidence(done), 1)
        (proposal,) = advice.proposals or partner.propose(evidence(done), advice.left).proposals
        done.append(ended(len(done), proposal.config, bowl(proposal.config), proposal.source))
    return done


def best(trials: Iterable[TrialRecord]) -> float:
    """The lowest score."""
    return min(trial.score for trial in trials if trial.score is not None)


class RuleAdvisor:
    """Proposes what ``rule`` draws; ``asked`` keeps evidence and number of each question."""

    name = "rule"
    remote = False

    def __init__(self, rule: Callable[[random.Random], Config]) -> None:
        self._rule = rule
        self._rng = random.Random(0)
        self.asked: list[tuple[SearchEvidence, int]] = []

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose ``n`` configurations of the rule's."""
        self.asked.append((evidence, n))
        return Advice(
            tuple(Proposal(self._rule(self._rng), "by rule", "heuristic") for _ in range(n))
        )
