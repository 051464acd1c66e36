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

# Keys by their providers' signs: OpenAI, Anthropic and who imitates them, Google, GitHub, GitLab,
# Hugging Face, Slack, AWS, Groq, xAI, Perplexity, Replicate, Fireworks, Stripe, Twilio, SendGrid,
# npm, PyPI, DigitalOcean, Telegram; bearer tokens, JSON web tokens, private keys.
_SECRET = re.compile(
    r"\bsk-(?!learn)[^\s'\",}]{8,}|\b(?:Bearer|Authorization['\"]?\s*[:=]\s*['\"]?Basic)\s+[^\s'\",}]+"
    r"|\bAIza[\w-]{20,}|\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[a-z]-)[\w-]{10,}"
    r"|\b(?:gsk_|xai-|pplx-|r8_|fw_|npm_|pypi-|dop_v1_|[sr]k_(?:live|test)_|SG\.)[\w.-]{16,}"
    r"|\bSK[0-9a-f]{32}\b|\b\d{8,10}:AA[\w-]{20,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END)[\s\S])*(?:-----END [A-Z ]*KEY-----)?",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)|(://)[^\s/:@]{8,}(?=@)")
_URL_FIELD = re.compile(
    r"([?&](?:\w*[-_])?(?:key|token|sig|signature|secret|password|auth)=)[^\s&'\"]+", re.IGNORECASE
)
# What is set under a name that ends as a secret's does: password=..., "api_key": "...", a header.
_ASSIGNED = re.compile(
    r"(\b(?:\w*[-_])?(?:password|passwd|pwd|secret|(?:api|access|private|account|auth|secret)[-_]?key"
    r"|(?:api|access|auth|refresh|bearer|id|hub|hf)[-_]?token|credentials?|set-cookie|cookie)\b"
    r"['\"]?\s*[=:]\s*['\"]?)(?=[^\s'\",}&]{8})[^\s'\",}&]+",
    re.IGNORECASE,
)
_VARIABLE = re.compile(
    r"(\b[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)\b['\"]?\s*[=:]\s*['\"]?)"
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
    text = _SECRET.sub("[key]", text)
    for pattern in (_URL_PASSWORD, _URL_FIELD, _ASSIGNED, _VARIABLE):
        text = pattern.sub(lambda found: f"{''.join(filter(None, found.groups()))}[key]", text)
    return text


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
