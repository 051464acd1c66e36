"""Training functions that return their result at the end, as neuropt's ``train_fn`` does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ray import tune

from raymimic.errors import RaymimicError
from raymimic.tune.results import number_of

SCORE = "score"
"""What a returned bare number is called."""


def reporting(train_fn: Callable[[dict[str, Any]], Any], metric: str) -> Callable[..., None]:
    """Return a function for Tune that reports what ``train_fn(config)`` returns, epoch by epoch.

    Lists of numbers become epochs, everything else stands in the last one, see `epochs_of`. A
    ``status`` other than "ok" ends the trial as failed, with ``error`` as the reason.
    """

    def trainable(config: dict[str, Any]) -> None:
        returned = train_fn(config)
        if returned is None:
            raise RaymimicError(f"{train_fn.__name__} must return a number or a dict, got None")
        for row in epochs_of(returned, metric):
            tune.report(row)

    return trainable


def epochs_of(returned: Any, metric: str) -> list[dict[str, Any]]:
    """The reports that a returned number or dict amounts to; raises `RaymimicError` if it is none.

    The metric stands in the earlier epochs, too, where a curve ends in it (then it is that curve)
    or has it as its smallest or largest value (then it is the best up to that epoch).
    """
    if (alone := number_of(returned)) is not None:
        return [{metric: alone}]
    if not isinstance(returned, Mapping):
        raise RaymimicError(
            f"a training function must return a number or a dict, got {type(returned).__name__}"
        )
    if returned.get("status", "ok") != "ok":
        raise RaymimicError(f"{returned['status']}: {returned.get('error', 'no reason given')}")
    curves = {name: curve for name, value in returned.items() if (curve := _curve(value))}
    plain = {name: value for name, value in returned.items() if name not in curves}
    if metric in curves:
        plain[metric] = curves[metric][-1]
    elif number_of(plain.get(metric)) is None:
        raise RaymimicError(
            f"a training function must return the metric {metric!r} as a number; it returned "
            f"{', '.join(map(repr, returned)) or 'an empty dict'}"
        )
    length = max(map(len, curves.values()), default=1)
    rows: list[dict[str, Any]] = [
        {name: curve[epoch] for name, curve in curves.items() if epoch < len(curve)}
        for epoch in range(length)
    ]
    for row, value in zip(rows, _so_far(curves, number_of(plain[metric]), length), strict=False):
        row.setdefault(metric, value)
    rows[-1] |= plain
    return rows


def _curve(value: Any) -> list[float] | None:
    if not isinstance(value, (list, tuple)) or not value:
        return None
    numbers = [number for one in value if (number := number_of(one)) is not None]
    return numbers if len(numbers) == len(value) else None


def _so_far(curves: Mapping[str, list[float]], score: float | None, length: int) -> list[float]:
    """The metric after each epoch, empty where no curve is its own."""
    if score is None or not math.isfinite(score):
        return []
    whole = [curve for curve in curves.values() if len(curve) == length]
    for curve in whole:
        if curve[-1] == score:
            return curve
    for best in (min, max):
        for curve in whole:
            if best(curve) == score:
                return [best(curve[: epoch + 1]) for epoch in range(length)]
    return []
