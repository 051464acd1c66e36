"""Where the memory of a search goes, by the file that allocated it (tracemalloc)."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

from experiments.scale.controller import Plan
from experiments.scale.search import run_search

_SHOWN = 8


def traced(folder: Path, trials: int, epochs: int, seed: int) -> dict[str, Any]:
    """Bytes that Python objects hold after a search without stopping, for each epoch-row."""
    in_flight = max(2, trials // 5)
    plan = Plan(trials, epochs, in_flight, 1.0, trials, (), seed, faults=False)
    tracemalloc.start()
    try:
        controller = run_search(plan, folder)
        held = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    rows = controller.whole()["results"]
    ours = held.filter_traces([tracemalloc.Filter(True, "*raymimic/*")])
    by_file = {
        "/".join(Path(stat.traceback[0].filename).parts[-2:]): stat.size / rows
        for stat in ours.statistics("filename")
    }
    return {
        "epoch_rows": rows,
        "bytes_per_epoch_row": sum(by_file.values()),
        "by_file": dict(list(by_file.items())[:_SHOWN]),
    }
