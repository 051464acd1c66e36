"""Which fields an event must have for anybody to use it, and of which types.

A ledger may be cut, edited, or written by another version: what its readers take by name is checked
once, here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NUMBER = (int, float, str, type(None))  # non-finite ones are written as text
_MAYBE = (dict, type(None))

_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "search": {"metric": str, "mode": str, "advisor": str, "space": dict},
    "lessons": {"name": str, "text": str},
    "wish": {"number": int, "text": str, "who": str, "outcome": str, "answer": str,
             "restrictions": list},
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


def is_sound(row: Mapping[str, Any]) -> bool:
    """Whether an event has the fields that its readers need; kinds that are not known pass."""
    for name, kinds in _FIELDS.get(row["event"], {}).items():
        value = row.get(name, row)  # the row itself is of none of the types
        if value is row or not isinstance(value, kinds):
            return False
        if kinds is _NUMBER and not _is_number(value):
            return False
    return isinstance(row.get("t", 0), (int, float))


def _is_number(value: Any) -> bool:
    try:
        return value is None or float(value) is not None
    except (ValueError, OverflowError):
        return False
