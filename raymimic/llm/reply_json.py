"""Read the object that a model meant, where real servers and models wrap or bend it.

What is clear is mended, and each repair is said: reasoning or prose around one object, a byte-order
mark, a line break inside a string, a comma too many, JSON that arrives as a string, a bare list, an
object inside another. Numbers are never guessed at: the limits of `strict_json` hold throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from raymimic.errors import BadReply
from raymimic.llm.strict_json import MAX_CHARS, read_value

_REASONING = re.compile(
    r"^.*</(?:think|thinking|thought|reasoning|reflection|scratchpad)>"
    r"|^.*<\|channel\|>\s*final\b[^{\[]*<\|message\|>",
    re.DOTALL | re.IGNORECASE,
)
_UNCLOSED_REASONING = re.compile(r"\s*<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_STRING_OR_SPARE_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)
_OPENING = re.compile(r'\{\s*["}]|\[\s*\{\s*"')
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_BEFORE = re.compile(r"\s*(?:```(?:json)?)?\s*", re.IGNORECASE)
_AFTER = re.compile(r"\s*(?:```)?\s*(?:<\|\w+\|>)?\s*")

_MOST_OBJECTS = 4  # looked at in one text: a model may write its answer twice


def read_reply(
    text: str, keys: Sequence[str], *, listed: str = ""
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the object with at least one of ``keys`` that ``text`` means, and what was mended.

    A bare list stands for the value of the key ``listed``, if that is given. Raises `BadReply`
    (status "bad_json") where no single object can be made out; an object without any of the keys
    is returned as it is.
    """
    repairs: list[str] = []
    value = _value_of(text, repairs)
    if isinstance(value, list) and listed:
        repairs.append(f"a bare list read as {listed}")
        value = {listed: value}
    if not isinstance(value, dict):
        raise BadReply(
            f"the reply must be one JSON object and nothing else: it is a {type(value).__name__}",
            status="bad_json",
        )
    reply = _unwrapped(value, keys, listed, repairs)
    for key in keys:
        if key in reply:
            reply[key] = unquoted(reply[key], key, repairs)
    return reply, tuple(repairs)


def unquoted(value: Any, name: str, repairs: list[str]) -> Any:
    """A list or an object that arrived as a JSON string, read; everything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        found = _value_of(value, [])
    except BadReply:
        return value
    if not isinstance(found, (list, dict)):
        return value
    repairs.append(f"{name} came as a JSON string")
    return found


def _value_of(text: str, repairs: list[str]) -> Any:
    """The one JSON value in a text."""
    try:
        value = read_value(text)
    except BadReply as error:
        if not isinstance(text, str) or len(text) > MAX_CHARS:
            raise
        return _found_in(text, error, repairs)
    if isinstance(value, str) and value.lstrip().startswith(("{", "[", '"')) and value != text:
        repairs.append("the whole reply came as a JSON string")
        return _value_of(value, repairs)
    return value


def _found_in(text: str, refused: BadReply, repairs: list[str]) -> Any:
    body = text.removeprefix("\ufeff").strip()
    if body != text.strip():
        repairs.append("a byte-order mark left out")
    answer = _REASONING.sub("", body, count=1)
    if answer != body:
        repairs.append("reasoning before the answer left out")
    elif _UNCLOSED_REASONING.match(body):
        raise refused  # all of it is reasoning: an object in it is a draft
    found = list(_objects(answer, refused))
    if not found:
        raise refused
    (_, end, value, mended), *others = found
    if any(other[2] != value for other in others):
        raise BadReply(
            "the reply must be one JSON object and nothing else: it holds several",
            status="bad_json",
        )
    repairs += mended
    before, after = answer[: found[0][0]], answer[end:]
    if others or not _BEFORE.fullmatch(before) or not _AFTER.fullmatch(after):
        repairs.append("text around the JSON left out")
    return value


def _objects(text: str, refused: BadReply) -> Iterator[tuple[int, int, Any, tuple[str, ...]]]:
    """Each object or list of objects in a text: where it starts and ends, its value, its repairs.

    Raises ``refused`` where one starts and cannot be read: what stands inside it is not the answer.
    """
    start = _OPENING.search(text)
    for _ in range(_MOST_OBJECTS):
        if start is None:
            return
        at = start.start()
        end = _end_of(text, at)
        if end is None:
            raise refused
        piece = text[at:end]
        without_commas = _STRING_OR_SPARE_COMMA.sub(lambda found: found[1] or "", piece)
        mended: tuple[str, ...] = ()
        if without_commas != piece:
            mended = ("a comma too many left out",)
        try:
            value = read_value(without_commas)
        except BadReply:
            value = read_value(without_commas, control_characters=True)
            mended += ("a line break inside a string kept",)
        yield at, end, value, mended
        start = _OPENING.search(text, end)
    if start is not None:
        raise refused


def _end_of(text: str, start: int) -> int | None:
    """Where the bracket that opens at ``start`` is closed again; None if it never is."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text, start):
        if found[0] in ("{", "["):
            depth += 1
        elif found[0] in ("}", "]"):
            depth -= 1
            if depth == 0:
                return found.end()
    return None


def _unwrapped(
    value: dict[str, Any], keys: Sequence[str], listed: str, repairs: list[str]
) -> dict[str, Any]:
    """The object with the keys, where the reply holds it as the only one of its values."""
    if any(key in value for key in keys):
        return dict(value)
    inner = []
    for name, item in value.items():
        held = unquoted(item, name, [])
        if isinstance(held, dict) and any(key in held for key in keys):
            inner.append((name, dict(held)))
        elif isinstance(held, list) and listed and held and all(isinstance(i, dict) for i in held):
            inner.append((name, {listed: held}))
    if len(inner) != 1:
        return dict(value)
    repairs.append(f"the answer stood in {inner[0][0]}"[:80])
    return inner[0][1]
