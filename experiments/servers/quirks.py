"""What servers do to a question, each as a rule of `StubServer`: body of a request -> its fault.

Sources: public reports about vLLM, SGLang, TGI, llama.cpp, Ollama, LM Studio, OpenRouter and the
Gemini and Mistral endpoints, and `record` for what was seen here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from raymimic.testing.server import Body, Fault, Status

ASKED = 9
PROPOSALS = [
    {"config": {"lr": 10 ** -(1.5 + 0.2 * i), "width": (32, 64)[i % 2]}, "rationale": "r",
     "expected": 0.3}
    for i in range(ASKED)
]  # fmt: skip
ANSWER = json.dumps({"belief": {}, "proposals": PROPOSALS})
Rule = Callable[[Mapping[str, Any]], Fault]


def chat(
    content: Any, finish: str = "stop", tokens: int = 50, prompt: int = 700, **message: Any
) -> Body:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": finish, "message": {"content": content, **message}}
    usage = {"prompt_tokens": prompt, "completion_tokens": tokens}
    return Body(json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode())


def refuses(words: str, code: int = 400) -> Status:
    return Status(code, error={"message": words, "type": "BadRequestError", "code": code})


def cap(body: Mapping[str, Any]) -> int:
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)


def _unless(wrong: Callable[[Mapping[str, Any]], bool], words: str, code: int = 400) -> Rule:
    return lambda body: refuses(words, code) if wrong(body) else chat(ANSWER)


def _always(reply: Body) -> Rule:
    return lambda _: reply


def _first(fault: Fault) -> Rule:
    seen: list[int] = []

    def rule(_: Mapping[str, Any]) -> Fault:
        seen.append(1)
        return fault if len(seen) == 1 else chat(ANSWER)

    return rule


def _system(body: Mapping[str, Any]) -> bool:
    return bool(body["messages"][0]["role"] == "system")


def _has(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda body: name in body


def _strict(body: Mapping[str, Any]) -> bool:
    return "strict" in (body.get("response_format") or {}).get("json_schema", {})


def _small_context(body: Mapping[str, Any]) -> Fault:
    prompt = 2 * sum(len(turn["content"]) for turn in body["messages"])  # a coarse tokenizer
    if prompt + cap(body) <= 8192:
        return chat(ANSWER, prompt=prompt)
    return refuses(
        f"This model's maximum context length is 8192 tokens. However, you requested "
        f"{prompt + cap(body)} tokens ({prompt} in the messages, {cap(body)} in the completion)."
    )


def _deaf(body: Mapping[str, Any]) -> Fault:
    """As `transformers serve`: only max_tokens is heard, else 200 tokens are the most."""
    return chat(ANSWER) if "max_tokens" in body else chat(ANSWER[:300], "length", 200)


def _full(body: Mapping[str, Any]) -> Fault:
    """As llama.cpp: no word before the context is full in the middle of the reply."""
    prompt = 2 * sum(len(turn["content"]) for turn in body["messages"])
    return (
        chat(ANSWER, prompt=prompt) if prompt < 4400 else chat(ANSWER[:300], "length", 300, prompt)
    )


def _inside_200(**error: Any) -> Body:
    return Body(json.dumps({"error": error}).encode())


_LISTED = json.dumps({"proposals": json.dumps(PROPOSALS)})
_CONFIGS = json.dumps({"proposals": [{**p, "config": json.dumps(p["config"])} for p in PROPOSALS]})

QUIRKS: dict[str, Rule] = {
    "as documented": _always(chat(ANSWER)),
    "<think> before the answer": _always(chat("<think>hm {</think>\n" + ANSWER)),
    "</think> without its beginning": _always(chat("hm\n</think>\n" + ANSWER)),
    "harmony channels": _always(
        chat(f"<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>{ANSWER}")
    ),
    "answer in reasoning_content": _always(chat("", reasoning_content=ANSWER)),
    "answer in reasoning": _always(chat(None, reasoning=ANSWER)),
    "content as parts": _always(chat([{"type": "text", "text": ANSWER}])),
    "a tool call": _always(
        chat(None, "tool_calls", tool_calls=[{"function": {"name": "r", "arguments": ANSWER}}])
    ),
    "reasoning used up the cap": lambda body: (
        chat(ANSWER) if cap(body) >= 4400 else chat("", "length", cap(body))
    ),
    "the same, called stop": lambda body: (
        chat(ANSWER) if cap(body) >= 4400 else chat("", "stop", cap(body))
    ),
    "whole, then cut": _always(chat(ANSWER + "\n" * 400, "length")),
    "no system role (400)": _unless(_system, "System role not supported"),
    "no system role (500, template)": _unless(
        _system, "Jinja Exception: Conversation roles must alternate user/assistant", 500
    ),
    "context of 8192": _small_context,
    "no max_completion_tokens": _unless(
        _has("max_completion_tokens"),
        "Unrecognized request argument supplied: max_completion_tokens",
    ),
    "max_completion_tokens ignored": _deaf,
    "context full in the reply": _full,
    "no strict": _unless(
        _strict, "response_format.json_schema.strict: Extra inputs are not permitted", 422
    ),
    "no response_format": _unless(
        _has("response_format"), "response_format is not supported by this model"
    ),
    "no grammar for the schema": _unless(_has("response_format"), "Failed to compile grammar", 500),
    "list as a string": _always(chat(_LISTED)),
    "configurations as strings": _always(chat(_CONFIGS)),
    "a bare list": _always(chat(json.dumps(PROPOSALS))),
    "the whole as a string": _always(chat(json.dumps(ANSWER))),
    "fence in prose": _always(chat(f"Sure:\n```json\n{ANSWER}\n```\nGood luck!")),
    "byte-order mark": _always(chat("\ufeff" + ANSWER)),
    "line break in a string": _always(chat(ANSWER.replace('"r"', '"a\nb"'))),
    "trailing commas": _always(chat(ANSWER.replace("}]", "},]"))),
    "end token in the text": _always(chat(ANSWER + "<|im_end|>")),
    "429 inside 200, once": _first(_inside_200(code=429, message="Rate limit exceeded")),
    "overloaded inside 200, once": _first(
        _inside_200(type="overloaded_error", message="Overloaded")
    ),
    "503 while the model loads, once": _first(refuses("Loading model", 503)),
    "no usage": _always(Body(json.dumps({"choices": [{"message": {"content": ANSWER}}]}).encode())),
}
