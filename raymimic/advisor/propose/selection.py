"""From more proposals than wanted to the diverse few that a model of the scores likes best."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.propose.gp import Surrogate
from raymimic.records import Proposal
from raymimic.space import SearchSpace

GUARDED = 4
"""Results before the surrogate may set a proposal aside as hopeless."""

INFORMED = 8
"""Results before it may overrule the order in which a guide named its proposals."""

_TWINS = 0.02
"""Configurations nearer than this (`SearchSpace.distance`) would tell the same thing twice."""

_DRAWS = 64


def select(
    evidence: SearchEvidence, proposals: Sequence[Proposal], n: int, rng: random.Random
) -> tuple[list[Proposal], list[str]]:
    """Give at most ``n`` of the proposals, best first, and in words which were set aside as bad.

    Expected improvement decides; each one picked counts as tried at its predicted score, and twins
    of it wait until nothing else is left. A proposal that promises less than half of all random
    draws would is set aside. With few results the guide's own order counts, with hardly any nothing
    is set aside.
    """
    surrogate = Surrogate(evidence)
    if len(evidence.trials) < GUARDED or not surrogate.informed or not proposals:
        return list(proposals[:n]), []
    draws = surrogate.improvement([evidence.space.sample(rng) for _ in range(_DRAWS)])
    yardstick = float(np.median(draws))
    ranks = len(evidence.trials) >= INFORMED
    rest, twins, picked = list(proposals), list[Proposal](), list[Proposal]()
    while rest and len(picked) < n:
        offered = [p for p in rest if all(p is not twin for twin in twins)] or rest
        promise = surrogate.improvement([proposal.config for proposal in offered])
        sound = np.flatnonzero(promise >= yardstick)
        if not sound.size:
            break
        chosen = offered[int(promise.argmax()) if ranks else int(sound[0])]
        rest.remove(chosen)
        picked.append(chosen)
        twins += [p for p in rest if _twins(evidence.space, p, chosen)]
        surrogate.expect(chosen.config)
    if len(picked) == n:
        return picked, []
    shown = evidence.space.show
    return picked, [f"{shown(p.config)} promises less than a random draw" for p in rest]


def _twins(space: SearchSpace, a: Proposal, b: Proposal) -> bool:
    return space.distance(a.config, b.config) < _TWINS
