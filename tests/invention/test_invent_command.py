"""``raymimic invent`` on a setup file, and what it says of one that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="merging programs are torch programs")

from raymimic.cli import main
from raymimic.errors import SandboxError
from raymimic.evolution.sandbox.probe import mechanism

SETUP = """
import torch
from raymimic import MergeTask

experts = {"right": torch.tensor([1.0, 0.0]), "up": torch.tensor([0.0, 2.0])}
task = MergeTask({"w": torch.zeros(2)}, {name: {"w": w} for name, w in experts.items()})


def evaluate(state):
    return -float((state["w"] - torch.tensor([1.0, 2.0])).norm())


test = evaluate
"""


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
def test_it_runs_shows_each_program_and_goes_on_where_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        mechanism("auto")
    except SandboxError as error:
        pytest.skip(f"THE SANDBOX WAS NOT TESTED: {error}")
    (tmp_path / "setup.py").write_text(SETUP)
    command = [
        "invent", str(tmp_path / "setup.py"), "--llm", "none", "--iterations", "1",
        "--programs", "3", "--concurrent", "1", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "program 0 (reference: the base model) -2.236 *best*" in said
    assert "3 samples" in said
    best = next((tmp_path / "out" / "algorithms").glob("01_*.py")).read_text()
    assert "on the test data, read once" in best
    assert main(command) == 0
    assert "holds 5 scored programs: going on from there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "must define task = raymimic.MergeTask"),
        (SETUP.replace("def evaluate", "def score").replace("test = evaluate", ""), "evaluate"),
        (SETUP.replace("test = evaluate", "test = 3"), "test"),
    ],
)
def test_a_setup_that_lacks_something_says_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "setup.py").write_text(text)
    assert main(["invent", str(tmp_path / "setup.py"), "--llm", "none"]) == 2
    assert words in capsys.readouterr().err


def test_a_missing_setup_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["invent", str(tmp_path / "none.py")]) == 2
    assert "none.py" in capsys.readouterr().err
