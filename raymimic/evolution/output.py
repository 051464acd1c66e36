"""Writes what an evolution found: the best programs, the picture, the tables."""

from __future__ import annotations

import re
from pathlib import Path

from raymimic.evolution.operators import RULE
from raymimic.evolution.picture import front_picture
from raymimic.evolution.state import State
from raymimic.evolution.table import edit_table, operator_table, summary


def write_results(state: State, folder: Path) -> list[Path]:
    """Write ``best/*.py`` (the front), ``front.svg`` and ``evolution.md``; return the files.

    The first line of each program says what it reached. Without an evaluated program only the
    tables are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "evolution.md"]
    text = f"# Evolution\n\n{summary(state)}\n\n## Operators\n\n{operator_table(state)}\n"
    if RULE in state.tally:
        text += f"\n{edit_table(state)}\n"
    files[0].write_text(text, encoding="utf-8")
    front = state.front()
    if front:
        files.append(folder / "front.svg")
        files[-1].write_text(front_picture(state), encoding="utf-8")
    best = folder / "best"
    best.mkdir(exist_ok=True)
    for one in front:
        values = ", ".join(f"{goal.name} {one.values[goal.name]:.6g}" for goal in state.objectives)
        reason = re.sub(r"\s+", " ", one.rationale)
        files.append(best / f"program_{one.id:04d}.py")
        head = f"# {values}; by {one.operator}. {reason}".rstrip()
        files[-1].write_text(f"{head}\n{one.source}", encoding="utf-8")
    return files
