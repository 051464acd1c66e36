"""The records of an invention: one program and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raymimic.evolution.program import Program
from raymimic.invention.template import FUNCTION

Status = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Invented:
    """One program. ``origin`` is "reference: NAME", "llm" or "random".

    ``score`` and ``error_of_score`` (its standard error, 0 if unknown) are those of the dev data;
    ``error`` says why it failed.
    """

    number: int
    iteration: int
    source: str
    origin: str
    rationale: str = ""
    status: Status = "waiting"
    trial_id: str | None = None
    score: float = float("nan")
    error_of_score: float = 0.0
    error: str = ""
    seconds: float = 0.0
    better: int = 1  # -1 where less is better

    @property
    def code(self) -> str:
        """The text of the function with its helpers."""
        return Program.parse(self.source).blocks[FUNCTION].strip("\n") + "\n"

    @property
    def rank(self) -> float:
        """The score, turned so that more is better."""
        return self.better * self.score
