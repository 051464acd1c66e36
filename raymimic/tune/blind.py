"""A run that does not report its metric, or what it limits, is told so after its first trial."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raymimic.curves import Curve
from raymimic.feasibility import Limit
from raymimic.space.reading import brief
from raymimic.tune.results import is_added

logger = logging.getLogger(__name__)


class FirstScore:
    """Looks at the first trial that ended with a result, and warns of what it did not report."""

    def __init__(self) -> None:
        self._looked = False

    def look(
        self,
        metrics: Iterable[str],
        curve: Curve | None,
        result: Mapping[str, Any],
        limits: Iterable[Limit] = (),
    ) -> None:
        """A trial ended with this curve and last result; a value of NaN is one that was read.

        ``metrics`` are those that the run optimises, ``limits`` what it limits.
        """
        if self._looked or not result:
            return
        self._looked = True
        for limit in limits:
            if not _is_in(curve, limit.metric):
                logger.warning(
                    "raymimic: the limit %s cannot be told from the first ended trial, and a trial "
                    "that does not report it counts as keeping it: %s",
                    limit.text,
                    _unread(result, limit.metric),
                )
        for metric in metrics:
            if not _is_in(curve, metric):
                logger.warning(
                    "raymimic: the metric could not be read in the first ended trial, and without "
                    "it the run is blind: %s",
                    _unread(result, metric),
                )


def _is_in(curve: Curve | None, metric: str) -> bool:
    return curve is not None and any(True for _ in curve.reported(metric))


def _unread(result: Mapping[str, Any], metric: str) -> str:
    """Say why a result has no value of the metric: what came in its place, and the cure."""
    flat = dict(_leaves(result, ""))
    if metric in flat:
        value = flat[metric]
        return (
            f"{metric!r} came as {type(value).__name__} ({brief(value, 60)}), which is no single "
            "number; report float(...) of it"
        )
    there = [name for name in flat if not is_added(name)]
    named = ", ".join(map(repr, there[:8])) or "nothing"
    more = f" and {len(there) - 8} more" if len(there) > 8 else ""
    return (
        f"{metric!r} was not reported; what came is {named}{more}: report it, or name one of these "
        "instead"
    )


def _leaves(result: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in result.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value
