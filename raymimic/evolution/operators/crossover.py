"""Crossover: one block of two parents made into one, in the first parent.

Both directions are tried where a plan asks for both (a with b, b with a): the rest of the program
differs. The result goes into the very block it was made from.
"""

from __future__ import annotations

import random
from typing import Any

from raymimic.evolution.operators.base import Known, Task
from raymimic.evolution.operators.text import code, measured

_WISHES = (
    "How can the predictive metrics be raised by uniting elements of these two alternatives?",
    "How can accuracy for each parameter be raised by uniting elements of these two alternatives?",
)


class Crossover:
    """A block in which two parents differ."""

    def choose(
        self, known: Known, parents: tuple[int, ...], rng: random.Random
    ) -> tuple[str, dict[str, Any]] | None:
        """A block in which the parents differ, and one of two wishes."""
        if len(parents) < 2:
            return None
        first, second = (known.individuals[number].program for number in parents[:2])
        changed = first.changed(second)
        return (rng.choice(changed), {"wish": rng.randrange(len(_WISHES))}) if changed else None

    def question(self, task: Task) -> str:
        """The other parent's block, both parents' metrics and the wish."""
        known = task.known
        first, second = (known.individuals[number] for number in task.parents[:2])
        return "\n".join(
            [
                "Another program of the population has this alternative for the block below:",
                code(second.program.blocks[task.block]),
                f"Its program: {measured(second, known.objectives)}. "
                f"The program of the block below: {measured(first, known.objectives)}.",
                f"{_WISHES[task.detail['wish']]} Write the united block.",
            ]
        )
