"""The raw record: one Parquet file per (task, method, seed), one row per trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.common.record import file_name, whole

SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("method", pa.string()),
        ("seed", pa.int64()),
        ("trial", pa.int64()),
        ("source", pa.string()),
        ("score", pa.float64()),
        ("value", pa.float64()),
        ("regret", pa.float64()),
        ("test", pa.float64()),
        ("epochs", pa.int64()),
        ("epochs_full", pa.int64()),
        ("ask_seconds", pa.float64()),
        ("train_seconds", pa.float64()),
        ("tokens_in", pa.int64()),
        ("tokens_out", pa.int64()),
        ("cost", pa.float64()),
        ("fallback", pa.bool_()),
        ("config", pa.string()),
        ("stopped", pa.bool_()),
        ("mode", pa.string()),
    ]
)

_BUDGET = b"trials"


def path_of(out: Path, task: str, method: str, seed: int) -> Path:
    """Where the record of one search lies."""
    return out / "raw" / task / file_name(method) / f"{seed}.parquet"


def write(path: Path, rows: list[dict[str, Any]], budget: int) -> None:
    """Write the rows so that the file is there whole or not at all."""
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with whole(path) as draft:
        pq.write_table(table.replace_schema_metadata({_BUDGET: str(budget)}), draft)


def budget_of(path: Path) -> int | None:
    """The budget in trials of the search recorded there; None if there is no record."""
    if not path.exists():
        return None
    return int(pq.read_schema(path).metadata[_BUDGET])
