"""What is reading worth? Advisors that see less, or something false, behind the same proposals.

Each wraps an advisor and changes the evidence on its way in, and nothing else.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import replace

from raymimic import Advice, Advisor, SearchEvidence, SearchSpace, TrialRecord
from raymimic.records import Config


class Ablation(ABC):
    """An advisor with changed evidence."""

    def __init__(self, inner: Advisor, seed: int = 0) -> None:
        self.inner, self.seed = inner, seed

    @property
    def name(self) -> str:
        return f"{self.inner.name}, {type(self).__name__}"

    @property
    def remote(self) -> bool:
        return self.inner.remote

    @abstractmethod
    def change(self, evidence: SearchEvidence) -> SearchEvidence:
        """The evidence as the advisor sees it."""

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose from the changed evidence."""
        return self.inner.propose(self.change(evidence), n)


class ScoresOnly(Ablation):
    """Final scores, but no curve and no diagnosis."""

    def change(self, evidence: SearchEvidence) -> SearchEvidence:
        return replace(
            evidence,
            trials=tuple(map(_blind, evidence.trials)),
            running=tuple(map(_blind, evidence.running)),
        )


class Shuffled(Ablation):
    """Each ended trial with the curve and diagnosis of another; scores stay where they are.

    A trial keeps its partner while the search goes on, unless it gets the newest trial's curve:
    trial k swaps with a random one of the trials before it (the inside-out Fisher-Yates shuffle).
    """

    def change(self, evidence: SearchEvidence) -> SearchEvidence:
        order: list[int] = []
        for k in range(len(evidence.trials)):
            order.append(k)
            other = random.Random(f"{self.seed} {k}").randrange(k + 1)
            order[k], order[other] = order[other], order[k]
        trials = tuple(
            replace(trial, curve=evidence.trials[at].curve, diagnosis=evidence.trials[at].diagnosis)
            for trial, at in zip(evidence.trials, order, strict=True)
        )
        return replace(evidence, trials=trials, running=tuple(map(_blind, evidence.running)))


class Anonymous(Ablation):
    """Parameters named x1, x2, ...: what is known of their names is of no use.

    Words of the search that may hold true names (repairs, drops, the user's) are left out.
    """

    def change(self, evidence: SearchEvidence) -> SearchEvidence:
        names = _codes(evidence.space)
        dimensions = evidence.space.dimensions
        return replace(
            evidence,
            space=SearchSpace({code: dimensions[name] for name, code in names.items()}),
            trials=tuple(_renamed(trial, names) for trial in evidence.trials),
            running=tuple(_renamed(trial, names) for trial in evidence.running),
            queued=tuple(_rename(config, names) for config in evidence.queued),
            drops=(),
            instruction="",
        )

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose under the codes; the configurations come back under their names."""
        advice = super().propose(evidence, n)
        true = {code: name for name, code in _codes(evidence.space).items()}
        proposals = (
            replace(proposal, config=_rename(proposal.config, true))
            for proposal in advice.proposals
        )
        return replace(advice, proposals=tuple(proposals))


def _blind(trial: TrialRecord) -> TrialRecord:
    return replace(trial, curve=None, diagnosis=None)


def _codes(space: SearchSpace) -> dict[str, str]:
    return {name: f"x{number}" for number, name in enumerate(space.dimensions, start=1)}


def _rename(config: Config, names: dict[str, str]) -> Config:
    """The configuration under other names; keys without one stay (a model may invent some)."""
    return {names.get(key, key): value for key, value in config.items()}


def _renamed(trial: TrialRecord, names: dict[str, str]) -> TrialRecord:
    return replace(trial, config=_rename(trial.config, names), repairs=())
