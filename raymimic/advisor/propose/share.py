"""How large a share of the trials the model has earned, from how its proposals did."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import betainc, betaincinv

from raymimic.advisor.base import TrialRecord
from raymimic.records import Source

LEAST, MOST = 0.05, 0.95
"""Bounds of the model's share, so that neither side is shut out: who failed may come back."""

_BEST = 1 / 3
"""A trial wins if it is among the best third of all trials so far: measured against the trials
before it alone, a model that goes from terrible to bad would win every time."""

_MEMORY = 0.95
"""What an outcome counts for after each later one of the same side."""

_UNKNOWN = 0.5
"""Wins and losses that each side begins with (Jeffreys' prior of a rate)."""

_QUANTILES = (np.arange(200) + 0.5) / 200


def earned_share(
    trials: Sequence[TrialRecord], values: Sequence[float], model: Source = "llm"
) -> float:
    """Give the model's share of the next trials, between `LEAST` and `MOST`; half at first.

    ``values`` are the trials' `standings` (lower is better), ``model`` the source of its proposals.
    The share is the probability that the model's proposals win more often than the statistical
    proposer's, each rate having a beta posterior (Thompson 1933, "On the likelihood that one
    unknown probability exceeds another"). A trial that failed, or broke a limit, has lost. What a
    model thinks of its own proposals counts for nothing.
    """
    bar = sorted(values)[int(_BEST * (len(values) - 1))] if values else 0.0
    ours, theirs = (_posterior(trials, values, bar, side) for side in (model, "statistical"))
    share = float(betainc(*theirs, betaincinv(*ours, _QUANTILES)).mean())
    return min(max(share, LEAST), MOST)


def _posterior(
    trials: Sequence[TrialRecord], values: Sequence[float], bar: float, source: str
) -> tuple[float, float]:
    """Give the two parameters of the beta posterior of a side's rate of wins."""
    wins = losses = 0.0
    for trial, value in zip(trials, values, strict=True):
        if trial.source == source:
            won = value <= bar and value < math.inf
            wins, losses = _MEMORY * wins + won, _MEMORY * losses + (not won)
    return wins + _UNKNOWN, losses + _UNKNOWN
