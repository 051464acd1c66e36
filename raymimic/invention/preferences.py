"""Pairs of a better and a worse program, from which a generator learns (Ishibashi et al., 2025)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from raymimic.invention.records import Invented


@dataclass(frozen=True)
class Pairing:
    """Which programs are chosen and which rejected.

    ``top`` and ``bottom`` are shares of an iteration's programs, as published; with few programs
    at least ``least`` of each are taken, though never more than a third. The ``kept`` best of each
    earlier iteration stay among the chosen.

    >>> from raymimic import Pairing
    >>> Pairing(least=(2, 4)).top
    0.03
    """

    top: float = 0.03
    bottom: float = 0.10
    least: tuple[int, int] = (4, 8)
    kept: int = 3

    def __post_init__(self) -> None:
        if not (0 < self.top < 1 and 0 < self.bottom < 1):
            raise ValueError(f"top and bottom must be shares between 0 and 1, got {self}")

    def pairs(
        self, programs: Sequence[Invented], iteration: int
    ) -> list[tuple[Invented, Invented]]:
        """(chosen, rejected) of all scored programs up to ``iteration``.

        Programs whose scores differ by less than one standard error of either make no pair.
        """
        done = [one for one in programs if one.status == "done"]
        now = _ranked([one for one in done if one.iteration == iteration])
        if len(now) < 2:
            return []
        most = max(1, len(now) // 3)
        chosen = now[: min(most, max(math.ceil(self.top * len(now)), self.least[0]))]
        rejected = now[-min(most, max(math.ceil(self.bottom * len(now)), self.least[1])) :]
        for earlier in range(1, iteration):
            chosen += _ranked([one for one in done if one.iteration == earlier])[: self.kept]
        return [
            (good, bad)
            for good in chosen
            for bad in rejected
            if good.rank - bad.rank > max(good.error_of_score, bad.error_of_score)
        ]


def _ranked(programs: Sequence[Invented]) -> list[Invented]:
    return sorted(programs, key=lambda one: (-one.rank, one.number))
