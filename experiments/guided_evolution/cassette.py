"""Recorded evolutions: what a model was asked and said, in a file that replays all of it.

The plans are recorded with their replies, and an evolution that finds both in its ledger goes on
with them. So a replay does not depend on which question was answered first, nor on a machine whose
accuracies differ in the last digit.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from raymimic import read_events
from raymimic.evolution import Program

Row = dict[str, Any]

_REPLAYED = ("evolution", "plan", "call")


def record(ledger: Path, cassette: Path) -> None:
    """Write a ledger's events into a compressed file."""
    cassette.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) + "\n" for row in read_events(ledger).rows]
    # Without a time stamp: the same ledger gives the same bytes.
    cassette.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


def recorded(cassette: Path) -> list[Row]:
    """All events of a recording; a plain ledger is one, too."""
    if cassette.suffix != ".gz":
        return list(read_events(cassette).rows)
    return [json.loads(line) for line in gzip.decompress(cassette.read_bytes()).splitlines()]


def seed_of(rows: Iterable[Row]) -> Program:
    """The program that a recorded evolution began with; what ships may be another by now."""
    return Program.parse(next(row["source"] for row in rows if row["event"] == "evolution"))


def insert(cassette: Path, ledger: Path) -> None:
    """Begin a ledger with a recording's plans and replies; one that is there is left alone."""
    if ledger.exists():
        return
    ledger.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for row in recorded(cassette) if row["event"] in _REPLAYED]
    ledger.write_text("".join(json.dumps(row) + "\n" for row in rows))
