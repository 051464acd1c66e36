"""Three problems whose parameters exist only in some branches of a choice.

Configurations are as Tune gives them to a trainable. Lower losses are better; ``best`` and
``usual`` (the median of random configurations) make a regret of a loss: 0 the best, 1 the median.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ray import tune

from experiments.common.tables import load
from raymimic.tune.domains import RaySpace


class Problem(Protocol):
    """A space and what a configuration is worth in it."""

    best: float | None
    """The least loss there is; None: the least that any run of the study has found."""

    def param_space(self) -> dict[str, Any]:
        """Tune's own form of the space."""
        ...

    def loss(self, config: Mapping[str, Any]) -> float:
        """What a trial reports; the same for the same configuration."""
        ...


class Digits:
    """A small net on scikit-learn's digits, ten epochs, by optimizer: validation log loss.

    ``seed`` gives the split and the net's first weights. Losses beyond log(10) count as that.
    """

    best = None

    def __init__(self, seed: int) -> None:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        images, labels = load_digits(return_X_y=True)
        self._seed = seed
        self._data = train_test_split(
            images / 16.0, labels, test_size=0.5, random_state=seed, stratify=labels
        )

    def param_space(self) -> dict[str, Any]:
        return {
            "width": tune.lograndint(8, 129),
            "l2": tune.loguniform(1e-6, 1.0),
            "batch_size": tune.choice([16, 32, 64, 128]),
            "optimizer": tune.choice(
                [
                    {
                        "name": "sgd",
                        "lr": tune.loguniform(1e-4, 1.0),
                        "momentum": tune.uniform(0.0, 0.99),
                        "decay": tune.choice([{}, {"power": tune.uniform(0.1, 0.9)}]),
                    },
                    {
                        "name": "adam",
                        "lr": tune.loguniform(1e-5, 0.1),
                        "beta1": tune.uniform(0.5, 0.999),
                        "beta2": tune.uniform(0.9, 0.9999),
                    },
                ]
            ),
        }

    def loss(self, config: Mapping[str, Any]) -> float:
        from sklearn.metrics import log_loss
        from sklearn.neural_network import MLPClassifier

        opt = config["optimizer"]
        special: dict[str, Any] = {}
        if opt["name"] == "adam":
            special = {"beta_1": opt["beta1"], "beta_2": opt["beta2"]}
        else:
            special = {"momentum": opt["momentum"], "nesterovs_momentum": False}
            if "power" in opt["decay"]:
                special |= {"learning_rate": "invscaling", "power_t": opt["decay"]["power"]}
        net = MLPClassifier(
            (config["width"],),
            solver=opt["name"],
            learning_rate_init=opt["lr"],
            alpha=config["l2"],
            batch_size=config["batch_size"],
            max_iter=10,
            n_iter_no_change=100,
            random_state=self._seed,
            **special,
        )
        train, valid, train_labels, valid_labels = self._data
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                net.fit(train, train_labels)
                found = float(log_loss(valid_labels, net.predict_proba(valid)))
            except ValueError:  # its weights are no numbers
                found = math.inf
        return min(found, math.log(10)) if found == found else math.log(10)


class Table:
    """The full grid of 3,888 nets on noisy digits; no regularisation means that none is there.

    A dropout of 0 and the least weight decay of the grid are the rows of a net without them.
    """

    best = 0.0

    def __init__(self, seed: int, folder: Path) -> None:
        del seed  # one training a row
        self._table = load("digits_noisy", folder)

    def param_space(self) -> dict[str, Any]:
        dropout, decay = tune.choice([0.25, 0.5]), tune.choice([1e-4, 1e-2, 0.3])
        return {
            "batch_size": tune.choice([32, 128]),
            "n_layers": tune.choice([1, 2, 3]),
            "width": tune.choice([16, 48, 128]),
            "optimizer": tune.choice(["sgd", "adamw"]),
            "lr": tune.choice([1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 0.1, 0.316, 1.0]),
            "regularise": tune.choice(
                [
                    {"by": "nothing"},
                    {"by": "dropout", "dropout": dropout},
                    {"by": "decay", "weight_decay": decay},
                    {"by": "both", "dropout": dropout, "weight_decay": decay},
                ]
            ),
        }

    def loss(self, config: Mapping[str, Any]) -> float:
        flat = {name: value for name, value in config.items() if name != "regularise"}
        branch = config["regularise"]
        flat |= {
            "weight_decay": branch.get("weight_decay", 1e-6),
            "dropout": branch.get("dropout", 0.0),
        }
        return min(self._table.regret(flat), 10.0)


class Nested:
    """Three levels of choices with a known optimum, another one for each seed; names say nothing.

    A leaf's loss is its offset (0 of the best leaf, .1 to .5 of others) plus the mean of a squared
    distance in each parameter that exists, whose best place is drawn, too.
    """

    best = 0.0

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"nested {seed}")
        self._draws: dict[str, float] = {}
        names = [n for n in self._ray_space.space.dimensions if n not in ("a", "a/b", "a/b/c")]
        self._at = {name: self._rng.uniform(0.1, 0.9) for name in names}
        leaves = ["one plain", "one slow", "one fast", "two", "three", "four"]
        best = self._rng.choice(leaves)
        self._offset = {
            leaf: 0.0 if leaf == best else self._rng.uniform(0.1, 0.5) for leaf in leaves
        }

    def param_space(self) -> dict[str, Any]:
        third = tune.choice(
            ["plain", {"is": "slow", "u": tune.uniform(0, 1)},
             {"is": "fast", "u": tune.uniform(0, 1), "v": tune.loguniform(1e-3, 1)}]
        )  # fmt: skip
        second = tune.choice(
            [{"is": "one", "p": tune.uniform(0, 1), "c": third},
             {"is": "two", "q": tune.randint(1, 33), "r": tune.uniform(0, 1)}]
        )  # fmt: skip
        return {
            "x": tune.uniform(0, 1),
            "a": tune.choice(
                [{"is": "deep", "k": tune.uniform(0, 1), "b": second},
                 {"is": "three", "m": tune.uniform(0, 1), "n": tune.uniform(-1, 1)},
                 {"is": "four", "s": tune.loguniform(1e-4, 1)}]
            ),
        }  # fmt: skip

    @cached_property
    def _ray_space(self) -> RaySpace:
        return RaySpace.from_ray(self.param_space())

    def loss(self, config: Mapping[str, Any]) -> float:
        flat = self._ray_space.flatten(config)
        dimensions = self._ray_space.space.dimensions
        gaps = [
            (dimensions[name].to_unit(value) - self._at[name]) ** 2
            for name, value in flat.items()
            if name in self._at
        ]
        leaf = str(flat["a"])
        if leaf == "deep":
            leaf = str(flat["a/b"])
            leaf = f"one {flat['a/b/c']}" if leaf == "one" else leaf
        return self._offset[leaf] + 2.0 * sum(gaps) / len(gaps)
