"""The rows of searches: one Parquet file per (task, method, seed), one row per trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
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


def read_raw(out: Path) -> pd.DataFrame:
    """All rows under ``out/raw``, sorted; ValueError if there are none or they contradict."""
    files = sorted(str(path) for path in (out / "raw").rglob("*.parquet"))
    if not files:
        raise ValueError(f"no records under {out / 'raw'}; run the methods first (run.py)")
    table = pyarrow.dataset.dataset(files, schema=SCHEMA, format="parquet").to_table()
    return tidy(table.to_pandas())


def tidy(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in order of task, method, seed, trial, with nothing missing that can be filled."""
    rows = rows.copy()
    if "mode" not in rows:
        rows["mode"] = "min"
    rows["mode"] = rows["mode"].fillna("min")
    for flag in ("fallback", "stopped"):
        rows[flag] = rows[flag].fillna(False).astype(bool)
    for amount in ("ask_seconds", "train_seconds", "tokens_in", "tokens_out", "cost"):
        rows[amount] = rows[amount].astype(float).fillna(0.0)
    rows = rows.sort_values(["task", "method", "seed", "trial"], ignore_index=True)
    twice = rows[rows.duplicated(["task", "method", "seed", "trial"])]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(
            f"a trial must be recorded once; {first.task} / {first.method} / seed {first.seed} / "
            f"trial {first.trial} came twice; delete the stale file"
        )
    _check_directions(rows)
    return rows


def _check_directions(rows: pd.DataFrame) -> None:
    """Where the regret is known, it must rise as the value gets worse in the recorded mode."""
    known = rows[np.isfinite(rows["regret"]) & np.isfinite(rows["value"])]
    for task, part in known.groupby("task"):
        worst, best = part.loc[part["regret"].idxmax()], part.loc[part["regret"].idxmin()]
        sign = -1.0 if part["mode"].iloc[0] == "max" else 1.0
        if sign * (worst["value"] - best["value"]) < 0:
            raise ValueError(
                f"regret of {task} falls as its value gets worse: record mode 'max' for a task "
                "whose score is to be maximised, 'min' otherwise"
            )
