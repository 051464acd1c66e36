"""The GPU study on a tiny model of random weights: all of its parts run, none is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

for library in ("trl", "peft", "datasets", "transformers", "llguidance"):
    pytest.importorskip(library, reason='needs pip install "raymimic[invention]"')

from experiments.self_developing import gsm8k  # noqa: E402
from raymimic.errors import SandboxError  # noqa: E402
from raymimic.evolution.sandbox.probe import mechanism  # noqa: E402
from raymimic.testing.tiny_model import build_tiny_model  # noqa: E402


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so #### 1,234", "1234"),
        ("#### 12.50", "12.5"),
        ("that is 7, then 30", "30"),
        ("#### -3 apples of 5", "-3"),
        ("none", None),
        ("#### 100", "100"),
    ],
)
def test_the_number_of_an_answer(text: str, number: str | None) -> None:
    assert gsm8k.number_of(text) == number


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
def test_the_study_runs_from_end_to_end(tmp_path: Path) -> None:
    try:
        mechanism("auto")
    except SandboxError as error:
        pytest.skip(f"THE SANDBOX WAS NOT TESTED: {error}")
    base, *experts = [build_tiny_model(tmp_path / f"m{seed}", seed=seed) for seed in range(3)]
    row = json.dumps({"question": "1 + 1?", "answer": "It is #### 2"})
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text(f"{row}\n{row}\n")
    gsm8k.main(
        [
            "--base", base, "--experts", ",".join(experts), "--generator", base,
            "--data", str(tmp_path), "--dev", "2", "--tokens", "4", "--iterations", "1",
            "--programs", "2", "--transfer", base, "--out", str(tmp_path / "out"),
        ]
    )  # fmt: skip
    events = [json.loads(line) for line in (tmp_path / "out/ledger.jsonl").read_text().splitlines()]
    scored = [row for row in events if row["event"] == "program_end"]
    assert [row["status"] for row in scored] == ["done", "done"]  # the references
    assert set(next(row for row in events if row["event"] == "test")["scores"]) == {"0", "1"}
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert [name.partition(":")[0] for name in scores] == [
        "reference", "reference", "task arithmetic", "ties", "transfer", "transfer"
    ]  # fmt: skip
