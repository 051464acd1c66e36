"""The lines of a ledger, and what an event must have for anybody to use it.

A ledger may be cut, edited, or written by another version: what its readers take by name is checked
once, here.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from raymimic.errors import LedgerError

LAYOUT = 1
"""Of a ledger's events, in each search event. Whoever changes what a field means counts it up."""

_LONGEST_LINE = 1 << 26  # bytes; a curve of a million values has some twenty million

_NUMBER = (int, float, str, type(None))  # non-finite ones are written as text
_MAYBE = (dict, type(None))
_COUNT = (int, type(None))

_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "search": {"metric": str, "mode": str, "advisor": str, "space": dict, "t": (int, float)},
    "lessons": {"name": str, "text": str},
    "belief": {"who": str, "places": dict},
    "wish": {
        "number": int, "text": str, "who": str, "outcome": str, "answer": str, "restrictions": list,
    },
    "proposal": {
        "id": int, "config": dict, "source": str, "rationale": str, "expected": _NUMBER,
        "repairs": list, "made_from": int,
    },
    "drop": {"reason": str, "text": str},
    "fallback": {"reason": str},
    "start": {"trial_id": str, "proposal": int},
    "outcome": {"trial_id": str, "status": str, "score": _NUMBER, "curve": _MAYBE},
    "evaluated": {
        "trial_id": str, "status": str, "score": _NUMBER, "config": dict, "rationale": str,
        "curve": _MAYBE,
    },
    "lost": {"trial_id": str},
    "unfinished": {"trial_id": str, "score": _NUMBER, "epochs": int, "curve": _MAYBE},
    "error": {"trial_id": str, "text": str},
    "asked": {"n": int, "tokens": int, "usd": _NUMBER},
    "call": {"status": str, "tokens_in": int, "tokens_out": int, "cost": _NUMBER},
    "stop": {"kind": str},
    "judgement": {"action": str, "outcome": str},
    "unjudged": {"reason": str},
    "clone": {"source": str},
    "fault": {"hook": str},
}  # fmt: skip

# What a search's event need not have; what it has is of this type.
_OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "trials_total": _COUNT, "seconds_total": (int, float, type(None)), "concurrency": _COUNT,
    "batch": int, "seed": int, "instruction": str, "task": str, "epochs": int, "search": str,
    "limits": list,
}  # fmt: skip


def is_sound(row: Mapping[str, Any]) -> bool:
    """Whether an event has the fields that its readers need; kinds that are not known pass."""
    for name, kinds in _FIELDS.get(row["event"], {}).items():
        value = row.get(name, row)  # the row itself is of none of the types
        if value is row or not isinstance(value, kinds):
            return False
        if kinds is _NUMBER and not _is_number(value):
            return False
    if row["event"] == "search" and not all(
        isinstance(row.get(name), kinds) for name, kinds in _OPTIONAL.items() if name in row
    ):
        return False
    return isinstance(row.get("t", 0), (int, float)) and math.isfinite(row.get("t", 0))


def _is_number(value: Any) -> bool:
    try:
        return value is None or float(value) is not None
    except (ValueError, OverflowError):
        return False


def lines_of(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """A file's lines; one that no event of ours reaches in length comes in pieces.

    Raises OSError for what is no regular file: a device or a pipe may never end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "it is no regular file")
    with open(path, "rb") as file:
        yield from iter(partial(file.readline, _LONGEST_LINE), b"")


def require_layout(search: Mapping[str, Any]) -> None:
    """Raise `LedgerError` if a search event is of another layout than ours."""
    if search.get("layout", LAYOUT) != LAYOUT:
        raise LedgerError(
            f"a ledger must have layout {LAYOUT}, got {search['layout']!r:.100}: another version "
            "of raymimic wrote it; read or restore it with that one, or move it away to go on from "
            "a checkpoint alone"
        )
