"""The modulation study's machinery on twenty digits: it trains, reports, and goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytest.importorskip("raymimic.modulation")

import pandas as pd

ROOT = Path(__file__).parents[2]


def run(out: Path) -> str:
    command = [
        sys.executable, "-m", "experiments.modulation.run",
        "--study", "digits", "--sizes", "20", "--arms", "plain,guided",
        "--seeds", "2", "--out", str(out),
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_trains_both_arms_reports_them_in_pairs_and_repeats_nothing(tmp_path: Path) -> None:
    assert "4 trainings to run" in run(tmp_path)

    rows = pd.read_parquet(tmp_path / "results.parquet")
    assert sorted(zip(rows["arm"], rows["seed"], strict=True)) == [
        ("guided", 0), ("guided", 1), ("plain", 0), ("plain", 1),
    ]  # fmt: skip
    assert rows["last_test_accuracy"].between(0, 1).all()
    assert "| guided | 2 |" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "plot.png").exists()

    assert "0 trainings to run (trainings)" in run(tmp_path)
