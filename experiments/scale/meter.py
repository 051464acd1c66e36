"""Times every hook, in CPU seconds of the controller's thread and in wall seconds, by window."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]


class Meter:
    """Samples of one window: kind of call -> (CPU, wall) in microseconds."""

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[float, float]]] = {}

    def call(self, kind: str, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Do it and keep what it took."""
        wall, cpu = time.perf_counter(), time.thread_time()
        value = work(*arguments, **named)
        cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
        self._samples.setdefault(kind, []).append((1e6 * cpu, 1e6 * wall))
        return value

    def add(self, kind: str, *others: str) -> None:
        """Add a sample of ``kind``: the sum of the last samples of the others."""
        last = [self._samples[other][-1] for other in others if other in self._samples]
        total = tuple(sum(part) for part in zip(*last, strict=True))
        self._samples.setdefault(kind, []).append(total)  # type: ignore[arg-type]

    def rename(self, old: str, new: str) -> None:
        """Move the last sample to another kind."""
        self._samples.setdefault(new, []).append(self._samples[old].pop())

    def total(self, *kinds: str) -> tuple[float, float]:
        """Sums of all samples of these kinds: (CPU, wall) in microseconds."""
        samples = [sample for kind in kinds for sample in self._samples.get(kind, [])]
        return tuple(map(sum, zip(*samples, strict=True))) if samples else (0.0, 0.0)  # type: ignore[return-value]

    def count(self, kind: str) -> int:
        """How many samples of a kind there are."""
        return len(self._samples.get(kind, []))

    def take(self) -> Row:
        """Columns of this window, which ends: count, median, 99th percentile, maximum by kind."""
        row: Row = {}
        for kind, samples in sorted(self._samples.items()):
            if not samples:
                continue
            row[f"{kind}_n"] = len(samples)
            for place, clock in enumerate(("cpu", "wall")):
                values = np.array([sample[place] for sample in samples])
                row[f"{kind}_{clock}_mean_us"] = float(values.mean())
                row[f"{kind}_{clock}_median_us"] = float(np.median(values))
                row[f"{kind}_{clock}_p99_us"] = float(np.percentile(values, 99))
                row[f"{kind}_{clock}_max_us"] = float(values.max())
        self._samples.clear()
        return row


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def load() -> float:
    """The machine's load average over the last minute."""
    return os.getloadavg()[0]
