"""What an earlier search learnt, read from its ``lessons.md``.

The file is text that a person may edit or a stranger may have written: it is read with bounds,
and everything taken from it is checked again before use.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any, NoReturn

from raymimic.advisor.base import Lesson, Lessons
from raymimic.errors import BadReply, LessonsError
from raymimic.llm import read_object
from raymimic.records import Mode

TITLE = "# Lessons of a raymimic search"
BEST_TITLE = "## Best configurations"
"""The line that opens the file, and the one above the configurations, which are read back."""

MAX_CHARS = 512 * 1024
"""A longer file is refused; what raymimic writes has about 6,000 characters."""

_METRIC = re.compile(r'Metric ("(?:[^"\\]|\\.)*"), (lower|higher) is better; (\d{1,9}) trials? ')
_POINT = re.compile(r"- (\S{1,40}): (\{.*\})\s*")
_CURE = (
    "write one with searcher.write_lessons(path) or `raymimic lessons LEDGER -o lessons.md`; "
    "words of your own belong into instruction="
)


def read_lessons(source: str | os.PathLike[str]) -> Lessons:
    """Read a file of lessons, or their text itself (a string of several lines).

    Raises `LessonsError` for a file that cannot be read or holds no lessons.
    """
    if isinstance(source, str) and "\n" in source:
        return parse_lessons(source, "the given text")
    path = Path(source)
    try:
        text = _start_of(path.expanduser()).decode("utf-8-sig")
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: "~" of no known user
        reason = getattr(error, "strerror", None) or error
        _refuse(f"{str(source)[:200]!r} ({reason})")
    return parse_lessons(text, path.name)


def _start_of(path: Path) -> bytes:
    """A file's bytes, never many more than are allowed; raises `LessonsError` for a device."""
    if path.exists() and not path.is_file():
        _refuse(f"{str(path)[:200]!r}, which is no file")
    with open(path, "rb") as file:
        data = file.read(4 * MAX_CHARS + 1)
    if len(data) > 4 * MAX_CHARS:  # UTF-8 takes four bytes a character at most
        _refuse(f"{path.name!r} of more than {4 * MAX_CHARS:,} bytes, the limit")
    return data


def parse_lessons(text: str, name: str) -> Lessons:
    """Read the text of a file called ``name``; raises `LessonsError`."""
    if len(text) > MAX_CHARS:
        _refuse(f"{name!r} with {len(text):,} characters, the limit is {MAX_CHARS:,}")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if lines[0].rstrip() != TITLE:
        _refuse(f"{name!r} that begins with {lines[0][:60]!r} instead of {TITLE!r}")
    found = next((match for line in lines if (match := _METRIC.match(line))), None)
    if found is None:
        _refuse(f"{name!r} without its line 'Metric \"...\", lower is better; N trials ended'")
    metric = _read_json(f'{{"metric": {found[1]}}}', name)["metric"]
    mode: Mode = "min" if found[2] == "lower" else "max"
    best = tuple(_read_point(line, name) for line in _points(lines))
    return Lessons(name, text, metric, mode, int(found[3]), best)


def write_lessons_file(path: str | os.PathLike[str], text: str) -> None:
    """Write a file of lessons; raises `LessonsError` if the disk does not let us."""
    try:
        data = text.encode("utf-8", "backslashreplace")  # half a surrogate pair in a name
        Path(path).expanduser().write_bytes(data)
    except (OSError, ValueError, RuntimeError) as error:
        raise LessonsError(f"lessons must go to a file that can be written, got {error}") from None


def _points(lines: list[str]) -> list[str]:
    """The list under the title of the best configurations; words between its items are skipped."""
    if BEST_TITLE not in lines:
        return []
    points = []
    for line in lines[lines.index(BEST_TITLE) + 1 :]:
        if line.startswith("#"):
            break
        if line.startswith("- "):
            points.append(line)
    return points


def _read_point(line: str, name: str) -> Lesson:
    found = _POINT.fullmatch(line)
    try:
        score = float(found[1]) if found else math.nan
    except ValueError:
        score = math.nan
    if found is None or not math.isfinite(score):
        _refuse(f"{name!r} with the line {line[:60]!r} where '- SCORE: {{configuration}}' is due")
    return Lesson(score, _read_json(found[2], name))


def _read_json(text: str, name: str) -> dict[str, Any]:
    try:
        return read_object(text)
    except BadReply as error:
        reason = str(error).partition(": ")[2]
        _refuse(f"{name!r} whose {text[:60]!r} is no JSON that can be used ({reason})")


def _refuse(came: str) -> NoReturn:
    raise LessonsError(f"lessons must be a file that raymimic wrote, got {came}; {_CURE}")
