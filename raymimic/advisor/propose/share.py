"""How large a share of the trials the guide has earned, from how its proposals did."""

from __future__ import annotations

from collections.abc import Sequence

from raymimic.advisor.base import TrialRecord

FLOOR = 0.15
CEILING = 0.6
"""Bounds of the guide's share, so that neither side can be shut out: a guide that failed may come
back, and the statistical proposer always gets the trials that its guarantee lives on."""

_BEST = 1 / 3
"""A trial wins if it is among the best third of all trials so far: measured against the trials
before it alone, a guide that goes from terrible to bad would win every time."""

_MEMORY = 0.95
"""What an outcome counts for after each later one of the same side."""

_HALF_LIFE = 15.0
"""Trials after which the part of the share above the floor is halved: what a guide knows it says
early, a model of the scores gets better with every trial."""


def earned_share(trials: Sequence[TrialRecord], values: Sequence[float], guide: str) -> float:
    """Give the guide's share of the next trials, between `FLOOR` and `CEILING`.

    ``values`` are the trials' told values (lower is better), ``guide`` the source of its proposals.
    The share is the guide's rate of wins against the statistical proposer's, each with one win and
    one loss to begin with, decayed with the number of trials. What an advisor thinks of its own
    proposals counts for nothing.
    """
    rates = {}
    bar = sorted(values)[int(_BEST * (len(values) - 1))] if values else 0.0
    for source in (guide, "statistical"):
        wins, losses = 1.0, 1.0
        for trial, value in zip(trials, values, strict=True):
            if trial.source == source:
                won = value <= bar and trial.score is not None
                wins = _MEMORY * wins + won
                losses = _MEMORY * losses + (not won)
        rates[source] = wins / (wins + losses)
    earned = rates[guide] / (rates[guide] + rates["statistical"])
    decayed = FLOOR + (earned - FLOOR) * 0.5 ** (len(trials) / _HALF_LIFE)
    return float(min(max(decayed, FLOOR), CEILING))
