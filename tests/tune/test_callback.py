"""What the screen says of a trial; the callback in real runs is in test_real_runs.py."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from raymimic import RaymimicCallback


def run(callback: RaymimicCallback, trial_id: str, losses: list[float]) -> None:
    trial = SimpleNamespace(trial_id=trial_id)
    for epoch, loss in enumerate(losses, start=1):
        callback.on_trial_result(0, [], trial, {"loss": loss, "training_iteration": epoch})
    callback.on_trial_complete(0, [], trial)


def test_a_trial_that_ends_in_nan_has_no_score_and_is_never_the_best(capsys):
    callback = RaymimicCallback(metric="loss", mode="min")
    callback.setup(total_num_samples=3)
    run(callback, "good", [2.0, 1.0])
    run(callback, "broken", [0.5, math.nan])
    run(callback, "better", [2.0, 0.75])
    good, broken, better = capsys.readouterr().out.splitlines()
    assert good.startswith("[1/3 · ")
    assert "loss 1 *best*" in good
    assert "trial broken  no finite loss after 2 epochs" in broken
    assert "loss 0.75 *best*" in better


def test_without_a_searcher_it_needs_metric_and_mode():
    with pytest.raises(ValueError, match="metric="):
        run(RaymimicCallback(), "a", [1.0])
