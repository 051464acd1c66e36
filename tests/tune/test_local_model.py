"""A search on real Ray Tune whose model runs in the driver's process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raymimic import LLMSearcher, read_events


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_tiny_model_proposes_trials_that_run(tmp_path: Path) -> None:
    for library in ("transformers", "llguidance"):
        pytest.importorskip(library, reason='needs pip install "raymimic[transformers]"')
    from ray import tune

    from raymimic.testing.tiny_model import build_tiny_model

    def train(config: dict[str, Any]) -> None:
        for epoch in range(3):
            tune.report({"loss": (config["x"] - 0.3) ** 2 + 1 / (epoch + 1)})

    folder = build_tiny_model(tmp_path / "model")
    ledger = tmp_path / "ledger.jsonl"
    searcher = LLMSearcher(llm=f"transformers:{folder}", ledger=str(ledger), timeout=300)
    results = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0.0, 1.0), "act": tune.choice(["relu", "tanh"])},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", search_alg=searcher, num_samples=6, max_concurrent_trials=2
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "runs"), verbose=0),
    ).fit()
    rows = list(read_events(str(ledger)).rows)
    calls = [row for row in rows if row["event"] == "call"]
    assert len(results) == 6
    assert not results.errors
    assert {call["status"] for call in calls} == {"ok"}
    assert any(row["source"] == "llm" for row in rows if row["event"] == "proposal")
