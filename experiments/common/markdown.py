"""Numbers and tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def number(value: float, digits: int = 3) -> str:
    """Fixed digits below 10 (".104", "-.020"), three significant ones above, a dash for NaN."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    if abs(round(value, digits)) >= 10:
        return f"{value:.3g}" if abs(value) >= 1e5 else f"{value:.{int(abs(value) < 100)}f}"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def signed(value: float, digits: int = 3) -> str:
    return ("+" if value > 0 else "") + number(value, digits)


def between(low: float, high: float) -> str:
    return f"[{number(low)}, {number(high)}]"


def percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f}%"


def chance(p: float) -> str:
    """A p-value."""
    if math.isnan(p):
        return "–"
    return "<.001" if p < 0.001 else number(p)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
