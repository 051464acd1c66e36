"""Reads Tune's result dictionaries: which entries are the user's metrics, and which epoch it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from ray.tune.result import AUTO_RESULT_KEYS, DEBUG_METRICS, DEFAULT_METRIC

ANONYMOUS_METRIC = DEFAULT_METRIC
"""The metric's name when a trainable reports a bare number."""

# What Tune adds to every result by itself: no learning curves.
_BOOKKEEPING = {*AUTO_RESULT_KEYS, *DEBUG_METRICS, "done", "experiment_tag", "should_checkpoint"}


def metrics_of(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the user's numbers of one result, nested names joined by "/"; NaN and inf stay."""
    return dict(_numbers(result, ""))


def _numbers(result: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in result.items():
        name = f"{prefix}{key}"
        if name in _BOOKKEEPING or name.startswith(("config/", "raymimic/")):
            continue
        if isinstance(value, Real):  # numpy's scalars are Real, too
            yield name, float(value)
        elif isinstance(value, Mapping):
            yield from _numbers(value, f"{name}/")


def epoch_of(result: Mapping[str, Any]) -> int | None:
    """Return the number of reports so far in this trial, where Tune says it."""
    epoch = result.get("training_iteration")
    return int(float(epoch)) if isinstance(epoch, Real) else None


def seconds_of(result: Mapping[str, Any]) -> float:
    """Return how long the trial has trained, over all its restarts; 0 where Tune does not say."""
    seconds = result.get("time_total_s")
    return float(seconds) if isinstance(seconds, Real) else 0.0


def restarted(result: Mapping[str, Any]) -> bool:
    """Whether the trial has just been started anew (a retry or a restore): Tune says no more."""
    return bool(result.get("iterations_since_restore") == 1)


def config_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that a result carries, nested or as flat "a/b" names."""
    nested = result.get("config")
    if isinstance(nested, Mapping):
        return dict(nested)
    return {key[7:]: value for key, value in result.items() if key.startswith("config/")}
