"""The raw record: one JSON file per (study, size, arm, seed)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.common.record import file_name, whole


def path_of(out: Path, study: str, size: int, arm: str, seed: int) -> Path:
    """Where the record of one training lies."""
    return out / "raw" / study / str(size) / file_name(arm) / f"{seed}.json"


def write(path: Path, record: dict[str, Any]) -> None:
    """Write the record so that the file is there whole or not at all."""
    with whole(path) as draft:
        draft.write_text(json.dumps(record, indent=1) + "\n")


def read(path: Path) -> dict[str, Any]:
    """The record at ``path``."""
    return json.loads(path.read_text())


def read_all(out: Path) -> list[dict[str, Any]]:
    """All records under ``out``, in a fixed order."""
    return [read(path) for path in sorted(out.glob("raw/*/*/*/*.json"))]
