"""`SelfDevelopingSearch` on real Ray Tune, and its generator's training by DPO."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="merging programs are torch programs")

from merges import evaluate, tiny_merge

from raymimic import SelfDevelopingSearch, merge_trainable, read_events
from raymimic.errors import SandboxError


def run(search: SelfDevelopingSearch, storage: Path, samples: int) -> Any:
    from ray import tune

    def score(state: dict[str, Any]) -> dict[str, float]:  # pickled by value: no module of tests
        import torch

        return {
            "score": -float((state["w"] - torch.tensor([1.0, 2.0])).norm()),
            "score_error": 0.01,
        }

    try:
        trainable = merge_trainable(search.task, score)
    except SandboxError as error:
        pytest.skip(f"THE SANDBOX WAS NOT TESTED: {error}")
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            metric="score", mode="max", search_alg=search, num_samples=samples,
            max_concurrent_trials=2, reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(storage), verbose=0),
    ).fit()  # fmt: skip


def test_a_fault_of_ours_is_said_without_keys_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    search = SelfDevelopingSearch(tiny_merge(), llm="none", ledger=tmp_path / "l.jsonl")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the key sk-ant-api03-abcdefghijklmnopqrstuvwxyz012345 was refused")

    monkeypatch.setattr(search.invention, "ask", broken)
    monkeypatch.setattr(logging.getLogger("raymimic"), "propagate", True)
    assert search.suggest("t0") is None
    assert "RuntimeError" in caplog.text
    assert "abcdefghijklmnop" not in caplog.text


def test_a_ledger_without_a_named_place_lies_with_the_experiment_and_moves_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    search = SelfDevelopingSearch(tiny_merge(), llm="none", seed=0)
    assert search.suggest("a") is not None
    (tmp_path / "run").mkdir()
    search.save_to_dir(str(tmp_path / "run"))
    search.on_trial_complete("a", {"score": 0.5, "training_iteration": 1})
    search.invention.ledger.flush()
    assert search.ledger_path.parent == tmp_path / "run"
    assert "program_end" in search.ledger_path.read_text()
    assert not list((tmp_path / "home").rglob("*.jsonl"))
    (tmp_path / "run").rename(tmp_path / "moved")
    again = SelfDevelopingSearch(tiny_merge(), llm="none", seed=0)
    again.restore_from_dir(str(tmp_path / "moved"))
    assert again.ledger_path.parent == tmp_path / "moved"
    assert len(again.invention.state.of_status("done")) == 1


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
def test_random_programs_beat_the_average_and_the_best_is_tested_once(tmp_path: Path) -> None:
    search = SelfDevelopingSearch(
        tiny_merge(), llm="none", iterations=1, programs=12, seed=0, ledger=tmp_path / "l.jsonl"
    )
    results = run(search, tmp_path / "runs", samples=30)
    assert len(results) == 14  # it ends by itself
    best = search.best()
    assert best is not None
    assert best.score > -1.118
    scores = search.test(lambda state: evaluate(state)["score"], count=1)
    assert scores[best.number] == pytest.approx(best.score)
    files = search.write_results(tmp_path / "out")
    assert "def merge(task_vectors, base):" in files[1].read_text()
    assert "| 1 | 12 |" in files[0].read_text()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
def test_a_local_generator_is_trained_between_iterations(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for library in ("trl", "peft", "datasets", "transformers", "llguidance"):
        pytest.importorskip(library, reason='needs pip install "raymimic[invention]"')
    from raymimic.invention.dpo import DpoSettings
    from raymimic.testing.tiny_model import build_tiny_model

    caplog.set_level(logging.ERROR)
    folder = build_tiny_model(tmp_path / "model")
    search = SelfDevelopingSearch(
        tiny_merge(), llm=f"transformers:{folder}", iterations=2, programs=4, seed=0,
        dpo=DpoSettings(rank=4, batch_size=2), ledger=tmp_path / "l.jsonl",
    )  # fmt: skip
    run(search, tmp_path / "runs", samples=30)
    rows = list(read_events(tmp_path / "l.jsonl").rows)
    assert search.invention.over
    assert [row["iteration"] for row in rows if row["event"] == "learnt"] == [1]
    # A model of random weights writes no valid program: all samples are refused, none is a trial.
    assert sum(search.invention.state.rejected.values()) == 8
