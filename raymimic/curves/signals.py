"""What a diagnosis says: signals with their onset and their reason in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SignalKind = Literal[
    "overfitting",
    "underfitting",
    "diverged",
    "oscillating",
    "plateau",
    "slow_start",
    "improving",
    "ceiling",
    "stuck",
]


@dataclass(frozen=True)
class Signal:
    """One finding; ``onset`` is the epoch since which it holds, None where it has none.

    >>> from raymimic import Diagnosis, Signal
    >>> "plateau" in Diagnosis((Signal("plateau", 12, "flat since epoch 12"),))
    True
    """

    kind: SignalKind
    onset: int | None
    text: str


@dataclass(frozen=True)
class Diagnosis:
    """The signals of one curve, most important first; empty if nothing is clear.

    >>> from raymimic import Diagnosis
    >>> Diagnosis().text
    'no clear signal'
    """

    signals: tuple[Signal, ...] = ()
    few: bool = field(default=False, compare=False)
    """Whether the curve is too short for most signals to show."""

    @property
    def kinds(self) -> frozenset[SignalKind]:
        """The kinds of all signals."""
        return frozenset(signal.kind for signal in self.signals)

    @property
    def primary(self) -> Signal | None:
        """The most important signal, if any."""
        return self.signals[0] if self.signals else None

    @property
    def text(self) -> str:
        """All signals in words, or that there is none."""
        none = "too few epochs to tell" if self.few else "no clear signal"
        return "; ".join(signal.text for signal in self.signals) or none

    def __contains__(self, kind: object) -> bool:
        return any(signal.kind == kind for signal in self.signals)
