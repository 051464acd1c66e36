"""The page: one HTML file with its data and the plotting library inside, no network."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import secrets
from importlib import resources
from typing import Any

from raymimic.errors import MissingExtra
from raymimic.ledger import jsonable

SCRIPTS = (
    "store.js", "plots.js", "progress.js", "front.js", "curves.js", "parallel.js", "parameters.js",
    "timeline.js", "expected.js", "spent.js", "story.js", "table.js", "main.js",
)  # fmt: skip


def page_of(data: bytes, title: str, live: str = "") -> str:
    """Return the page with its ``data``, as `packed` gives it.

    ``live`` is the address, relative to the page, at which newer data can be fetched; empty for a
    page that stays as it is. The data is compressed and in base64, so no text in it can end the
    element that holds it, and the page's policy lets only scripts with its own nonce run. Raises
    `MissingExtra` without plotly.
    """
    parts = {
        "nonce": secrets.token_urlsafe(16),
        "title": html.escape(title),
        "style": _text("style.css"),
        "data": data.decode(),
        "live": html.escape(live),
        "library": _library(),
        "script": "\n".join(_text(name) for name in SCRIPTS),
    }
    # In one pass: a title that reads "{{data}}" stays a title.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text("page.html"))


def packed(payload: dict[str, Any]) -> bytes:
    """The data as the page reads it: JSON, gzip, base64."""
    text = json.dumps(jsonable(payload), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), compresslevel=6))


def _text(name: str) -> str:
    return (resources.files("raymimic.report").joinpath("page") / name).read_text("utf-8")


def _library() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError:
        raise MissingExtra('the report needs plotly: pip install "raymimic[report]"') from None
    return str(get_plotlyjs())
