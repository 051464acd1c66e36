"""The contract of an operator that asks a model: evidence in, a question out.

An operator says which blocks it can work on (`blocks`), chooses its details (`choose`) and writes
the question (`question`); the reply is always a new text for that one block and the reason for it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from raymimic.evolution.gates import Rejection
from raymimic.evolution.individuals import Individual
from raymimic.evolution.objectives import scored
from raymimic.evolution.program import Program
from raymimic.records import Objective


@dataclass(frozen=True)
class Known:
    """A snapshot of the evolution, for operators: they work while the search goes on.

    ``elites`` are the best individuals, ``individuals`` all by number; ``setting`` says in words
    what they are trained on, and how long.
    """

    seed: Program
    objectives: tuple[Objective, ...]
    individuals: Mapping[int, Individual]
    elites: tuple[int, ...]
    rejections: tuple[tuple[str, Rejection], ...] = ()
    identities: frozenset[str] = frozenset()
    setting: str = ""

    def edit(self, number: int) -> tuple[Individual, str] | None:
        """The measured parent of an individual and the one block in which they differ.

        None for the seed, for an individual of several edits, and where no parent was measured.
        """
        one = self.individuals[number]
        before = self.individuals.get(one.parents[0]) if one.parents else None
        if before is None or not scored([before], self.objectives):
            return None
        changed = before.program.changed(one.program)
        return (before, changed[0]) if len(changed) == 1 else None


@dataclass(frozen=True)
class Task:
    """One edit to ask for: of ``block`` in ``program``, which descends from ``parents``."""

    known: Known
    program: Program
    block: str
    parents: tuple[int, ...]
    detail: Mapping[str, Any]


class Operator(Protocol):
    """One way of asking a model for a changed block. Stateless."""

    def choose(
        self, known: Known, parents: tuple[int, ...], rng: random.Random
    ) -> tuple[str, dict[str, Any]] | None:
        """A block to change and the details of how; None where there is nothing to work on."""

    def question(self, task: Task) -> str:
        """What to ask, beside the block and the rules, which every question has."""
