"""What a result must keep to, and how want of memory is told from other failures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from raymimic.errors import SpaceError
from raymimic.space.reading import brief

_LIMIT = re.compile(r"\s*(<=|>=|<|>)\s*(\S+)\s*")


@dataclass(frozen=True)
class Limit:
    """A number of the results that a trial must keep to: ``memory_gb <= 16``.

    It is known only once a trial has reported it; its last value counts, as the score's does.

    >>> from raymimic.feasibility import Limit
    >>> Limit("memory_gb", "<=", 16.0).keeps(21.3)
    False
    """

    metric: str
    sign: str
    bound: float

    @property
    def text(self) -> str:
        """The limit as people read it."""
        return f"{self.metric} {self.sign} {self.bound:.12g}"

    @property
    def below(self) -> bool:
        """Whether values must be below the bound, or else above it."""
        return self.sign.startswith("<")

    def keeps(self, value: float) -> bool:
        """Whether a value is within the limit; NaN is not."""
        if value == self.bound:
            return self.sign.endswith("=")
        return value < self.bound if self.below else value > self.bound

    def excess(self, value: float) -> float:
        """How far a value is beyond the bound; negative within it."""
        return value - self.bound if self.below else self.bound - value

    def to_json(self) -> list[str]:
        """As the ledger holds it."""
        return [self.metric, f"{self.sign} {self.bound!r}"]


@dataclass(frozen=True)
class Measured:
    """A limit and what a trial reported of it: ``value`` is None where it never did."""

    limit: Limit
    value: float | None

    @property
    def broken(self) -> bool:
        """Whether the trial is surely outside."""
        return self.value is not None and not self.limit.keeps(self.value)

    @property
    def text(self) -> str:
        """In words: "memory_gb <= 16: 21.3, over"."""
        if self.value is None:
            return f"{self.limit.text}: not reported"
        if not self.broken:
            return f"{self.limit.text}: {self.value:.4g}, kept"
        return f"{self.limit.text}: {self.value:.4g}, {'over' if self.limit.below else 'under'}"

    def to_json(self) -> dict[str, Any]:
        """As the ledger holds it; ``kept`` is null where nothing was reported."""
        kept = None if self.value is None else not self.broken
        return {"limit": self.limit.text, "value": self.value, "kept": kept}


def read_limits(raw: Mapping[Any, Any] | Iterable[Any]) -> tuple[Limit, ...]:
    """Read limits by metric, ``{"memory_gb": "<= 16"}``, or in pairs as `Limit.to_json` gives them.

    Raises `SpaceError` with the cure.

    >>> from raymimic.feasibility import read_limits
    >>> [limit.text for limit in read_limits({"memory_gb": "<= 16", "accuracy": "> .9"})]
    ['memory_gb <= 16', 'accuracy > 0.9']
    """
    pairs = raw.items() if isinstance(raw, Mapping) else raw
    return tuple(_limit(metric, told) for metric, told in pairs)


def _limit(metric: Any, told: Any) -> Limit:
    if not isinstance(metric, str) or not metric:
        raise SpaceError(f"a limit must name a metric of the results, got {brief(metric)}")
    found = _LIMIT.fullmatch(told) if isinstance(told, str) else None
    try:
        bound = float(found[2]) if found else math.nan
    except ValueError:
        bound = math.nan
    if found is None or not math.isfinite(bound):
        raise SpaceError(
            f"the limit of a result's metric must be <=, <, >= or > and a number, such as "
            f"{{{metric!r}: '<= 16'}}, got {brief(told)}"
        )
    return Limit(metric, found[1], bound)


# -- memory ----------------------------------------------------------------------------------------

OUT_OF_MEMORY = "ran out of memory"
DIED = "its process died, perhaps for want of memory"

# Python, torch, Ray ("OutOfMemoryError") and numpy ("_ArrayMemoryError"); CUDA, HIP, MPS, XPU;
# cuDNN and cuBLAS; XLA and TensorFlow; torch's CPU allocator; the C library and C++; Ray's memory
# monitor. A process ended by SIGKILL, as the kernel's OOM killer does it, in the words of
# subprocess, multiprocessing, torch's loader, the shell and Ray, which cannot tell why it died.
_OUT = re.compile(
    r"MemoryError\b|\bout of memory\b|_STATUS_ALLOC_FAILED|\bRESOURCE_EXHAUSTED\b"
    r"|ResourceExhaustedError|OOM when allocating|DefaultCPUAllocator|not enough memory"
    r"|[Cc]annot allocate memory|std::bad_alloc|NODE_OUT_OF_MEMORY|running low on memory",
    re.IGNORECASE,
)
_SIGKILL = re.compile(
    r"Signals\.SIGKILL|\bsignal:? Killed\b|killed by the OOM killer"
    r"|exit ?(?:code|status):? (?:-9|137)\b|return ?code:? -9\b",
    re.IGNORECASE,
)


def memory_failure(error: str) -> str:
    """Say that a trial failed for want of memory, "" where its error's text says something else.

    Lines of source code in a traceback are indented and count for nothing.

    >>> from raymimic.feasibility import memory_failure
    >>> memory_failure("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
    'ran out of memory'
    """
    told = "\n".join(line for line in error.splitlines() if not line[:1].isspace())
    if _OUT.search(told):
        return OUT_OF_MEMORY
    return DIED if _SIGKILL.search(told) else ""
