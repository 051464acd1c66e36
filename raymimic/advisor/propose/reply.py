"""From a model's text to proposals. A bad item costs only itself; a bad text is a `BadReply`."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from raymimic.advisor.propose.belief_reading import read_model_belief
from raymimic.errors import BadReply
from raymimic.llm import read_object
from raymimic.records import Advice, Proposal
from raymimic.space import SearchSpace

_RATIONALE_CHARS = 500
_DROPS_KEPT = 16  # a reply may hold thousands of items, and each drop is an event


def read_proposals(text: str, wanted: int, space: SearchSpace) -> Advice:
    """Return at most ``wanted`` proposals with raw configurations, what was dropped, the belief.

    Raises `BadReply` if the text is not the JSON object that was asked for, or holds no proposal.
    """
    reply = read_object(text)
    items = reply.get("proposals")
    if not isinstance(items, list) or not items:
        raise BadReply(
            'the reply must be {"proposals": [...]} with at least one proposal',
            status="no_proposals",
        )
    proposals: list[Proposal] = []
    drops: list[str] = []
    for index, item in enumerate(items, start=1):
        fault = _fault(item)
        if fault:
            drops.append(f"proposal {index}: {fault}")
        elif len(proposals) == wanted:
            drops.append(f"proposal {index}: more than the {wanted} asked for")
        else:
            proposals.append(_proposal(item))
    if len(drops) > _DROPS_KEPT:
        drops[_DROPS_KEPT:] = [f"and {len(drops) - _DROPS_KEPT} more"]
    belief, faults = read_model_belief(reply.get("belief"), space)
    return Advice(tuple(proposals), (*drops, *faults), belief=belief)


def _fault(item: Any) -> str:
    if not isinstance(item, dict):
        return f"must be an object, got {type(item).__name__}"
    if not isinstance(item.get("config"), dict):
        return f"needs a config object, got {type(item.get('config')).__name__}"
    return ""


def _proposal(item: dict[str, Any]) -> Proposal:
    rationale = item.get("rationale")
    return Proposal(
        config=item["config"],
        rationale=plain(rationale) if isinstance(rationale, str) else "",
        source="llm",
        expected=_finite(item.get("expected")),
    )


def _finite(value: Any) -> float | None:
    """An expectation that is no number is no expectation; it decides nothing."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def plain(text: str) -> str:
    """One line without control and direction characters: it is shown in terminals and prompts."""
    visible = "".join(
        " " if char in "\n\r\t" else char
        for char in text
        if char in "\n\r\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return " ".join(visible.split())[:_RATIONALE_CHARS]
