"""A search on real Ray Tune whose model runs in the driver's process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raymimic import LLMSearcher, read_events


def tiny(kind: str, folder: Path) -> str:
    """The ``llm`` setting of a model of random weights, made on the spot."""
    if kind == "llamacpp":
        for library in ("llama_cpp", "gguf"):
            pytest.importorskip(library, reason='needs pip install "raymimic[llamacpp]" gguf')
        from raymimic.testing.tiny_gguf import build_tiny_gguf

        return f"llamacpp:{build_tiny_gguf(folder / 'tiny.gguf')}"
    for library in ("transformers", "llguidance"):
        pytest.importorskip(library, reason='needs pip install "raymimic[transformers]"')
    from raymimic.testing.tiny_model import build_tiny_model

    return f"transformers:{build_tiny_model(folder / 'model')}"


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("kind", ["transformers", "llamacpp"])
def test_a_tiny_model_proposes_trials_that_run(tmp_path: Path, kind: str) -> None:
    llm = tiny(kind, tmp_path)
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        for epoch in range(3):
            tune.report({"loss": (config["x"] - 0.3) ** 2 + 1 / (epoch + 1)})

    ledger = tmp_path / "ledger.jsonl"
    searcher = LLMSearcher(llm=llm, ledger=str(ledger), timeout=300, patience=300)
    results = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0.0, 1.0), "act": tune.choice(["relu", "tanh"])},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            search_alg=searcher,
            num_samples=6,
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "runs"), verbose=0),
    ).fit()
    rows = list(read_events(str(ledger)).rows)
    calls = [row for row in rows if row["event"] == "call"]
    assert len(results) == 6
    assert not results.errors
    assert {call["status"] for call in calls} == {"ok"}
    assert any(row["source"] == "llm" for row in rows if row["event"] == "proposal")
