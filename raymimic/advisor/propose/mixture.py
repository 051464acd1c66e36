"""The mixture: a guide (a language model or the rules), a statistical proposer, a little chance.

A guide knows what usually works and reads curves, so it is ahead in the first trials; a model of
the scores is ahead in the later ones and cannot be misled. Each gets the share that its proposals
have earned, so a bad guide costs a few trials and a good one is not held back.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from raymimic.advisor.base import Advisor, SearchEvidence
from raymimic.advisor.propose.objective_values import told
from raymimic.advisor.propose.optuna_samplers import StatisticalAdvisor, gp_available
from raymimic.advisor.propose.random import RandomAdvisor, stream
from raymimic.advisor.propose.selection import select
from raymimic.advisor.propose.share import earned_share
from raymimic.errors import ConfigError
from raymimic.records import Advice, Call, Proposal, Source

_GUESSES = 3
"""The guide's first proposals, with the user's own point among them if there is one."""

_LEAST_GUESSES = 2
_OVER = 3
"""So many proposals are asked of the guide for each one wanted, once there are results."""


class MixtureAdvisor:
    """Shares the trials between ``guide``, Optuna's samplers and random draws.

    The first batch is the user's points, the guide's guesses and one random draw (if the search
    did not begin with one while it waited for the guide); after it every slot goes to the guide or
    the statistical proposer by `earned_share`. A guide that cannot answer raises `AdvisorError`, as
    always. Stateless: depends on ``seed`` and the evidence.
    """

    def __init__(self, guide: Advisor, seed: int = 0) -> None:
        self.guide = guide
        self.seed = seed
        self._statistical = StatisticalAdvisor(seed)
        self._random = RandomAdvisor(seed)

    @property
    def name(self) -> str:
        """The guide's name."""
        return self.guide.name

    @property
    def remote(self) -> bool:
        """Whether the guide is a model over a network."""
        return self.guide.remote

    @property
    def partner(self) -> str:
        """Who shares the trials with the guide, for the user to read."""
        return f"Optuna's {'Gaussian process' if gp_available() else 'TPE (no torch for its GP)'}"

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose ``n`` configurations, fewer if the space has no more."""
        if not evidence.space.dimensions:
            return self.guide.propose(evidence, n)
        slots = _slots(evidence, n, self.seed, self._source)
        proposals, drops, calls = self._guided(evidence, slots.count("guide"))
        after = evidence.with_pending(p.config for p in proposals)
        proposals += self._random.propose(after, slots.count("random")).proposals
        after = evidence.with_pending(p.config for p in proposals)
        proposals += self._statistical.propose(after, n - len(proposals)).proposals
        return Advice(tuple(proposals), tuple(drops), calls)

    @property
    def _source(self) -> Source:
        return "llm" if self.guide.remote else "heuristic"

    def _guided(
        self, evidence: SearchEvidence, n: int
    ) -> tuple[list[Proposal], list[str], tuple[Call, ...]]:
        """Ask the guide for more than ``n`` proposals and take the best that are valid and new."""
        if not n:
            return [], [], ()
        over = n * _OVER if evidence.trials else n  # results can choose among more
        advice = self.guide.propose(evidence.for_run(n), over)
        sound, drops = _checked(evidence, advice.proposals)
        picked, set_aside = select(evidence, sound, n, stream(self.seed, "selection", evidence))
        drops += set_aside
        if self.guide.remote and not set_aside:  # a model learns what became of its proposals
            left = [p.config for p in sound if all(p is not other for other in picked)]
            show = evidence.space.show
            drops += [f"{show(config)} was not run: others promised more" for config in left]
        return picked, [*advice.drops, *drops], advice.calls


def question_to_guide(evidence: SearchEvidence, n: int, seed: int) -> tuple[SearchEvidence, int]:
    """Give what a model is shown and how many proposals it is asked for when ``n`` are wanted.

    At least one, though a whole batch may be the statistical proposer's.
    """
    guided = max(1, _slots(evidence, n, seed, "llm").count("guide"))
    return evidence.for_run(guided), guided * _OVER if evidence.trials else guided


def _slots(evidence: SearchEvidence, n: int, seed: int, guide: Source) -> list[str]:
    """Say whose the next ``n`` slots are: "guide", "statistical" or "random"."""
    given, first = evidence.given, len(evidence.known)
    guesses = max(_GUESSES - given, _LEAST_GUESSES)
    started = [t.source for t in (*evidence.trials, *evidence.running) if t.source != "user"]
    drawn = bool(started) and started[0] in ("statistical", "random")  # it did not wait for a guide
    share = earned_share(evidence.trials, told(evidence), guide)
    slots = []
    for place in range(first, first + n):
        own = place - given - drawn
        if own < guesses or (own == guesses and not drawn):
            slots.append("guide" if own < guesses else "random")
        else:
            chance = random.Random(f"slot {seed} {place}").random()
            slots.append("guide" if chance < share else "statistical")
    return slots


def _checked(
    evidence: SearchEvidence, proposals: Iterable[Proposal]
) -> tuple[list[Proposal], list[str]]:
    """Give the proposals that fit the space and are new, mended, and why the others are not."""
    space = evidence.space
    taken = {space.key(config) for config in evidence.known}
    sound, drops = [], []
    for proposal in proposals:
        try:
            mended = proposal.checked(space.check(proposal.config))
        except ConfigError as error:
            drops.append(str(error))
            continue
        key = space.key(mended.config)
        if key in taken:
            drops.append(f"{space.show(mended.config)} was proposed before")
        else:
            taken.add(key)
            sound.append(mended)
    return sound, drops
