"""Runs raymimic with what else Ray Tune offers, and prints what came of each.

    python -m experiments.compatibility.run [--only WORD]

Small real runs on one local Ray. A row says how many trials ended of those asked for, how many of
them a scheduler stopped, or the error in its first words. docs/compatibility.md is written from it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import schedulers
from ray.tune.search import ConcurrencyLimiter, Repeater

from raymimic import LLMScheduler, LLMSearcher

TRIALS, EPOCHS = 6, 4
SPACE = {"lr": tune.loguniform(1e-4, 1.0), "width": tune.choice([32, 64])}


def train(config: Mapping[str, Any], offset: float = 0.0) -> None:
    """Four epochs, each with a checkpoint; goes on from one."""
    begun, checkpoint = 0, tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            begun = int(Path(folder, "epoch").read_text())
    for epoch in range(begun, EPOCHS):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "epoch").write_text(str(epoch + 1))
            loss = (config["lr"] - 0.1) ** 2 + 1.0 / (epoch + 1) + offset
            tune.report({"loss": loss}, checkpoint=tune.Checkpoint.from_directory(folder))


def fails(_: Mapping[str, Any]) -> None:
    raise RuntimeError("a failing trial")


def fit(
    search: Any = None,
    scheduler: Any = None,
    space: Mapping[str, Any] = SPACE,
    trainable: Any = train,
) -> str:
    """Run a Tuner and say what came of it."""
    config = tune.TuneConfig(
        metric="loss",
        mode="min",
        num_samples=TRIALS,
        max_concurrent_trials=2 if isinstance(search, LLMSearcher) else None,
        search_alg=search,
        scheduler=scheduler,
    )
    run = tune.RunConfig(storage_path=_STORAGE, verbose=0)
    return said(
        tune.Tuner(trainable, param_space=dict(space), tune_config=config, run_config=run).fit()
    )


def said(grid: Any) -> str:
    """The results in words."""
    epochs = [result.metrics.get("training_iteration", 0) for result in grid]
    whole = sum(epoch >= EPOCHS for epoch in epochs)
    failed = f", {grid.num_errors} failed" if grid.num_errors else ""
    return f"{len(grid)} trials ended, {whole} of them with all {EPOCHS} epochs{failed}"


def searcher(**more: Any) -> LLMSearcher:
    return LLMSearcher(llm="none", seed=0, ledger=f"{_STORAGE}/ledger.jsonl", **more)


def with_sample_from() -> str:
    space = {**SPACE, "twice": tune.sample_from(lambda spec: 2 * spec.config.width)}
    return fit(searcher(), space=space)


def with_grid() -> str:
    return fit(searcher(), space={"lr": tune.grid_search([0.1, 0.2])})


def mended(config: Mapping[str, Any], mark: str) -> None:
    """Fails until the file ``mark`` is there."""
    if not Path(mark).exists():
        raise RuntimeError("not yet mended")
    train(config)


def resumed() -> str:
    """tune.run with trials that all fail, then resume=."""
    mark = f"{_STORAGE}/mark"
    options: dict[str, Any] = {
        "config": SPACE, "metric": "loss", "mode": "min", "num_samples": TRIALS, "name": "resumed",
        "storage_path": _STORAGE, "verbose": 0, "raise_on_failed_trial": False,
    }  # fmt: skip
    trainable = tune.with_parameters(mended, mark=mark)
    tune.run(trainable, search_alg=searcher(), **options)
    Path(mark).touch()
    again = searcher()
    ended = tune.run(trainable, search_alg=again, resume="AUTO+RESTART_ERRORED", **options).trials
    whole = sum(trial.last_result.get("training_iteration") == EPOCHS for trial in ended)
    known = [trial for trial in again.evidence().trials if trial.score is not None]
    return f"{whole} of {TRIALS} trials whole after the resume, {len(known)} scores known to it"


def restored() -> str:
    mark = f"{_STORAGE}/mark"
    trainable = tune.with_parameters(mended, mark=mark)
    config = tune.TuneConfig(metric="loss", mode="min", num_samples=TRIALS, search_alg=searcher())
    run = tune.RunConfig(storage_path=_STORAGE, name="restored", verbose=0)
    tune.Tuner(trainable, param_space=dict(SPACE), tune_config=config, run_config=run).fit()
    Path(mark).touch()
    again = tune.Tuner.restore(
        f"{_STORAGE}/restored", trainable, param_space=dict(SPACE), restart_errored=True
    )
    return said(again.fit())


def pbt() -> Any:
    return schedulers.PopulationBasedTraining(
        perturbation_interval=1, hyperparam_mutations={"lr": tune.loguniform(1e-4, 1.0)}
    )


def bohb() -> Any:
    return schedulers.HyperBandForBOHB(max_t=EPOCHS, reduction_factor=2)


ROWS: dict[str, Callable[[], str]] = {
    "no scheduler": lambda: fit(searcher()),
    "ASHAScheduler": lambda: fit(
        searcher(), schedulers.ASHAScheduler(max_t=EPOCHS, grace_period=1)
    ),
    "HyperBandScheduler": lambda: fit(searcher(), schedulers.HyperBandScheduler(max_t=EPOCHS)),
    "HyperBandForBOHB": lambda: fit(searcher(), bohb()),
    "MedianStoppingRule": lambda: fit(
        searcher(), schedulers.MedianStoppingRule(grace_period=1, min_samples_required=2)
    ),
    "PopulationBasedTraining": lambda: fit(searcher(), pbt()),
    "LLMScheduler": lambda: fit(searcher(), LLMScheduler(llm="none", max_t=EPOCHS)),
    "Repeater": lambda: fit(Repeater(searcher(), repeat=2)),
    "ConcurrencyLimiter": lambda: fit(ConcurrencyLimiter(searcher(), max_concurrent=2)),
    "sample_from": with_sample_from,
    "grid_search": with_grid,
    "with_parameters": lambda: fit(searcher(), trainable=tune.with_parameters(train, offset=1.0)),
    "with_resources": lambda: fit(searcher(), trainable=tune.with_resources(train, {"cpu": 1})),
    "failing trials": lambda: fit(searcher(), trainable=fails),
    "tune.run(resume=)": resumed,
    "Tuner.restore": restored,
}
_STORAGE = ""


def main() -> None:
    global _STORAGE
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, address="local")
    for name, row in ROWS.items():
        if given.only.lower() in name.lower():
            _STORAGE = tempfile.mkdtemp()
            try:
                came = row()
            except Exception as error:  # noqa: BLE001 - what is raised is the finding
                came = f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:300]}"
            print(f"ROW | {name} | {came} |", flush=True)


if __name__ == "__main__":
    main()
