"""The records of an evolution: what was planned, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from raymimic.evolution.program import Program

Status = Literal["waiting", "running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Step:
    """One edit of a plan: an operator (a name in `operators.OPERATORS`) on one block.

    ``detail`` is the operator's own: its intent, its persona, the individual it learns from.
    """

    operator: str
    block: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How a child is to be made: ``steps``, one after the other, on the first of ``parents``."""

    id: int
    parents: tuple[int, ...]
    steps: tuple[Step, ...]
    generation: int = 0

    @property
    def operator(self) -> str:
        """The operators' names, for tables ("crossover+role play")."""
        return "+".join(step.operator for step in self.steps)


@dataclass(frozen=True)
class Individual:
    """One program of the population; number 0 is the seed.

    ``values`` are the metrics of its last result, ``curve`` the first objective by epoch, ``error``
    why it failed. ``operator`` made it from ``parents`` (the first is the one that was changed).
    """

    id: int
    source: str
    operator: str = "seed"
    parents: tuple[int, ...] = ()
    blocks: tuple[str, ...] = ()
    rationale: str = ""
    repaired: bool = False
    generation: int = 0
    status: Status = "waiting"
    trial_id: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[float, ...] = ()
    error: str = ""
    seconds: float = 0.0
    test_predictions: str | None = None

    @cached_property
    def program(self) -> Program:
        """The source, cut into blocks."""
        return Program.parse(self.source)
