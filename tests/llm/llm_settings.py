"""What the tests of the adapters share: a key that must not leak, and a small schema."""

from __future__ import annotations

from collections.abc import Callable

from raymimic.llm import AnthropicLLM, OpenAILLM

KEY = "sk-ant-a-secret-that-must-not-leak-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["a"],
    "additionalProperties": False,
}
MakeLLM = Callable[..., AnthropicLLM | OpenAILLM]
