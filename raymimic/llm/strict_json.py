"""Read a model's reply as one JSON object, or refuse it.

``json.loads`` alone accepts NaN, turns 1e999 into infinity, keeps the last of two equal keys, lets
lone surrogates through and dies of a RecursionError on deep nesting. A search must see none of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from raymimic.errors import BadReply

MAX_CHARS = 256 * 1024  # a batch of 16 configurations of 40 parameters is about 30,000 characters
MAX_DEPTH = 8
MAX_VALUES = 10_000
MAX_STRING = 4096
MAX_DIGITS = 20  # every 64-bit integer fits

_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)  # an unclosed one runs to the end
_BRACKET = re.compile(r"[\[\]{}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FENCES = ("```", "```json", "```JSON")


def read_object(text: str) -> dict[str, Any]:
    """Return the one JSON object that ``text`` is, whitespace and one ``` fence around it allowed.

    Raises `BadReply` (status "bad_json") for anything else and for an object beyond the limits
    above. Values are dict, list, str, bool, None, int of at most 20 digits and finite float.
    """
    value = read_value(text)
    if not isinstance(value, dict):
        _refuse(f"it is a JSON {type(value).__name__}")
    return value


def read_value(text: str, *, control_characters: bool = False) -> Any:
    """Return the one JSON value that ``text`` is, as `read_object`.

    ``control_characters`` allows them inside strings, where JSON wants them escaped.
    """
    if not isinstance(text, str):
        _refuse(f"it is a {type(text).__name__}")
    if len(text) > MAX_CHARS:
        _refuse(f"it has {len(text)} characters, the limit is {MAX_CHARS}")
    body = _unfenced(text.strip())
    _check_depth(body)
    try:
        value = json.loads(
            body,
            strict=not control_characters,
            parse_int=_read_int,
            parse_float=_read_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_read_pairs,
        )
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno} column {error.colno}: {error.msg}"
        raise _bad_reply(reason) from None
    _check_values(value)
    return value


def _bad_reply(reason: str) -> BadReply:
    return BadReply(
        f"the reply must be one JSON object and nothing else: {reason}", status="bad_json"
    )


def _refuse(reason: str) -> NoReturn:
    raise _bad_reply(reason)


def _unfenced(text: str) -> str:
    if not text.startswith("```"):
        return text
    opening, _, rest = text.partition("\n")
    if opening.rstrip() not in _FENCES or not rest.endswith("```"):
        _refuse("its ``` fence is not closed, or text stands outside it")
    return rest[:-3].strip()


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses into it."""
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            _refuse(f"it is nested deeper than {MAX_DEPTH} levels")


def _read_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        _refuse(f"an integer has more than {MAX_DIGITS} digits")
    return int(digits)


def _read_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refuse(f"the number {digits[:40]} is not finite")
    return value


def _refuse_constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON")


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                _refuse(f"the key {key[:40]!a} comes twice")
            seen.add(key)
    return result


def _check_values(value: Any) -> None:
    count = 0
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            _refuse(f"it has more than {MAX_VALUES} values")
        if isinstance(item, str):
            if not item.lstrip().startswith(("{", "[")):  # JSON in a string is bounded by the text
                _check_string(item)
            elif _SURROGATE.search(item):
                _refuse_surrogate()
        elif isinstance(item, dict):
            _check_keys(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _check_keys(keys: Iterable[str]) -> None:
    for key in keys:
        _check_string(key)


def _check_string(text: str) -> None:
    if len(text) > MAX_STRING:
        _refuse(f"a string has {len(text)} characters, the limit is {MAX_STRING}")
    if _SURROGATE.search(text):
        _refuse_surrogate()


def _refuse_surrogate() -> NoReturn:
    _refuse("a string holds half of a surrogate pair")
