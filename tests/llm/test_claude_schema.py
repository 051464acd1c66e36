from __future__ import annotations

from typing import Any

import anthropic
import pytest

from raymimic.llm.anthropic import claude_schema

SPACE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "lr": {"type": "number", "minimum": 1e-5, "maximum": 0.1, "description": "log"},
        "minimum": {"type": "integer", "multipleOf": 8},
        "act": {"type": ["string", "null"], "enum": ["relu", None]},
        "batch": {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 4},
        "free": {"type": ["number", "null"], "maximum": 2},
        "one": {"oneOf": [{"const": 1}, {"type": "string", "maxLength": 5}]},
    },
    "required": ["lr", "minimum", "act", "batch", "free", "one"],
}


def test_ranges_move_into_the_description_and_the_rest_stays() -> None:
    schema = claude_schema(SPACE)
    assert schema["additionalProperties"] is False
    assert schema["required"] == SPACE["required"]
    assert schema["properties"] == {
        "lr": {"type": "number", "description": "log {minimum: 1e-05, maximum: 0.1}"},
        "minimum": {"type": "integer", "description": "{multipleOf: 8}"},
        "act": {"enum": ["relu", None]},
        "batch": {
            "type": "array",
            "items": {"type": "integer", "description": "{minimum: 1}"},
            "description": "{maxItems: 4}",
        },
        "free": {
            "anyOf": [
                {"type": "number", "description": "{maximum: 2}"},
                {"type": "null", "description": "{maximum: 2}"},
            ]
        },
        "one": {"anyOf": [{"const": 1}, {"type": "string", "description": "{maxLength: 5}"}]},
    }


@pytest.mark.skipif(anthropic.__version__ < "2", reason="its helper knew no bare enum then")
def test_the_sdk_itself_would_change_nothing_more() -> None:
    schema = claude_schema(SPACE)
    assert anthropic.transform_schema(schema) == schema
