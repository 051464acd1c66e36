"""One training under one arm, and the record of it."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import torch

from experiments.modulation import arms
from experiments.modulation.task import Mode, Study, Trainee


def train(
    study: Study,
    size: int,
    arm: str,
    seed: int,
    data_dir: Path | None = None,
    recipe: arms.Recipe | None = None,
    ledger: Path | None = None,
    tested: bool = True,
    metric: str | None = None,
) -> dict[str, Any]:
    """Train and return the record; the test data are read at the very end, unless not ``tested``.

    Two sets of weights are tested: "last", those that the run ends with (after the arm's last word,
    which may put a guided run back), and "best", those of the epoch with the best validation.
    ``metric`` is what counts as such, in place of the study's own.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # vanishing weights would slow a CPU tenfold
    begun = time.perf_counter()
    trainee = study.build(size, seed, data_dir)
    if metric is not None:
        trainee.metric, trainee.mode = metric, mode_of(metric)
    arm_ = arms.attach(arm, trainee, seed, recipe, ledger)
    rows, best_epoch, best_weights = _epochs(trainee, arm_, seed)
    trained = time.perf_counter() - begun
    record: dict[str, Any] = {
        "study": study.name, "size": size, "arm": arm, "seed": seed, "metric": trainee.metric,
        "mode": trainee.mode, "epochs": rows, "best_epoch": best_epoch,
        "best_val": rows[best_epoch - 1][trainee.metric], **arm_.summary(),
    }  # fmt: skip
    if tested:
        record["last"] = trainee.test()
        same = best_epoch == trainee.epochs and _equal(trainee.model.state_dict(), best_weights)
        if not same:
            trainee.model.load_state_dict(best_weights)
        record["best"] = record["last"] if same else trainee.test()
    record["train_seconds"], record["seconds"] = trained, time.perf_counter() - begun
    return record


def _epochs(
    trainee: Trainee, arm: arms.Arm, seed: int
) -> tuple[list[dict[str, Any]], int, dict[str, Any]]:
    """Rows of all epochs, the best epoch by validation (the first of equals) and its weights."""
    rows: list[dict[str, Any]] = []
    record: float | None = None
    best_epoch, best_weights = 0, {}
    for epoch in range(1, trainee.epochs + 1):
        # anew each epoch: whatever an arm drew meanwhile, dropout masks stay paired
        torch.manual_seed(1_000_003 * (seed + 1) + epoch)
        row = {
            "epoch": epoch,
            "lr": arm.lr,
            "dropout": arms.dropout_of(trainee.model),
            **{f"knob_{name}": float(arm.knobs[name]) for name in trainee.knobs},
        }
        metrics = trainee.epoch(arm.step, arm.knobs)
        value = float(metrics[trainee.metric])
        improved = not arms.worse(value, record, trainee.mode)
        if improved:
            record = value
        if improved or not best_weights:
            best_epoch, best_weights = epoch, copy.deepcopy(trainee.model.state_dict())
        arm.epoch_end(metrics)
        rows.append({**row, **metrics, **arm.told()})
    return rows, best_epoch, best_weights


def mode_of(metric: str) -> Mode:
    """Which way the metric is better, by its name."""
    return "max" if metric.endswith(("accuracy", "r2", "return")) else "min"


def _equal(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())
