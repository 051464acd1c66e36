"""The command line as a user meets it."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys

import pytest

from raymimic import events
from raymimic.cli import main
from raymimic.ledger import Ledger
from raymimic.space import FloatRange, SearchSpace

SCRIPT = """
from ray import tune
from raymimic import LLMSearcher

def train(config):
    raise SystemExit("a dry run trains nothing")

try:
    tune.{entry}
except Exception:
    raise SystemExit("a dry run is not swallowed by the script")
"""
TUNER = """Tuner(
    train, param_space={"lr": tune.loguniform(1e-5, 1.0), "fixed": 3},
    tune_config=tune.TuneConfig(metric="val_loss", mode="min", num_samples=3,
        search_alg=LLMSearcher(instruction="be bold"))).fit()"""
RUN = """run(
    train, config={"lr": tune.loguniform(1e-5, 1.0)}, metric="val_loss", mode="min",
    num_samples=3, search_alg=LLMSearcher(instruction="be bold"))"""


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
@pytest.mark.parametrize("entry", [TUNER, RUN], ids=["Tuner", "tune.run"])
def test_prompt_of_a_script_is_shown_without_running_it(entry, tmp_path, capsys):
    script = tmp_path / "search.py"
    script.write_text(SCRIPT.replace("{entry}", entry))
    assert main(["prompt", str(script)]) == 0
    shown = capsys.readouterr().out
    assert "- lr: " in shown
    assert 'The user says: "be bold"' in shown
    assert re.search(r"Propose exactly \d new configuration", shown)
    assert "at most $0.00" in shown
    assert "Nothing was sent." in shown
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_script_without_a_search_is_told_so(tmp_path, capsys):
    script = tmp_path / "nothing.py"
    script.write_text("print('hello')")
    assert main(["prompt", str(script)]) == 2
    assert "must start a search with LLMSearcher" in capsys.readouterr().err


def test_prompt_of_a_ledger_shows_the_next_question(tmp_path, capsys):
    rows = [
        {"event": "search", "t": 0.0, "metric": "loss", "mode": "min", "advisor": "m", "batch": 4,
         "trials_total": 10, "instruction": "", "space": {"dimensions": {}}},
        {"event": "proposal", "id": 0, "t": 1.0, "source": "llm", "config": {"x": 0.5},
         "rationale": "the middle", "expected": 0.2, "repairs": [], "made_from": 0},
        {"event": "start", "t": 1.0, "trial_id": "a", "proposal": 0},
        {"event": "outcome", "t": 9.0, "trial_id": "a", "status": "done", "score": 0.25,
         "seconds": 8.0, "error": "",
         "curve": {"epochs": [1, 2], "columns": {"loss": [1.0, 0.25]}}},
        {"event": "drop", "t": 9.5, "reason": "repeat", "text": "x 0.5 was proposed before"},
    ]  # fmt: skip
    from raymimic.space import FloatRange, SearchSpace

    rows[0]["space"] = SearchSpace({"x": FloatRange(0, 1)}).to_json()
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"torn')
    assert main(["prompt", str(ledger)]) == 0
    shown = capsys.readouterr().out
    assert 'loss 0.25 in trial a: {"x": 0.5}' in shown
    assert "loss 1:1 2:0.25" in shown
    assert '"the middle" expected 0.2, got 0.25' in shown
    assert '"x 0.5 was proposed before"' in shown
    assert "9 of 10 left to start" in shown
    assert "Propose exactly 4" in shown  # a model that has just won is asked for the whole batch


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prompt", "nowhere.jsonl"], "nowhere.jsonl"),
        (["demo", "--data", "mnist"], "--data-dir"),
        (["demo", "--llm", "gpt", "--trials", "1"], "anthropic:MODEL"),
        (["demo", "--llm", "anthropic:", "--trials", "1"], "ANTHROPIC_API_KEY"),
    ],
)
def test_our_errors_are_one_line_with_the_cure(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr().err.strip()
    assert message in shown
    assert "Traceback" not in shown


def test_the_installed_package_runs_from_anywhere(tmp_path):
    """Every public name is there, and the command line answers; a module of its own, elsewhere."""
    code = (
        "import sys, raymimic, raymimic.cli; [getattr(raymimic, n) for n in raymimic.__all__]; "
        "sys.exit(raymimic.cli.main(['prompt', 'nowhere.jsonl']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert ran.returncode == 2, ran.stderr
    assert "nowhere.jsonl" in ran.stderr


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
def test_the_demo_searches_prints_and_leaves_its_results(tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO, "raymimic")
    out = tmp_path / "out"
    command = ["demo", "--trials", "3", "--epochs", "2", "--train-samples", "200"]
    assert main([*command, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "no key found: keyless heuristic advisor" in caplog.text
    line = r"^\[\d/3 · .*?\]  \w+  val_loss .*(?:heuristic|statistical|random): .*$"
    assert len(re.findall(line, shown, re.MULTILINE)) == 3
    assert shown.count("3 trials ended (done 3)") == 1
    assert "trials ended" not in caplog.text  # said once
    assert f"Results: {out}" in shown
    result = json.loads((out / "result.json").read_text())
    assert 0 <= result["test_accuracy"] <= 1
    files = {path.name for path in out.iterdir()}
    assert {"ledger.jsonl", "trials.csv", "curves.parquet", "result.json"} <= files


def test_a_terminal_that_cannot_show_a_word_ends_no_command(tmp_path):
    ledger, space = Ledger(tmp_path / "ledger.jsonl"), SearchSpace({"x·": FloatRange(0.0, 1.0)})
    events.search(
        ledger.append, metric="perté", mode="min", others=(), advisor="a",
        space=space.to_json(), trials_total=None, seconds_total=None, concurrency=None, batch=4,
        seed=0, instruction="— 你好",
    )  # fmt: skip
    ledger.flush()
    shown = subprocess.run(
        [sys.executable, "-m", "raymimic.cli", "prompt", str(ledger.path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "pert?" in shown.stdout
