"""OpenAI's models through the `openai` SDK, and every server that speaks chat completions.

vLLM, Ollama and llama.cpp are reached by ``base_url``; a field they refuse is dropped and not sent
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from raymimic.errors import BadReply, LLMError, LLMRefusal
from raymimic.llm.base import Provider, Request
from raymimic.llm.sdk import Answer, SdkLLM, count_of, not_a_reply, user_text


class OpenAILLM(SdkLLM):
    """A model behind /v1/chat/completions.

    The key comes from the environment variable ``api_key_env`` (OPENAI_API_KEY); with a
    ``base_url`` (or OPENAI_BASE_URL) none is needed. ``prices`` override the table in `prices`; a
    model that neither knows has cost None. Raises `LLMSetupError` for an empty model name or a
    base_url that is none.

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
        text = user_text(request, with_schema="schema" in dropped)
        return client.chat.completions.create(
            model=self.model,
            messages=[
                {"role": "system", "content": request.system},
                {"role": "user", "content": text},
            ],
            timeout=timeout,
            **fields,
        )

    def _read(self, raw: Any) -> Answer:
        choices = getattr(raw, "choices", None)
        if not isinstance(choices, list) or not choices:
            raise not_a_reply("choices")
        message = getattr(choices[0], "message", None)
        content = getattr(message, "content", None)
        text = content if isinstance(content, str) else ""
        usage = getattr(raw, "usage", None)
        return Answer(
            text=text,
            model=self._model_of(raw),
            tokens_in=count_of(usage, "prompt_tokens"),  # the cached ones are among them
            tokens_out=count_of(usage, "completion_tokens"),
            failure=self._failure(choices[0], message, text),
        )

    def _failure(self, choice: Any, message: Any, text: str) -> LLMError | None:
        reason = getattr(choice, "finish_reason", None)
        refusal = getattr(message, "refusal", None)
        if refusal or reason == "content_filter":
            why = self._context.clean(str(refusal or reason))
            return LLMRefusal(f"{self.model} declined to answer: {why}", status="refusal")
        if reason == "length":
            return BadReply(
                "the reply was cut off (length); ask for less or raise max_tokens",
                status="truncated",
            )
        if not text:
            return BadReply("the reply holds no text", status="empty")
        return None
