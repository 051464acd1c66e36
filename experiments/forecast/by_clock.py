"""Search and stopping by wall time: real trainings on real Ray Tune, two at once.

    python -m experiments.forecast.by_clock --data-dir DIR --out rows.csv [--seeds 5]

The demo's CNN on 2,000 MNIST images, 20 epochs, ``num_samples=-1``, 110 s. The arms of a seed run
one after the other, each seed beginning with another one, for the machine may be shared. Of each:
the best validation loss of the trials that ended whole, and of all trials that exist at the end
("any"), epochs trained, and the seconds that an epoch took.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from experiments.common.idx import mnist
from experiments.common.quiet import silence
from raymimic import LLMScheduler, LLMSearcher
from raymimic.demo import SPACE, Split, trainable

EPOCHS = 20
ARMS = ("pair", "alone", "optuna+asha")


def parts_of(arm: str, seed: int, folder: str) -> tuple[Any, Any]:
    """Searcher and scheduler as a user would write them."""
    if arm == "optuna+asha":
        return OptunaSearch(seed=seed), ASHAScheduler(max_t=EPOCHS, reduction_factor=4)
    searcher = LLMSearcher(llm="none", seed=seed, ledger=f"{folder}/ledger.jsonl")
    if arm == "alone":
        return searcher, None
    return searcher, LLMScheduler(searcher=searcher, max_t=EPOCHS, llm="none")


class Seen(tune.Callback):
    """Every result: a time budget cuts trials off without telling searchers."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, float, float]] = {}

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Keep epoch, loss and seconds trained."""
        del iteration, trials, info
        told = int(result["training_iteration"]), float(result["val_loss"]), result["time_total_s"]
        self.last[trial.trial_id] = told


def images(data_dir: Path, seed: int) -> Split:
    """2,000 training and 2,000 validation images of the training set; no test images."""
    pixels, labels = mnist(data_dir, "train")
    rows = np.random.default_rng(seed).permutation(len(labels))[:4000]
    scaled = (pixels[rows].astype(np.float32) / 255 - 0.1307) / 0.3081  # MNIST's mean and sd
    some, other = slice(2000), slice(2000, 4000)
    told = labels[rows]
    return Split(
        "mnist", scaled[some], told[some], scaled[other], told[other], scaled[:0], told[:0]
    )


def run(arm: str, seed: int, seconds: float, data_dir: Path) -> dict[str, Any]:
    """One search."""
    split = images(data_dir, seed)
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        searcher, scheduler = parts_of(arm, seed, folder)
        tuner = tune.Tuner(
            tune.with_resources(trainable(split, EPOCHS, seed), {"cpu": 1}),
            param_space=SPACE,
            tune_config=tune.TuneConfig(
                metric="val_loss", mode="min", num_samples=-1, time_budget_s=seconds,
                search_alg=searcher, scheduler=scheduler, max_concurrent_trials=2,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=folder, name="run", verbose=0, callbacks=[seen]
            ),
        )  # fmt: skip
        begun = time.monotonic()
        tuner.fit()
    ends = pd.DataFrame(seen.last.values(), columns=["epoch", "loss", "seconds"])
    finite = ends[ends["loss"].map(math.isfinite)]
    epochs = int(ends["epoch"].sum())
    return {
        "arm": arm,
        "seed": seed,
        "whole": finite.loc[finite["epoch"] == EPOCHS, "loss"].min(),
        "any": finite["loss"].min(),
        "any_epoch": int(finite.loc[finite["loss"].idxmin(), "epoch"]) if len(finite) else 0,
        "trials": len(ends),
        "wholes": int((ends["epoch"] == EPOCHS).sum()),
        "epochs": epochs,
        "seconds_an_epoch": float(ends["seconds"].sum()) / max(1, epochs),
        "wall": time.monotonic() - begun,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where the raw rows go")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=110.0)
    arguments = parser.parse_args()
    silence()
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    rows = []
    for seed in range(arguments.seeds):
        first = seed % len(ARMS)
        for arm in (*ARMS[first:], *ARMS[:first]):
            rows.append(run(arm, seed, arguments.seconds, arguments.data_dir))
            pd.DataFrame(rows).to_csv(arguments.out, index=False, float_format="%.5g")
            print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    print(frame.groupby("arm", sort=False).mean(numeric_only=True).round(3).to_string())


if __name__ == "__main__":
    main()
