"""What `LLMSearcher` may be given, and what Tune says of the run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from numbers import Integral, Real
from typing import Any

from ray.tune.search import UNDEFINED_METRIC_MODE, UNDEFINED_SEARCH_SPACE

from raymimic.tune.results import TIME_ATTR

MOST_INSTRUCTION = 100_000


def check_arguments(
    batch_size: int | None,
    timeout: float,
    patience: float | None,
    instruction: str,
    seed: int | None,
) -> None:
    """Raise ValueError for arguments that cannot work."""
    if not isinstance(instruction, str) or len(instruction) > MOST_INSTRUCTION:
        came = f"{len(instruction):,}" if isinstance(instruction, str) else type(instruction)
        raise ValueError(
            f"instruction must be text of at most {MOST_INSTRUCTION:,} characters, got {came}: it "
            "goes into every question and checkpoint"
        )
    if batch_size is not None and not (isinstance(batch_size, Integral) and batch_size >= 1):
        raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    if seed is not None and not isinstance(seed, Integral):
        raise ValueError(f"seed must be a whole number or None, got {seed!r:.100}")
    # Written so that NaN fails, too.
    good = isinstance(timeout, Real) and timeout > 0
    if not good or not (patience is None or (isinstance(patience, Real) and patience >= 0)):
        raise ValueError(
            f"timeout must be above 0 s and patience at least 0 s, got {timeout=}, {patience=}"
        )


def check_told(name: str, space: Any, metric: str | None, mode: str | None) -> None:
    """Raise RuntimeError, as Tune's own searchers do, where neither user nor Tune has told all."""
    if space is None:
        raise RuntimeError(UNDEFINED_SEARCH_SPACE.format(cls=name, space="space"))
    if mode is None:
        raise RuntimeError(UNDEFINED_METRIC_MODE.format(cls=name, metric=metric, mode=mode))


def most_epochs(spec: Mapping[str, Any]) -> int | None:
    """Return how many reports Tune lets a training make, None where no stop criterion says so."""
    stop = spec.get("stop")
    most = stop.get(TIME_ATTR) if isinstance(stop, Mapping) else None
    return most if isinstance(most, int) and most > 1 else None


def budget_seconds(spec: Mapping[str, Any]) -> float | None:
    """Return the seconds that Tune lets the run take, None without a limit."""
    limit = spec.get("time_budget_s")
    return limit.total_seconds() if isinstance(limit, timedelta) else limit
