"""The study of one mind in three searches, offline: the keyless search of it, and what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.common import tables, trial_rows
from experiments.head_to_head import same_mind


def small_table(folder: Path) -> None:
    """A grid of 60 rows under the name of a known table."""
    rows = [(lr, width) for lr in (1e-4, 1e-3, 1e-2, 1e-1, 1.0) for width in range(8, 20)]
    about = {b"config_columns": json.dumps(["lr", "width"]), b"objective": "minimise loss"}
    table = pa.table(
        {
            "lr": [lr for lr, _ in rows],
            "width": [width for _, width in rows],
            "objective": [[abs(lr - 0.01) + width / 100] for lr, width in rows],
        }
    )
    path = folder / tables.SOURCES["hb_car"].file
    path.parent.mkdir(parents=True)
    pq.write_table(table.replace_schema_metadata(about), path)


def test_a_search_goes_through_its_tasks_without_naming_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_table(tmp_path)
    same_mind.run("keyless", 3, ["hb_car"], tmp_path, tmp_path / "out")
    same_mind.run("keyless", 3, ["hb_car"], tmp_path, tmp_path / "out")
    said = capsys.readouterr().out
    assert "1 of 1 pairs" in same_mind.show(tmp_path / "out")
    assert "task 1 of 1: trial 20 of 20" in said
    assert said.endswith("task 1 of 1: done before\n")
    assert "hb_car" not in said
    assert "keyless" not in said


def test_what_is_shown_are_means_over_what_all_searches_have(tmp_path: Path) -> None:
    kept = {"task": "t", "source": "llm", "value": 0.0, "epochs": 1, "epochs_full": 1}
    for task, arm, seed, regret in [
        ("a", "alone", 0, 0.3), ("a", "alone", 1, 0.5), ("a", "keyless", 0, 0.2),
        ("a", "keyless", 1, 0.2), ("b", "keyless", 0, 0.9),
    ]:  # fmt: skip
        rows = [
            {**kept, "task": task, "method": arm, "seed": seed, "trial": n, "mode": "min"}
            | {"score": regret, "value": regret, "regret": regret}
            for n in range(20)
        ]
        trial_rows.write(trial_rows.path_of(tmp_path, task, arm, seed), rows, 20)
    shown = same_mind.show(tmp_path)
    assert "2 of 3 pairs" in shown
    assert "| mean | .400 / .400 / .400 | .200 / .200 / .200 |" in shown
    assert "| seed 1 | .500 / .500 / .500 |" in shown
    assert "| a | +.200 / +.200 / +.200 |" in shown
