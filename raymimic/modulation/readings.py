"""From what a loop reports at an epoch's end to numbers, and to gaps where it reports none."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CLASS_ACCURACY = "class_accuracy"

_TRAINING = frozenset(("train", "training"))
_NOTES = frozenset(("epoch", "step", "mean", "avg"))


@dataclass(frozen=True)
class Readings:
    """An epoch's metrics as plain data.

    ``numbers`` are finite or infinite; ``gaps`` says in words what came instead of a number (NaN
    counts as such: an AUC of one class, a validation that did not run). ``loss`` says in words that
    the training loss is NaN or infinite; "" if it is not.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    gaps: Mapping[str, str] = field(default_factory=dict)
    by_class: tuple[float, ...] = ()
    loss: str = ""


def read(metrics: Mapping[str, Any], metric: str) -> Readings:
    """Read numbers, 0-d arrays and scalars of torch and JAX; whatever else is a gap.

    A judged ``metric`` that is not among them is one, too. What is no mapping holds no metrics.
    """
    numbers: dict[str, float] = {}
    gaps: dict[str, str] = {}
    by_class: tuple[float, ...] = ()
    loss = ""
    for key, value in _items(metrics):
        name = _text(key)
        if name == CLASS_ACCURACY:
            by_class = _by_class(value)
            continue
        number = _number(value)
        if number is None:
            gaps[name] = f"{type(value).__name__} {_text(value)[:40]!r}"
        elif math.isnan(number):
            gaps[name] = "NaN"
        else:
            numbers[name] = number
        if number is not None and not math.isfinite(number) and is_training_loss(name):
            loss = f"{name} is {number}"
    if metric not in numbers and metric not in gaps:
        gaps[metric] = f"nothing (there were {', '.join([*numbers, *gaps]) or 'no metrics'})"
    return Readings(numbers, gaps, by_class, loss)


def _items(metrics: Any) -> list[tuple[Any, Any]]:
    try:
        return list(metrics.items()) if isinstance(metrics, Mapping) else []
    except Exception:  # noqa: BLE001 - a mapping of the user's that reads from elsewhere
        return []


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - any object of the user's, and this is told about a gap
        return "without a text"


def is_training_loss(name: str) -> bool:
    """Whether a metric's name says so: "train_loss", "loss", "loss/train", not "val_loss"."""
    words = set(re.split(r"[^a-z]+", str(name).lower())) - _NOTES - {""}
    return words == {"loss"} or ("loss" in words and bool(words & _TRAINING))


def _by_class(values: Any) -> tuple[float, ...]:
    try:
        read_values = [_number(value) for value in values]
    except TypeError:
        return ()
    known = [value for value in read_values if value is not None and math.isfinite(value)]
    return tuple(known) if len(known) == len(read_values) else ()


def _number(value: Any) -> float | None:
    if isinstance(value, (str, bytes)) or value is np.ma.masked:  # which reads itself as 0
        return None
    try:
        value = value.detach() if hasattr(value, "detach") else value
        return float(value.item() if hasattr(value, "item") else value)
    except Exception:  # noqa: BLE001 - any object of the user's; that it is no number is told
        return None
