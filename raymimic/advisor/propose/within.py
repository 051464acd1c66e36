"""Keeps first guesses and candidates of the statistical proposer within a space's restrictions."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from raymimic.advisor.belief.axes import Axis, Floats, axes_of, units_of
from raymimic.advisor.belief.lesson_guesses import Guess
from raymimic.space import SearchSpace

_ADDED = 100
"""Candidates drawn within the restrictions, beside those drawn without a look at them."""


def moved(guesses: Iterable[Guess], space: SearchSpace) -> Iterator[Guess]:
    """Give guesses within the restrictions: what is outside is moved, and the reason says so."""
    axes = axes_of(space) if space.restrictions else ()
    for guess in guesses:
        broken = space.refusal(guess.config)
        if not broken:
            yield guess
            continue
        config = space.nearest(guess.config)
        changes = [
            f"{axis.name} {axis.show(guess.config[axis.name])} -> {axis.show(config[axis.name])}"
            for axis in axes
            if axis.name in guess.config
            and axis.name in config
            and not axis.same(guess.config[axis.name], config[axis.name])
        ]
        reason = f"{guess.reason}; moved to what you allow ({broken}): {', '.join(changes)}"
        yield replace(guess, config=config, reason=reason)


class Within:
    """Draws candidates within a space's restrictions, in coordinates of its axes."""

    def __init__(self, space: SearchSpace, axes: Sequence[Axis], seed: int) -> None:
        self._space, self._axes, self._rng = space, axes, random.Random(seed)

    def more(self, units: Floats) -> Floats:
        """Give the rows and, where the space is restricted, some that are surely within."""
        if not self._space.restrictions:
            return units
        configs = [self._space.sample(self._rng) for _ in range(_ADDED)]
        return np.vstack([units, units_of(self._axes, configs)])
