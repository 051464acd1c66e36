"""Repair: a child that failed a gate goes back once, with what was wrong."""

from __future__ import annotations

from raymimic.evolution.gates import Rejection
from raymimic.foreign import quote

_ERROR_CHARS = 2000


def repair_question(rejection: Rejection) -> str:
    """What to ask about the block that failed; the block itself is shown as in every question."""
    shown = rejection.reason[-_ERROR_CHARS:]
    return (
        f"The block below is an edit that failed ({rejection.gate}): {quote(shown)}\n"
        "Mend it: keep the idea of the edit, remove the fault."
    )
