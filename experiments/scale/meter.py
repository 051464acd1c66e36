"""Times every hook, in CPU seconds of the controller's thread and in wall seconds, by window."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]


class Samples:
    """CPU and wall microseconds of one kind of call, as plain numbers: no objects to collect."""

    def __init__(self) -> None:
        self.cpu, self.wall = array("d"), array("d")

    def add(self, cpu: float, wall: float) -> None:
        self.cpu.append(cpu)
        self.wall.append(wall)


class Meter:
    """Samples of one window by kind of call."""

    def __init__(self) -> None:
        self._samples: dict[str, Samples] = {}

    def _of(self, kind: str) -> Samples:
        return self._samples.setdefault(kind, Samples())

    def call(self, kind: str, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Do it and keep what it took."""
        wall, cpu = time.perf_counter(), time.thread_time()
        value = work(*arguments, **named)
        cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
        self._of(kind).add(1e6 * cpu, 1e6 * wall)
        return value

    def add(self, kind: str, *others: str) -> None:
        """Add a sample of ``kind``: the sum of the last samples of the others."""
        last = [self._of(other) for other in others]
        self._of(kind).add(sum(one.cpu[-1] for one in last), sum(one.wall[-1] for one in last))

    def rename(self, old: str, new: str) -> None:
        """Move the last sample to another kind."""
        samples = self._of(old)
        self._of(new).add(samples.cpu.pop(), samples.wall.pop())

    def total(self, *kinds: str) -> tuple[float, float]:
        """Sums of all samples of these kinds: (CPU, wall) in microseconds."""
        parts = [self._of(kind) for kind in kinds]
        return sum(sum(part.cpu) for part in parts), sum(sum(part.wall) for part in parts)

    def count(self, kind: str) -> int:
        """How many samples of a kind there are."""
        return len(self._of(kind).cpu)

    def take(self) -> Row:
        """Columns of this window, which ends: count, mean, median, p99 and maximum by kind."""
        row: Row = {}
        for kind, samples in sorted(self._samples.items()):
            if not samples.cpu:
                continue
            row[f"{kind}_n"] = len(samples.cpu)
            for clock, found in (("cpu", samples.cpu), ("wall", samples.wall)):
                values = np.array(found)
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
