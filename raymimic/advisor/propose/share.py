"""How large a share of the trials the model has earned, from how its proposals did."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def earned_share(
    trials: Sequence[TrialRecord], values: Sequence[float], model: Source = "llm"
) -> float:
    """Give the model's share of the next trials, between `LEAST` and `MOST`; half at first.

    ``values`` are the trials' `standings` (lower is better), ``model`` the source of its proposals.
    The share's odds are those of a win of the model over those of the statistical proposer: ten
    wins in a row make .95, ten losses .05. A trial that failed, or broke a limit, has lost. What a
    model thinks of its own proposals counts for nothing.
    """
    odds = 1.0
    bar = sorted(values)[int(_BEST * (len(values) - 1))] if values else 0.0
    for source, power in ((model, 1.0), ("statistical", -1.0)):
        wins = losses = 0.0
        for trial, value in zip(trials, values, strict=True):
            if trial.source == source:
                won = value <= bar and value < math.inf
                wins, losses = _MEMORY * wins + won, _MEMORY * losses + (not won)
        odds *= ((wins + _UNKNOWN) / (losses + _UNKNOWN)) ** power
    return min(max(odds / (1.0 + odds), LEAST), MOST)
