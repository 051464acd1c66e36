"""A pool of real trainings with every epoch kept: MNIST and CIFAR-10, a CNN with 14 parameters.

    python -m experiments.forecast.pool --task mnist_cnn --data-dir DIR --out OUT [--count 80]

Draws configurations at random from the task of `experiments/head_to_head` (its "cpu" preset with 16
epochs) and trains each to its end. `saving.py --pool OUT` then asks what schedulers would have
stopped; its seeds are orders in which the pool's trainings come.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ray.tune.search import Searcher

from experiments.common.task import TrainingFailed

METRIC = "val_loss"


class Pool:
    """Finished trainings as a `task.Task`: a configuration is {"row": its number}."""

    family, metric, mode = "pool", METRIC, "min"

    def __init__(self, name: str, frame: pd.DataFrame) -> None:
        self.name = name
        self._rows = [part for _, part in frame.sort_values("epoch").groupby("row")]
        self.epochs = int(frame["epoch"].max())
        ends = [self._end(part) for part in self._rows]
        self._values = np.array(ends)
        best, middle = self._values.min(), np.median(self._values)
        self._regrets = (self._values - best) / (middle - best)

    def _end(self, part: pd.DataFrame) -> float:
        whole = len(part) == self.epochs and np.isfinite(part[METRIC]).all()
        return float(part[METRIC].iloc[-1]) if whole else np.inf

    def __len__(self) -> int:
        return len(self._rows)

    def param_space(self) -> dict[str, Any]:
        """Nothing to search: `Shuffled` gives the rows."""
        return {}

    def train(self, config: dict[str, Any], seed: int, trial: int) -> Iterator[dict[str, float]]:
        """Yield the epochs; raises TrainingFailed where the training broke off."""
        del seed, trial
        part = self._rows[config["row"]]
        for row in part[["train_loss", "val_loss", "val_accuracy"]].to_dict("records"):
            if not np.isfinite(row[METRIC]):
                break
            yield row
        if not np.isfinite(self._values[config["row"]]):
            raise TrainingFailed("the training broke off")

    def train_seconds(self, config: dict[str, Any], seed: int) -> list[float]:
        """Seconds of each epoch on the machine that trained."""
        del seed
        return list(self._rows[config["row"]]["seconds"])

    def value(self, config: dict[str, Any]) -> float:
        """The last epoch's loss, infinite for a training that broke off."""
        return float(self._values[config["row"]])

    def regret(self, config: dict[str, Any]) -> float:
        """0 for the pool's best, 1 for its median."""
        return float(self._regrets[config["row"]])

    def test(self, config: dict[str, Any]) -> float:
        """Not kept."""
        del config
        return float("nan")


class Shuffled(Searcher):
    """The rows of a pool in a random order, each once."""

    def __init__(self, rows: int, seed: int) -> None:
        super().__init__(metric=METRIC, mode="min")
        self._order = [int(row) for row in np.random.default_rng(seed).permutation(rows)]

    def set_search_properties(self, *_: Any, **__: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        del trial_id
        return {"row": self._order.pop(0)}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        pass


def load(folder: Path) -> list[Pool]:
    """All pools in a folder."""
    files = sorted(folder.glob("*.csv.gz"))
    return [Pool(file.name.removesuffix(".csv.gz"), pd.read_csv(file)) for file in files]


def main() -> None:
    from experiments.common.real import training

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", required=True, choices=["mnist_cnn", "cifar10_cnn"])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--epochs", type=int, default=16)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    preset = f"cpu,epochs={arguments.epochs}"
    cache = arguments.out / "trainings"
    tasks = training.tasks(preset, data_dir=arguments.data_dir, cache_dir=cache)
    task, rows = tasks[arguments.task], []
    random = np.random.RandomState(0)
    for number in range(arguments.count):
        domains = task.param_space().items()
        config = {name: domain.sample(random_state=random) for name, domain in domains}
        epochs = []
        try:
            epochs.extend(task.train(config, number, 0))
        except TrainingFailed as failure:
            print(f"{number}: {failure}", file=sys.stderr)
        seconds = task.train_seconds(config, number)
        for epoch, metrics in enumerate(epochs, start=1):
            took = seconds[epoch - 1]
            rows.append({"row": number, "epoch": epoch, "seconds": took, **metrics})
        frame = pd.DataFrame(rows)
        frame.to_csv(arguments.out / f"{arguments.task}.csv.gz", index=False, float_format="%.6g")
        print(f"{arguments.task}: {number + 1} of {arguments.count}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
