"""The README's promises: few words before the first code, and code that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text() if README.exists() else ""
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
EXAMPLES = ["use-it", "branches", "one-call", "stop", "objectives", "watch-it", "limits"]
EXAMPLES += ["limits-of-results", "start-from", "steer", "guide"]


def test_at_most_100_words_before_the_first_code():
    assert 0 < len(TEXT.partition("```")[0].split()) <= 100


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
@pytest.mark.parametrize("code", PYTHON, ids=EXAMPLES)
def test_every_python_example_runs(code, tmp_path, monkeypatch):
    """Word for word, but for the number of trials."""
    monkeypatch.chdir(tmp_path)
    exec(re.sub(r"num_samples=\d+", "num_samples=2", code), {"__name__": "example"})


def test_ci_runs_the_test_command_of_the_readme():
    script = (README.parent / ".ci" / "run").read_text()
    assert "README.md" in script
    assert 'pip install ".[test]" && pytest' in TEXT.partition("## Test it")[2]
