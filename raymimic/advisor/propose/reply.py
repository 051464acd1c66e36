"""From a model's text to proposals. A bad item costs only itself; a bad text is a `BadReply`."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import replace
from typing import Any

from raymimic.advisor.belief.reading import read_model_belief
from raymimic.errors import BadReply
from raymimic.llm import read_reply, unquoted
from raymimic.records import Advice, Proposal
from raymimic.space import SearchSpace

_RATIONALE_CHARS = 500
_DROPS_KEPT = 16  # a reply may hold thousands of items, and each drop is an event


def read_proposals(
    text: str, wanted: int, space: SearchSpace, repairs: list[str] | None = None
) -> Advice:
    """Return at most ``wanted`` proposals with raw configurations, what was dropped, the belief.

    What had to be mended in the reply is noted in each proposal and added to ``repairs``. Raises
    `BadReply` if no JSON object can be made out in the text, or it holds no proposal.
    """
    reply, mended = read_reply(text, ("proposals", "belief"), listed="proposals")
    notes = list(mended)
    items = _items(reply, space, notes)
    if not items:
        raise BadReply(
            'the reply must be {"proposals": [...]} with at least one proposal',
            status="no_proposals",
        )
    proposals: list[Proposal] = []
    drops: list[str] = []
    surplus = 0
    for index, item in enumerate(items, start=1):
        if index <= wanted + len(drops) + surplus:
            item = _whole(item, space, notes)
        fault = _fault(item)
        if fault:
            drops.append(f"proposal {index}: {fault}")
        elif len(proposals) == wanted:
            surplus += 1
        else:
            proposals.append(_proposal(item))
    if surplus:
        drops.append(
            f"{surplus} proposal{'s' if surplus > 1 else ''} more than the {wanted} asked for"
        )
    if len(drops) > _DROPS_KEPT:
        drops[_DROPS_KEPT:] = [f"and {len(drops) - _DROPS_KEPT} more"]
    belief, faults = read_model_belief(reply.get("belief"), space)
    found = tuple(dict.fromkeys(notes))
    if repairs is not None:
        repairs += found
    proposals = [replace(proposal, repairs=found) for proposal in proposals]
    return Advice(tuple(proposals), (*drops, *faults), belief=belief)


def _items(reply: dict[str, Any], space: SearchSpace, notes: list[str]) -> list[Any]:
    """The proposals as a list: one alone, or several by number, may stand in its place."""
    items = reply.get("proposals")
    if items is None and (isinstance(reply.get("config"), dict | str) or _is_config(reply, space)):
        items = reply
    if isinstance(items, dict) and (_is_config(items, space) or "config" in items):
        notes.append("one proposal that stood alone")
        return [items]
    if isinstance(items, dict) and all(isinstance(item, dict) for item in items.values()):
        notes.append("proposals by name read as a list")
        return list(items.values())
    return items if isinstance(items, list) else []


def _whole(item: Any, space: SearchSpace, notes: list[str]) -> Any:
    """A proposal or its configuration may be a JSON string, or the configuration stand alone."""
    item = unquoted(item, "a proposal", notes)
    if not isinstance(item, dict):
        return item
    if "config" in item:
        return {**item, "config": unquoted(item["config"], "config", notes)}
    if _is_config(item, space):
        notes.append("a configuration that stood without its proposal")
        config = {name: item[name] for name in space.dimensions if name in item}
        return {**item, "config": config}
    return item


def _is_config(item: dict[str, Any], space: SearchSpace) -> bool:
    """Whether every parameter that always exists has a value here."""
    return bool(space.dimensions) and all(name in item for name in space.roots)


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
