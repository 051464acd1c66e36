"""The scale study on sixty trials: it plays Tune's controller and gives every column."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]


def test_every_trial_ends_and_every_aim_has_its_numbers(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "experiments.scale.run",
        "--quick", "--part", "controller", "--trials", "60",
        "--epochs", "10", "--in-flight", "20", "--window", "30", "--out", str(tmp_path),
    ]  # fmt: skip
    table = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    arms = json.loads((tmp_path / "controller.json").read_text())["arms"]
    assert set(arms) == {"no stopping", "stopping"}
    for arm in arms.values():
        last = arm["rows"][-1]
        assert (last["ended"], sum(last["started_by"].values())) == (60, 60)
        assert last["result_cpu_p99_us"] >= last["result_cpu_median_us"] > 0
        assert last["prompt_tokens_max"] is None or last["prompt_tokens_max"] > 500
        assert last["restored_ended"] == 60
        assert min(last["ledger_mb"], last["save_mb"], last["save_wall_ms_max"]) > 0
        assert 0 <= arm["whole"]["waiting_time_share"] <= 1
    whole, stopping = (arms[name]["whole"]["results"] for name in ("no stopping", "stopping"))
    assert 550 < whole <= 600  # a few trials crash
    assert stopping < whole
    assert table.count("\n| ") > 15
    assert "none" not in table
    assert (tmp_path / "scale.png").exists()
