"""What a candidate program may use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one evaluation; beyond any of them the candidate is ended.

    ``seconds`` of wall time for all of its epochs, ``memory`` in bytes beyond what the interpreter
    with torch takes, ``disk`` in bytes within its own folder, ``threads`` that torch computes with.
    """

    seconds: float = 900.0
    memory: int = 4096 * MIB
    disk: int = 256 * MIB
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.seconds, self.memory, self.disk, self.threads) <= 0:
            raise ValueError(f"every limit must be above 0, got {self}")

    def to_json(self) -> dict[str, Any]:
        """The limits as plain JSON data."""
        return asdict(self)
