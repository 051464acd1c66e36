"""Reading what a model or a user wrote: numbers out of JSON values, short texts for messages."""

from __future__ import annotations

import math
import numbers
from typing import Any

from raymimic.errors import ConfigError

Notes = tuple[str, ...]


def brief(value: Any, limit: int = 80) -> str:
    """``repr(value)`` cut to ``limit`` characters, for messages."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the user's own class, or an integer of 4,300 digits
        return f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def read_number(raw: Any) -> tuple[int | float, Notes]:
    """The finite Python int or float that ``raw`` means, and what had to be mended.

    Numpy scalars become Python numbers. Text that spells a number is read, with a note.
    A bool is not a number. Raises `ConfigError`.
    """
    notes: Notes = ()
    number = _from_text(raw) if isinstance(raw, str) else raw
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise ConfigError([f"must be a number, got {brief(raw)}"])
    if number is not raw:
        notes = (f"{brief(raw)} read as a number",)
    if not is_finite(number):
        raise ConfigError([f"must be a finite number, got {brief(raw)}"])
    return int(number) if isinstance(number, numbers.Integral) else float(number), notes


def is_finite(number: numbers.Real) -> bool:
    """Whether the number is finite and fits into a float."""
    try:
        return math.isfinite(float(number))
    except OverflowError:  # an integer beyond 1.8e308
        return False


def _from_text(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
