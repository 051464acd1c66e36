"""Foreign text: quoted where a model reads it, and without keys where it is kept.

Names of metrics and parameters, errors, users' words and models' reasons come from elsewhere. In a
prompt each is a JSON string in one line, whatever it holds, so none can pass for the prompt's own.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Iterable
from typing import Any

_NAME_CHARS = 200
_PLAIN_NAME = re.compile(r"\w[\w./@+%*\[\]-]{0,79}")

_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')

# Keys by their providers' signs: OpenAI and Anthropic, Google, GitHub, GitLab, Hugging Face, Slack,
# AWS; bearer tokens and JSON web tokens.
_SECRET = re.compile(
    r"\b(?:sk-|Bearer\s+)[^\s'\",}]+"
    r"|\bAIza[\w-]{20,}|\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[a-z]-)[\w-]{10,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
_ASSIGNED = re.compile(
    r"(\b[A-Za-z]\w*_(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)\b['\"]?\s*[=:]\s*['\"]?)"
    r"[^\s'\",}]{4,}"
)
_SECRET_NAMES = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_PASSWD", "_CREDENTIALS")
_SHORTEST_SECRET = 8  # shorter ones would blot out ordinary words


def json_line(value: Any) -> str:
    """``value`` as JSON in one line of visible characters; what is invisible is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 127 else f"\\u{ord(char):04x}"


def quote(text: str, limit: int = 2000) -> str:
    """Foreign text as one JSON string of at most ``limit`` characters of content."""
    return json_line(text if len(text) <= limit else text[: limit - 1] + "…")


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters of a prompt; a quoted string that is too long goes whole."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    closed = max((found.end() for found in _JSON_STRING.finditer(kept)), default=0)
    opened = kept.find('"', closed)
    return (kept if opened < 0 else kept[:opened]) + "…"


def name_text(name: str) -> str:
    """A name as it is where it is one plain word ("val_loss", "net/width"), else quoted."""
    return name if _PLAIN_NAME.fullmatch(name) else quote(name, _NAME_CHARS)


def told_of(names: Iterable[str], text: str) -> str:
    """A text of ours that may mention ``names``: as it is where all are plain, else quoted."""
    return text if all(map(_PLAIN_NAME.fullmatch, names)) else quote(text)


def without_secrets(text: str) -> str:
    """``text`` with "[key]" for what looks like an API key or stands in a variable named as one."""
    for name, value in os.environ.items():
        secret = value.strip()
        if name.upper().endswith(_SECRET_NAMES) and len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[key]")
    text = _ASSIGNED.sub(r"\1[key]", _URL_PASSWORD.sub(r"\1[key]", text))
    return _SECRET.sub("[key]", text)


def trace_text(error: BaseException) -> str:
    """An error's traceback without keys, for the log: a message in it may quote what a user set."""
    try:
        lines = traceback.format_exception(error)
    except Exception:  # noqa: BLE001 - as in `error_text`
        return error_text(error)
    return without_secrets("".join(lines)).rstrip()


def error_text(error: BaseException) -> str:
    """An error's type and text without keys; of one that cannot tell its text, the type."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's own class, and its text is all that is lost
        text = "its text cannot be read"
    return without_secrets(f"{type(error).__name__}: {text}")
