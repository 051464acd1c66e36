"""Each example is short, runs against its real library, and our words arrive where people look.

Where a library is not installed (``pip install "raymimic[integrations]"``) its test skips and says
so.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here", "quiet_ray")]


def run(name: str, needs: str = "ray", **arguments: Any) -> Any:
    """Run an example's ``main``; each result must say who proposed it, and why."""
    pytest.importorskip(needs, reason=f"{needs} is not installed: examples/{name}.py was not run")
    results = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](**arguments)
    assert not results.errors
    for result in results:
        assert result.metrics["raymimic/source"] in {"heuristic", "statistical"}
        assert result.metrics["raymimic/reason"]
        assert len(result.metrics["raymimic/why"]) <= 20
        assert result.metrics["raymimic/decision"]
    return results


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path) -> None:
    assert len(path.read_text().splitlines()) < 30


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("lightning_tune", "lightning"),
        ("xgboost_tune", "xgboost"),
        ("lightgbm_tune", "lightgbm"),
        ("train_in_tune", "lightning"),  # Ray is all it needs, but it takes a minute
    ],
)
def test_a_training_library_reports_each_round(name, needs) -> None:
    for result in run(name, needs):
        assert result.metrics["val_loss"] > 0
        assert result.metrics["training_iteration"] >= 2


def test_tensorboard_has_the_words_as_text(monkeypatch) -> None:
    monkeypatch.delenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS")
    for result in run("tensorboard_text", "tensorboardX"):
        (events,) = Path(result.path).glob("events.out.tfevents*.raymimic")
        kept = events.read_bytes()
        for name in ("source", "reason", "decision"):
            assert f"raymimic/{name}".encode() in kept
            assert result.metrics[f"raymimic/{name}"].encode() in kept


def test_mlflow_has_them_as_tags(tmp_path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: its tags are untested")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    results = run("mlflow_logger", store=store)
    client = mlflow.MlflowClient(store)
    known = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = {found.data.tags["raymimic.reason"]: found for found in client.search_runs(known)}
    assert len(runs) == len(results)
    for result in results:
        tags = runs[result.metrics["raymimic/reason"]].data.tags
        assert tags["raymimic.source"] == result.metrics["raymimic/source"]
        assert tags["raymimic.decision"] == result.metrics["raymimic/decision"]


def test_weights_and_biases_has_them_as_columns(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    pytest.importorskip("wandb", reason="wandb is not installed: its columns are untested")
    for result in run("wandb_logger", dir=str(tmp_path), mode="offline"):
        (kept,) = (tmp_path / "wandb").glob(f"offline-run-*/run-{result.metrics['trial_id']}.wandb")
        for name in ("source", "why", "reason", "verdict", "decision"):
            assert f"raymimic/{name}".encode() in kept.read_bytes()
