"""The turns of a question, and the text of an answer in whatever form a server gives it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from raymimic.llm.adapting import SYSTEM
from raymimic.llm.base import Request

_NO_ANSWER = {"thinking", "reasoning", "redacted_thinking", "tool_use"}  # kinds of parts
_DEEPEST = 3  # lists of parts in lists of parts


def turns(
    request: Request, dropped: Collection[str], no_schema: Collection[str] = ("schema",)
) -> list[dict[str, str]]:
    """The messages: system and user, or the user's alone where the server takes no system role.

    Where one of ``no_schema`` is dropped, the schema stands in the user's turn.
    """
    text = request.user
    if any(name in dropped for name in no_schema):
        schema = json.dumps(request.schema, ensure_ascii=False)
        text = (
            f"{text}\n\nAnswer with one JSON object and nothing before or after it. "
            f"It must match this JSON schema:\n{schema}"
        )
    if SYSTEM in dropped:
        return [{"role": "user", "content": f"{request.system}\n\n{text}"}]
    return [{"role": "system", "content": request.system}, {"role": "user", "content": text}]


def field_of(value: Any, name: str) -> Any:
    """A field of an SDK's object or of plain JSON; None where there is none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def content_text(content: Any, depth: int = 0) -> str:
    """The text of a content: as it is, of its parts without reasoning, or JSON as text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part for part in content if field_of(part, "type") not in _NO_ANSWER]
        return "".join(content_text(part, depth + 1) for part in parts if depth < _DEEPEST)
    text = field_of(content, "text")
    if isinstance(text, str):
        return text
    plain = isinstance(content, dict) and "type" not in content
    return json.dumps(content, default=str) if plain else ""
