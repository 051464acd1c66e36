"""The mixture: a language model and the statistical proposer share the trials.

What the model knows reaches every trial: its belief is part of the prior with which the statistical
proposer searches. Only what it says before the first result is; later it would tell of results that
the proposer sees, too, and they would count twice. Of the trials each side gets the share that its
proposals have earned. The statistical side's are not made with the model's batch but when they are
due: it needs no batch, and each result that it knows counts.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from raymimic.advisor.base import Advisor, SearchEvidence
from raymimic.advisor.propose.objective_values import standings
from raymimic.advisor.propose.share import earned_share
from raymimic.advisor.propose.statistical import opening_proposals
from raymimic.errors import ConfigError
from raymimic.records import Advice, Proposal, Source

_GUESSES = 2
"""The model's first proposals, beside the keyless first guess."""


class MixtureAdvisor:
    """Shares the trials between ``guide`` (a model) and the statistical proposer.

    The first batch holds the keyless first guesses and proposals of the model; after it every slot
    goes to one of the two by `earned_share`. The statistical proposer's are left to whoever asked
    (`Advice.left`). A model that cannot answer raises `AdvisorError`, as always. Stateless: depends
    on ``seed`` and the evidence.

    >>> from raymimic import LLMAdvisor, MixtureAdvisor, ScriptedLLM
    >>> MixtureAdvisor(LLMAdvisor(ScriptedLLM([])), seed=0).remote
    True
    """

    def __init__(self, guide: Advisor, seed: int = 0) -> None:
        self.guide = guide
        self.seed = seed

    @property
    def name(self) -> str:
        """The model's name."""
        return self.guide.name

    @property
    def remote(self) -> bool:
        """Whether the guide is a model over a network."""
        return self.guide.remote

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose the model's and the first guesses; the rest of ``n`` is left (`Advice.left`)."""
        if not evidence.space.dimensions:
            return self.guide.propose(evidence, n)
        proposals = opening_proposals(evidence, n)
        evidence = evidence.with_pending(p.config for p in proposals)
        left = n - len(proposals)
        wanted = _slots(evidence, left, self.seed, self._source).count(True)
        advice = self.guide.propose(evidence.for_partner(), wanted) if wanted else Advice(())
        sound, drops, outside = _checked(evidence, advice.proposals[:wanted])
        return replace(
            advice,
            proposals=(*proposals, *sound),
            drops=(*advice.drops, *drops),
            outside=(*advice.outside, *outside),
            belief=advice.belief if evidence.asks_belief else None,
            left=left - len(sound),
        )

    @property
    def _source(self) -> Source:
        return "llm" if self.guide.remote else "heuristic"


def question_to_guide(evidence: SearchEvidence, n: int, seed: int) -> tuple[SearchEvidence, int]:
    """Give what a model is shown and how many proposals it is asked for when ``n`` are wanted.

    At least one, though a whole batch may be the statistical proposer's.
    """
    first = opening_proposals(evidence, n)
    evidence = evidence.with_pending(p.config for p in first)
    wanted = max(1, _slots(evidence, n - len(first), seed, "llm").count(True))
    return evidence.for_partner(), wanted


def _slots(evidence: SearchEvidence, n: int, seed: int, model: Source) -> list[bool]:
    """Say for each of the next ``n`` slots whether it is the model's."""
    first = len(evidence.known)
    spoken = any(trial.source == model for trial in (*evidence.trials, *evidence.running))
    guesses = 0 if spoken else _GUESSES
    share = earned_share(evidence.trials, standings(evidence), model)
    return [
        place < guesses or random.Random(f"slot {seed} {first + place}").random() < share
        for place in range(n)
    ]


def _checked(
    evidence: SearchEvidence, proposals: Iterable[Proposal]
) -> tuple[list[Proposal], list[str], list[str]]:
    """Give the proposals that fit the space and are new, mended, and why the others do not.

    Those that break a restriction come last.
    """
    space = evidence.space
    taken = {space.key(config) for config in evidence.known}
    sound, drops, outside = [], [], []
    for proposal in proposals:
        try:
            mended = proposal.checked(space.check(proposal.config))
        except ConfigError as error:
            drops.append(str(error))
            continue
        key = space.key(mended.config)
        broken = space.outside(mended.config)
        if broken:
            outside.append(broken)
        elif key in taken:
            drops.append(f"{space.show(mended.config)} was proposed before")
        else:
            taken.add(key)
            sound.append(mended)
    return sound, drops, outside
