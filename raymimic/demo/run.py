"""Runs the demo: a search over the small CNN, shown line by line, kept in a results folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import ray
from ray import tune
from ray.tune.search import BasicVariantGenerator

from raymimic.demo.data import Split, load
from raymimic.demo.training import EPOCHS, SPACE, evaluate_test, trainable
from raymimic.records import Mode
from raymimic.summary import duration, show
from raymimic.tune import LLMSearcher, RaymimicCallback
from raymimic.tune.local_ray import quieten_ray, start_ray

SearcherName = Literal["llm", "optuna", "random"]
METRIC = "val_loss"
MODE: Mode = "min"


@dataclass(frozen=True)
class DemoSettings:
    """What `raymimic demo` was asked to do. ``train_samples`` None means the data set's default."""

    data: str = "digits"
    data_dir: Path | None = None
    searcher: SearcherName = "llm"
    llm: str = "auto"
    trials: int = 16
    train_samples: int | None = None
    epochs: int | None = None
    seed: int = 0
    out: Path | None = None


def run_demo(settings: DemoSettings, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Search, print, and write the results folder; return what ``result.json`` holds.

    Raises `MissingExtra` or `DataError` (see `raymimic.demo.data`) before anything is trained.
    """
    quieten_ray()
    begun = time.monotonic()
    split = load(settings.data, settings.data_dir, settings.train_samples, settings.seed)
    epochs = settings.epochs or EPOCHS[settings.data]
    out = _results_folder(settings)
    searcher = _searcher(settings, out)  # a wrong --llm is said before anything is made
    out.mkdir(parents=True, exist_ok=True)
    slots = start_ray()
    say(
        f"{settings.trials} small CNNs on {settings.data}: {len(split.train_labels):,} training "
        f"and {len(split.val_labels):,} validation images, {epochs} epochs each, {slots} at once. "
        f"Metric: {METRIC} of the last epoch, lower is better."
    )
    ours = searcher if isinstance(searcher, LLMSearcher) else None
    screen = RaymimicCallback(ours, metric=METRIC, mode=MODE)
    trial = trainable(split, epochs, settings.seed)
    grid = _fit(trial, searcher, screen, settings.trials, slots, out)
    screen.history.to_parquet(out / "curves.parquet")
    rows = [trial.metrics for trial in grid if trial.metrics]
    pd.json_normalize(rows, sep="/").to_csv(out / "trials.csv", index=False)
    result = _result(grid, settings, split, epochs)
    result["seconds"] = round(time.monotonic() - begun, 1)
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    say(_closing(result, out))
    return result


def _searcher(settings: DemoSettings, out: Path) -> Any:
    if settings.searcher == "llm":
        return LLMSearcher(
            llm=settings.llm,
            seed=settings.seed,
            ledger=str(out / "ledger.jsonl"),
            instruction="A small CNN classifies images; few epochs; validation loss counts.",
        )
    if settings.searcher == "optuna":
        from ray.tune.search.optuna import OptunaSearch

        return OptunaSearch(metric=METRIC, mode=MODE, seed=settings.seed)
    return BasicVariantGenerator(random_state=settings.seed)


def _fit(
    trial: Any, searcher: Any, screen: RaymimicCallback, trials: int, slots: int, out: Path
) -> Any:
    gpus = ray.cluster_resources().get("GPU", 0.0)
    resources = {"cpu": 1, "gpu": gpus / slots} if gpus else {"cpu": 1}
    tuner = tune.Tuner(
        tune.with_resources(trial, resources),
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode=MODE,
            search_alg=searcher,
            num_samples=trials,
            max_concurrent_trials=slots,
            reuse_actors=True,  # a fresh process would import torch anew for every trial
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(out.absolute()),
            callbacks=[screen],
            verbose=0,
        ),
    )
    return tuner.fit()


def _results_folder(settings: DemoSettings) -> Path:
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    name = f"{settings.data}_{settings.searcher}_{settings.seed}_{stamp}"
    return settings.out or Path("raymimic_results") / name


def _result(grid: Any, settings: DemoSettings, split: Split, epochs: int) -> dict[str, Any]:
    """The best trial, trained once more for its test score."""
    best = grid.get_best_result(METRIC, MODE)
    tested = evaluate_test(best.config, split, epochs, settings.seed)
    return {
        "data": settings.data,
        "searcher": settings.searcher,
        "llm": settings.llm if settings.searcher == "llm" else "",
        "seed": settings.seed,
        "trials": settings.trials,
        "epochs": epochs,
        "train_samples": len(split.train_labels),
        "best_val_loss": best.metrics[METRIC],
        "best_val_accuracy": best.metrics["val_accuracy"],
        "test_loss": tested["test_loss"],
        "test_accuracy": tested["test_accuracy"],
        "best_config": best.config,
    }


def _closing(result: dict[str, Any], out: Path) -> str:
    return (
        f"The best ({METRIC} {show(result['best_val_loss'])}), trained once more: "
        f"{result['best_val_accuracy']:.1%} right on validation, {result['test_accuracy']:.1%} on "
        f"test images nobody had seen. {duration(result['seconds'])} in all.\nResults: {out}"
    )
