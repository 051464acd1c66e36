"""How an invention goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from raymimic.evolution.purse import Budget
from raymimic.invention.preferences import Pairing

Learn = Literal["dpo", "elites", "none"]
"""What an iteration teaches the next one's generator."""


@dataclass(frozen=True)
class Settings:
    """The settings of an `Invention`, as in `SelfDevelopingSearch`."""

    iterations: int = 3
    programs: int = 48
    learn: Learn = "elites"
    elites: int = 3
    temperatures: tuple[float, float] = (1.2, 0.2)
    pairing: Pairing = field(default_factory=Pairing)
    budget: Budget = field(default_factory=Budget)
    timeout: float = 60.0
    seed: int = 0

    def temperature(self, iteration: int) -> float:
        """Of a local generator: 1.2, then falling to .85 in the third iteration, as published."""
        first, decay = self.temperatures
        return first / (1 + decay * (iteration - 1))
