"""Does the demo's search get better? How often its first trial stays the best of sixteen.

    python -m experiments.demo_search.run --out OUT.csv

The demo's own network, digits, space and keyless searcher, two trials at once, without a cluster.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from experiments.common.markdown import table
from experiments.common.quiet import silence
from experiments.common.replay import Replay
from experiments.common.task import NotApplicable, TrainingFailed
from raymimic import LLMSearcher
from raymimic.demo import EPOCHS, SPACE, load
from raymimic.demo.training import Training
from raymimic.records import Config, Mode


class DemoTask:
    """The demo's search on digits as a `task.Task`; every seed has its own split and weights."""

    name, family, metric = "demo", "real", "val_loss"
    mode: Mode = "min"
    epochs = EPOCHS["digits"]

    def param_space(self) -> dict[str, Any]:
        return dict(SPACE)

    def default(self) -> Config:
        raise NotApplicable("the demo has no default")

    def train(self, config: Config, seed: int, trial: int) -> Iterator[dict[str, float]]:
        del trial
        run = Training(config, load("digits", seed=seed).without_test(), seed)
        for _ in range(self.epochs):
            metrics = run.epoch()
            if any(map(math.isnan, metrics.values())):
                raise TrainingFailed(str(metrics))
            yield metrics

    def train_seconds(self, config: Config, seed: int) -> list[float]:
        del config, seed
        return []

    def value(self, config: Config) -> float:
        del config
        return math.nan

    regret = test = value

    def worst(self, n: int) -> list[Config]:
        raise NotApplicable(f"the demo's {n} worst are unknown")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    silence()
    torch.set_num_threads(1)
    rows, lines = [], []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            searcher = LLMSearcher(llm="none", seed=seed, ledger=f"{folder}/ledger.jsonl")
            found = Replay(
                DemoTask(), searcher, method="raymimic", seed=seed, trials=options.trials,
                concurrency=2,
            ).run()  # fmt: skip
        scores = [row["score"] if math.isfinite(row["score"]) else math.inf for row in found]
        best = scores.index(min(scores))
        lines.append([str(seed), f"{scores[0]:.3f}", f"{scores[best]:.3f}", str(best + 1)])
        rows += [{"seed": seed, "trial": i, "val_loss": score} for i, score in enumerate(scores)]
        pd.DataFrame(rows).to_csv(options.out, index=False, float_format="%.5g")
        print(f"seed {seed}: " + " ".join(f"{score:.3f}" for score in scores), flush=True)
    print(table(["seed", "first trial", "best", "the best is trial"], lines))


if __name__ == "__main__":
    main()
