"""What prompts and replies of all questions share: bounded lists, schemas, plain sentences."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from raymimic.advisor.base import KnobState
from raymimic.advisor.curve_text import number
from raymimic.foreign import cut, name_text, quote
from raymimic.records import Mode

# Room in a reply for the JSON around it and the thinking that some models count as output, and
# for a parameter's or knob's name and value.
TOKENS_BASE = 2048
TOKENS_PARAMETER = 16

_SENTENCE_CHARS = 500
_SHOWN_CHARS = 40
_DROPS_KEPT = 16  # a reply may hold thousands of items, and each drop is an event


class Fault(Exception):
    """Why one item of a reply cannot be used, in words."""


# -- prompts ---------------------------------------------------------------------------------------


def fit(lines: Iterable[str], room: int) -> list[str]:
    """Take lines in order while they fit in ``room`` characters.

    The first is always taken, cut if it must be.
    """
    taken: list[str] = []
    for line in lines:
        if not taken and len(line) > room:
            return [cut(line, room)]
        if len(line) > room:
            break
        taken.append(line)
        room -= len(line) + 1
    return taken


def fit_counted(lines: Sequence[str], room: int, what: str = "") -> list[str]:
    """As `fit`, and a last line says how many were left out."""
    taken = fit(lines, room)
    more = len(lines) - len(taken)
    return [*taken, f"(and {more} more {what}".rstrip() + ")"] if more else taken


def goal(metric: str, mode: Mode) -> dict[str, str]:
    """What a system prompt says of the metric: its ``objective``, ``metric`` and ``direction``."""
    name = name_text(metric)
    return {
        "objective": f"{'minimise' if mode == 'min' else 'maximise'} {name}",
        "metric": name,
        "direction": "lower" if mode == "min" else "higher",
    }


def with_instruction(text: str, instruction: str) -> str:
    """A system prompt with the user's words at its end, if there are any."""
    return f"{text}\n\nThe user says: {quote(instruction)}" if instruction else text


def titled(sections: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Sections of a prompt, each under its title; empty ones are left out."""
    return "\n\n".join(f"# {title}\n" + "\n".join(body) for title, body in sections if body)


def knob_lines(knobs: Sequence[KnobState], room: int) -> list[str]:
    """Each knob with its value, what it can reach now, and what it means; ``room`` characters."""
    return fit_counted([_knob(knob) for knob in knobs], room)


def _knob(knob: KnobState) -> str:
    reach = f"reach {number(knob.low)} to {number(knob.high)}"
    text = f"{name_text(knob.name)} {number(knob.value)}, {reach}"
    return f"{text}: {quote(knob.meaning, 200)}" if knob.meaning else text


# -- schemas ---------------------------------------------------------------------------------------


def object_schema(**properties: Any) -> dict[str, Any]:
    """The JSON schema of an object that has all of ``properties`` and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def or_null(*schemas: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of what fits one of ``schemas``, or null."""
    return {"anyOf": [*schemas, {"type": "null"}]}


# -- replies ---------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """One line without control and direction characters: it is shown in terminals and prompts."""
    visible = "".join(
        " " if char in "\n\r\t" else char
        for char in text
        if char in "\n\r\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return " ".join(visible.split())[:_SENTENCE_CHARS]


def sentence(value: Any, limit: int = _SENTENCE_CHARS) -> str:
    """What a model wrote as a sentence, in one plain line of ``limit`` characters; else ""."""
    return _shortened(plain(value), limit) if isinstance(value, str) else ""


def show_value(value: Any) -> str:
    """A value of a reply as JSON in one short plain line."""
    text = plain(json.dumps(value, ensure_ascii=False)[: 10 * _SHOWN_CHARS])
    return _shortened(text, _SHOWN_CHARS)


def finite_number(value: Any) -> float:
    """A number of a reply; raises `Fault` for what is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Fault(f"must be a finite number, got {show_value(value)}")
    return float(value)


def capped(drops: Sequence[str]) -> tuple[str, ...]:
    """What was dropped of a reply, the first few and how many more."""
    more = len(drops) - _DROPS_KEPT
    return (*drops[:_DROPS_KEPT], f"and {more} more") if more > 0 else tuple(drops)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
