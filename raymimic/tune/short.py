"""Short forms of the reasons that the product says, for a line of a terminal or a table's cell."""

from __future__ import annotations

import re

CELL = 20
"""Characters that Tune's tables show of a text: of longer ones only the last 17."""

# What may be left out, in this order: each is a frame around what a trial tries, or its details.
_FRAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"; belief from [^;]*", ""),
        (r"^first guess from .*; moved to what you allow \(.*?\): (?=\S)", ""),
        (r"; the rest(?:: |\b as )[^;)]*", ""),
        (r"^first guess from [^:]*: ", ""),
        (r"; expected improvement (\S+) sd over the best predicted so far", r"; +\1 sd"),
        (r"; expected to add (\S+) of the volume before the front", r"; +\1 of the volume"),
        (r" from the best, trial (\S+) \([^)]*\)", r" from trial \1"),
        (r"^random, in place of a proposal that was refused \((.*)\)$", r"refused: \1"),
        (r"^random fallback: ", "random: "),
        (r", so distance from what is known counts$", ""),
        (r" \([^()]*\)", ""),
        (r"; about \S+ s an epoch, (\S+) x the time of the best", r"; \1 x its time"),
        (r"; \+\S+ sd", ""),
        (r" from trial [^\s;]+", ""),
    )
)

_CHANGE = re.compile(r" \S+ -> (?=\S)")
"""In "lr 0.1 -> 0.03", what stands between the name and the new value."""


def short_reason(text: str, width: int) -> str:
    """Give a reason in at most ``width`` characters, one line: what it is about stays in front.

    Frame words go first, then sources and details, then whole parts from the end.

    >>> short_reason("lr 0.1 -> 0.03 from the best, trial 7 (0.5); belief from you", 24)
    'lr 0.1 -> 0.03'
    """
    text = " ".join(text.split())
    for frame, instead in _FRAMES:
        if len(text) <= width:
            return text
        text = frame.sub(instead, text)
    if len(re.split("[,;] ", text, maxsplit=1)[0]) >= width:
        text = _CHANGE.sub(" ", text)
    return cut(text, width)


def cut(text: str, width: int) -> str:
    """Give the beginning of a text that fits, up to the end of a part or a word, and "…"."""
    if len(text) <= width:
        return text
    room = text[: max(0, width - 1)]
    for end in ("; ", ", ", " "):
        found = text[:width].rfind(end)
        if found >= width // 2:
            return room[:found].rstrip(" ,;:") + "…"
    return room + "…"
