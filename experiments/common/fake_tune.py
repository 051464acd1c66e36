"""Tune's part of a conversation without Tune: trials, and results as its controller words them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray import tune

SPACE = {
    "lr": tune.loguniform(1e-5, 1.0),
    "weight_decay": tune.loguniform(1e-6, 1e-1),
    "dropout": tune.uniform(0.0, 0.8),
    "width": tune.lograndint(8, 1024),
    "optimizer": tune.choice(["sgd", "adam", "adamw"]),
}


class FakeTrial:
    """What hooks see of a trial: an id, a configuration, and no file of an error."""

    def __init__(self, trial_id: str, config: Mapping[str, Any] | None = None) -> None:
        self.trial_id = trial_id
        self.evaluated_params = dict(config or {})
        self.status = "RUNNING"
        self.error_file = None
        self.local_path = None


def result_of(trial_id: str, metrics: Mapping[str, Any], epoch: int, length: int) -> dict[str, Any]:
    """One epoch's metrics among the entries that a real run of Tune adds, the config left out."""
    return {
        **metrics, "training_iteration": epoch, "trial_id": trial_id, "done": epoch == length,
        "time_this_iter_s": 1.0, "time_total_s": 1.0 * epoch, "pid": 1, "hostname": "h",
        "node_ip": "127.0.0.1", "time_since_restore": 1.0 * epoch,
        "iterations_since_restore": epoch, "timestamp": 1, "date": "d",
        "checkpoint_dir_name": None,
    }  # fmt: skip


def flat(result: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The result as searchers and schedulers see it."""
    return {**result, **{f"config/{name}": value for name, value in config.items()}}
