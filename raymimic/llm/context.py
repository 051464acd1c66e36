"""Fit a question into a server's context: a smaller cap first, then a shorter prompt.

Servers say in many words that prompt and reply do not fit together; the numbers among them count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raymimic.llm.base import Request

LEAST_REPLY = 256
"""Tokens: a smaller cap holds no answer, so the prompt is shortened instead."""

_MARGIN = 16  # tokens, for what a chat template adds
_NUMBER = r"(\d[\d,_]*\d|\d)"

# OpenAI, vLLM, SGLang, llama.cpp (also with n_ctx in the body), TGI, Anthropic, Ollama, Gemini.
_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window|limit)|maximum context|n_ctx|max_model_len|"
    r"(prompt|input|request|message)s?\W{0,3}(is |are |was |tokens? )?(too (long|large)|exceeds?)|"
    r"too many (input )?tokens|max_new_tokens.{0,20}must be|must have less than \d+ tokens|"
    r"maximum (input|prompt)? ?(length|tokens)|input token count",
    re.IGNORECASE,
)
_WINDOW = (
    rf"(?:context[ _-]?(?:length|size|window|limit)|n_ctx|max_model_len)\D{{0,30}}{_NUMBER}",
    rf"> ?{_NUMBER}(?! ?-)(?:\D*maximum|,|\.|$)",
    rf"(?:<=|less than|at most|up to|limit of|limit is|maximum of|maximum number of tokens "
    rf"allowed|maximum) ?\(?{_NUMBER}",
    rf"{_NUMBER} ?(?:tokens? )?(?:maximum|limit)",
)
_SUM = re.compile(rf"{_NUMBER} \+ {_NUMBER} > {_NUMBER}")
_PROMPT = (
    rf"n_prompt_tokens\D{{0,5}}{_NUMBER}",
    rf"{_NUMBER} (?:tokens )?(?:in|from|of) (?:the|your) (?:messages|prompt|input)",
    rf"{_NUMBER} (?:tokens? of )?(?:text )?`?(?:input|prompt)s?`?(?: tokens|\b)",
    rf"(?:prompt|input)\D{{0,30}}?{_NUMBER} ?(?:tokens|\+|>)",
    rf"(?:request(?:ed)?(?: tokens)?|input token count|given:?) ?\(?{_NUMBER}(?! tokens \()",
)
_TOTAL = (rf"(?:requested|total of|given|requires?)\D{{0,20}}{_NUMBER} tokens",)
_CAP = re.compile(
    rf"(?:max_tokens|max_completion_tokens|max_output_tokens|completion tokens|output tokens)"
    rf".{{0,80}}?(?:at most|maximum|less than or equal to|<=|up to|> ?)\D{{0,40}}?"
    rf"{_NUMBER}|max_(?:completion_)?tokens\b.{{0,60}}\[\d+, ?{_NUMBER}\]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Room:
    """What an error's words say, in tokens; None where they do not."""

    window: int | None
    prompt: int | None


def speaks_of_context(said: str) -> bool:
    """Whether a server's words are about a prompt or a reply too long for its context."""
    return _TOO_LONG.search(said) is not None


def read_room(said: str, cap: int) -> Room | None:
    """What a server's words say of its context; None if they are about something else.

    ``cap`` is what the refused request allowed the reply, in tokens.
    """
    if not speaks_of_context(said):
        return None
    added = _SUM.search(said)  # Anthropic: prompt + cap > context
    if added:
        return Room(_whole(added[3]), _whole(added[1]))
    window, prompt = _first(_WINDOW, said), _first(_PROMPT, said)
    total = _first(_TOTAL, said)
    if prompt is None or (window is not None and prompt == window):
        prompt = total - cap if total is not None and total > cap else None
    if window is not None and window < LEAST_REPLY:
        window = None  # some other number
    return Room(window, prompt)


def read_reply_limit(said: str, cap: int) -> int | None:
    """The most tokens of a reply that a server's words allow, where ``cap`` was too many."""
    for found in _CAP.finditer(said):
        limits = [_whole(number) for number in found.groups() if number]
        smaller = [limit for limit in limits if 1 < limit < cap]
        if smaller:
            return smaller[0]
    return None


def fitted(request: Request, window: int, prompt: int) -> Request:
    """The request with a cap that leaves room for its ``prompt`` tokens, or a shorter prompt.

    The cap stays at least a third of what was asked for, a quarter of the context at most, and
    `LEAST_REPLY` (or what was asked for, if that is less).
    """
    third = min(request.max_tokens // 3, window // 4)
    least = min(request.max_tokens, max(LEAST_REPLY, third), window // 2)
    room = window - prompt - _MARGIN
    if room >= least:
        return replace(request, max_tokens=min(request.max_tokens, room))
    cap = min(request.max_tokens, max(least, window // 4))
    return replace(shortened(request, (window - cap - _MARGIN) / prompt), max_tokens=cap)


def shortened(request: Request, share: float) -> Request:
    """The request with ``share`` of its prompt: whole lines out of the user turn's middle are left
    out, as its start says what is searched and its end what is asked."""
    whole = len(request.system) + len(request.user)
    room = max(0, int(whole * share * 0.95) - len(request.system))
    lines = request.user.split("\n")
    head = _as_many(lines, room // 2)
    tail = _as_many(lines[head:][::-1], room - sum(len(line) + 1 for line in lines[:head]))
    left_out = len(lines) - head - tail
    if left_out <= 0:
        return request
    mark = f"({left_out} lines left out: the model's context is small)"
    user = "\n".join([*lines[:head], mark, *lines[len(lines) - tail :]])
    return replace(request, user=user) if len(user) < len(request.user) else request


def _as_many(lines: Sequence[str], room: int) -> int:
    for count, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            return count
    return len(lines)


def _first(patterns: Sequence[str], said: str) -> int | None:
    for pattern in patterns:
        found = re.search(pattern, said, re.IGNORECASE)
        if found:
            return _whole(found[1])
    return None


def _whole(digits: str) -> int:
    return int(re.sub(r"\D", "", digits)[:12])
