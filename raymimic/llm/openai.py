"""OpenAI's models through the `openai` SDK, and every server that speaks chat completions.

vLLM, Ollama and llama.cpp are reached by ``base_url``; what they do not take is dropped and not
sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from raymimic.errors import LLMError, LLMRefusal
from raymimic.llm.base import Provider, Request
from raymimic.llm.message import content_text, field_of, turns
from raymimic.llm.sdk import Answer, SdkLLM, count_of, empty, truncated


class OpenAILLM(SdkLLM):
    """A model behind /v1/chat/completions.

    The key comes from the environment variable ``api_key_env`` (OPENAI_API_KEY); with a
    ``base_url`` (or OPENAI_BASE_URL) none is needed. ``prices`` override the table in `prices`; a
    model that neither knows has cost None. ``max_tokens`` as in `SdkLLM`. Raises
    `LLMSetupError` for an empty model name or a base_url that is none.

    >>> from raymimic import OpenAILLM
    >>> OpenAILLM("qwen3:8b", base_url="http://localhost:11434/v1").model
    'qwen3:8b'
    """

    provider = Provider(
        "openai", "gpt-6-luna", key="OPENAI_API_KEY", address="OPENAI_BASE_URL", servers=True
    )
    client_class = "OpenAI"
    optional_fields: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "strict": ("strict",),
        "max_completion_tokens": ("max_completion_tokens",),
        "schema": ("response_format", "json_schema", "schema", "structured output", "grammar"),
    }

    def _send(self, client: Any, request: Request, timeout: Any, dropped: frozenset[str]) -> Any:
        fields: dict[str, Any] = {}
        if "schema" not in dropped:
            wanted: dict[str, Any] = {"name": "reply", "schema": dict(request.schema)}
            if "strict" not in dropped:
                wanted["strict"] = True
            fields["response_format"] = {"type": "json_schema", "json_schema": wanted}
        older = "max_completion_tokens" in dropped
        fields["max_tokens" if older else "max_completion_tokens"] = request.max_tokens
        return client.chat.completions.create(
            model=self.model, messages=turns(request, dropped), timeout=timeout, **fields
        )

    def _read(self, raw: Any) -> Answer:
        choices = getattr(raw, "choices", None)
        if not isinstance(choices, list) or not choices:
            raise self.no_reply(raw, "choices")
        choice = choices[0]
        message, reason = field_of(choice, "message"), field_of(choice, "finish_reason")
        if field_of(choice, "error") or reason == "error":
            raise self.no_reply(choice, "message")
        text, repairs = self._text_of(message, whole=reason != "length")
        usage = getattr(raw, "usage", None)
        return Answer(
            text=text,
            model=self._model_of(raw),
            tokens_in=count_of(usage, "prompt_tokens"),  # the cached ones are among them
            tokens_out=count_of(usage, "completion_tokens"),
            failure=self._failure(reason, message, text),
            repairs=repairs,
        )

    def _text_of(self, message: Any, *, whole: bool) -> tuple[str, tuple[str, ...]]:
        """The answer: the content, else what servers put elsewhere, unless it was cut off."""
        text = content_text(field_of(message, "content"))
        if text.strip() or not whole:
            return text, ()
        calls = field_of(message, "tool_calls")
        call = calls[0] if isinstance(calls, list) and calls else None
        function = field_of(call, "function") or field_of(message, "function_call")
        places = {
            "a tool call": field_of(function, "arguments"),
            "reasoning_content": field_of(message, "reasoning_content"),
            "reasoning": field_of(message, "reasoning"),
            "thinking": field_of(message, "thinking"),
        }
        for place, value in places.items():
            found = content_text(value)
            if "{" in found:
                return found, (f"the answer stood in {place}",)
        return text, ()

    def _failure(self, reason: Any, message: Any, text: str) -> LLMError | None:
        refusal = field_of(message, "refusal")
        if refusal or reason == "content_filter":
            why = self._context.clean(str(refusal or reason))
            return LLMRefusal(f"{self.model} declined to answer: {why}", status="refusal")
        if reason == "length":
            return truncated(reason)
        return None if text.strip() else empty()
