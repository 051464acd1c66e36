"""Claude, through the `anthropic` SDK; also servers that speak Anthropic's dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from raymimic.errors import LLMError, LLMRefusal
from raymimic.llm.base import Provider, Request
from raymimic.llm.message import content_text, field_of, turns
from raymimic.llm.prices import Price
from raymimic.llm.sdk import Answer, SdkLLM, count_of, empty, truncated

Effort = Literal["low", "medium", "high", "xhigh", "max"]

# What the grammar behind Claude's structured output takes. The SDK's own transform_schema knows the
# same list but fails on a list of types.
_KEPT = {"$ref", "const", "description", "enum", "required", "title", "type"}
_SCHEMA_CHILDREN = {"anyOf", "oneOf", "allOf", "properties", "$defs", "items"}


class AnthropicLLM(SdkLLM):
    """A Claude model. The key comes from the environment variable ``api_key_env``
    (ANTHROPIC_API_KEY).

    ``effort`` bounds how much the model thinks. No temperature and no seed exist at this provider:
    only record and replay makes a run repeatable. ``prices`` override the table in `prices`;
    ``max_tokens`` as in `SdkLLM`.
    Raises `LLMSetupError` for an empty model name or a base_url that is none.

    >>> from raymimic import AnthropicLLM
    >>> AnthropicLLM("claude-haiku-5-5").model
    'claude-haiku-5-5'
    """

    provider = Provider(
        "anthropic", "claude-haiku-5-5", key="ANTHROPIC_API_KEY", address="ANTHROPIC_BASE_URL"
    )
    client_class = "Anthropic"
    optional_fields: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "effort": ("effort",),
        "cache_control": ("cache_control",),
        "schema": ("output_config.format", "json_schema", "schema", "structured output"),
        "output_config": ("output_config",),
    }

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key_env: str | None = None,
        effort: Effort = "low",
        prices: Mapping[str, Price] | None = None,
        max_tokens: int | None = None,
    ) -> None:
        super().__init__(
            model, base_url=base_url, api_key_env=api_key_env, prices=prices, max_tokens=max_tokens
        )
        self.effort = effort

    def _send(self, client: Any, request: Request, timeout: Any, dropped: frozenset[str]) -> Any:
        *system, user = turns(request, dropped, no_schema={"schema", "output_config"})
        fields: dict[str, Any] = {}
        if system:
            block = {"type": "text", "text": request.system}
            cached = {} if "cache_control" in dropped else {"cache_control": {"type": "ephemeral"}}
            fields["system"] = [{**block, **cached}]
        output: dict[str, Any] = {}
        if dropped.isdisjoint(("schema", "output_config")):
            output["format"] = {"type": "json_schema", "schema": claude_schema(request.schema)}
        if dropped.isdisjoint(("effort", "output_config")):
            output["effort"] = self.effort
        if output:
            fields["output_config"] = output
        return client.messages.create(
            model=self.model,
            max_tokens=request.max_tokens,
            messages=[user],
            timeout=timeout,
            **fields,
        )

    def _read(self, raw: Any) -> Answer:
        blocks = getattr(raw, "content", None)
        if not isinstance(blocks, list):
            raise self.no_reply(raw, "content")
        usage = getattr(raw, "usage", None)
        text = content_text(blocks)
        repairs: tuple[str, ...] = ()
        called = [b for b in blocks if field_of(b, "type") == "tool_use"]
        if not text.strip() and called:
            text, repairs = (
                content_text(field_of(called[0], "input")),
                ("the answer stood in a tool call",),
            )
        return Answer(
            text=text,
            model=self._model_of(raw),
            tokens_in=count_of(
                usage, "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"
            ),
            tokens_out=count_of(usage, "output_tokens"),
            failure=self._failure(raw, text),
            repairs=repairs,
        )

    def _failure(self, raw: Any, text: str) -> LLMError | None:
        reason = getattr(raw, "stop_reason", None)
        if reason == "refusal":
            details = getattr(raw, "stop_details", None)
            category = self._context.clean(str(getattr(details, "category", None) or "none given"))
            return LLMRefusal(
                f"{self.model} declined to answer (category: {category})", status="refusal"
            )
        if reason in ("max_tokens", "model_context_window_exceeded"):
            return truncated(reason)
        return None if text.strip() else empty()


def claude_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema without what Claude's grammar refuses.

    Ranges, lengths and the like move into the description, where the model reads them but nothing
    enforces them. A list of types becomes anyOf; every object gets ``additionalProperties: false``.
    """
    types = schema.get("type")
    if isinstance(types, list) and "enum" not in schema:
        rest = {key: value for key, value in schema.items() if key != "type"}
        return {"anyOf": [claude_schema({**rest, "type": name}) for name in types]}
    kept: dict[str, Any] = {}
    moved: list[str] = []
    for key, value in schema.items():
        if key in _SCHEMA_CHILDREN:
            kept["anyOf" if key == "oneOf" else key] = _claude_children(key, value)
        elif key in _KEPT or (key == "minItems" and value in (0, 1)):
            kept[key] = value
        elif key != "additionalProperties":
            moved.append(f"{key}: {value}")
    if "enum" in kept or "const" in kept:
        kept.pop("type", None)  # the values say it, and a list of types is not taken
    if kept.get("type") == "object":
        kept["additionalProperties"] = False
    if moved:
        kept["description"] = f"{kept.get('description', '')} {{{', '.join(moved)}}}".strip()
    return kept


def _claude_children(key: str, value: Any) -> Any:
    """Convert the schemas under ``key``: a list of them, a map of names to them, or one."""
    if isinstance(value, list):
        return [claude_schema(item) for item in value]
    if key in ("properties", "$defs"):
        return {name: claude_schema(item) for name, item in value.items()}
    return claude_schema(value)
