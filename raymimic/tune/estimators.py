"""Spaces for estimators with scikit-learn's interface: scikit-learn, XGBoost, LightGBM.

Marked P: the ranges of Probst, Boulesteix and Bischl, "Tunability" (JMLR 2019, table 1), rounded
(2^-10 to 2^10 is 0.001 to 1000). The others are ours: a wide range around the library's default.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any

from raymimic.errors import SpaceError
from raymimic.tune.plain_space import plain_space

_LOG = logging.getLogger("raymimic")

# By parameter's name: a tuple is a range, a list a choice.
_RANGES: Mapping[str, Any] = {
    "n_estimators": (10, 2000),
    "learning_rate": (0.001, 1.0),  # P
    "max_depth": (1, 15),  # P
    "num_leaves": (7, 255),
    "min_child_weight": (1.0, 128.0),  # P
    "min_child_samples": (1, 128),
    "min_samples_leaf": (1, 20),
    "max_features": (0.1, 1.0),
    "max_leaf_nodes": (7, 255),
    "subsample": (0.1, 1.0),  # P
    "colsample_bytree": (0.1, 1.0),  # P
    "colsample_bylevel": (0.1, 1.0),  # P
    "reg_alpha": (0.001, 1000.0),  # P
    "reg_lambda": (0.001, 1000.0),  # P
    "l2_regularization": (0.001, 1000.0),
    "C": (0.001, 1000.0),  # P
    "gamma": (0.001, 1000.0),  # P
    "kernel": ["rbf", "linear"],
    "alpha": (0.00001, 1.0),
    "l1_ratio": (0.0, 1.0),  # P
    "n_neighbors": (1, 30),  # P
    "weights": ["uniform", "distance"],
}
# Where the name alone would be wrong, by the start of the class's name; None: not searched.
_OTHERWISE: Mapping[str, Mapping[str, Any]] = {
    "XGB": {"gamma": None},  # the least gain of a split there
    "LGBM": {
        "max_depth": None,  # leaves bound the trees
        "min_child_weight": None,  # beside min_child_samples
        "subsample": None,  # without effect unless subsample_freq is set
    },
    "RandomForest": {"max_depth": None, "max_leaf_nodes": None},  # grown whole
    "ExtraTrees": {"max_depth": None, "max_leaf_nodes": None},
    "GradientBoosting": {"max_leaf_nodes": None},  # depth bounds the trees
    "HistGradientBoosting": {
        "max_depth": None,
        "max_features": None,
        "max_iter": (50, 1000),
        "min_samples_leaf": (1, 128),
    },
    "LogisticRegression": {"l1_ratio": None},  # one solver of six takes it
    "SGD": {"learning_rate": None, "l1_ratio": None},  # the name of a schedule; of one penalty
    "MLP": {"learning_rate": None, "learning_rate_init": (0.0001, 0.1)},
}


def model_space(model: Any) -> dict[str, Any]:
    """Return a space of Tune's domains for an estimator; each range is logged in a line.

    Raises `SpaceError` for what has no `get_params` and `set_params`, or none of the known names.
    """
    if not (hasattr(model, "get_params") and hasattr(model, "set_params")):
        raise SpaceError(
            "model must be an estimator with get_params and set_params (scikit-learn, XGBoost, "
            f"LightGBM), got {type(model).__name__}; for anything else write search_space = {{...}}"
        )
    kind = type(model).__name__
    own = next((more for start, more in _OTHERWISE.items() if kind.startswith(start)), {})
    ranges = {**_RANGES, **own}
    has = model.get_params(deep=False)
    found = {name: ranges[name] for name in has if ranges.get(name) is not None}
    if not found:
        raise SpaceError(
            f"{kind} has no parameter with a known range, it has {', '.join(has) or 'none'}; write "
            "search_space = {...}"
        )
    _LOG.info("%s: %d of its %d parameters are searched", kind, len(found), len(has))
    return plain_space(found)


def building(model: Any, train: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """Return ``train`` with `config["model"]`: a fresh copy of ``model``, its parameters set."""

    def built(config: dict[str, Any]) -> Any:
        fresh = copy.deepcopy(model).set_params(**config)
        return train({**config, "model": fresh})

    built.__name__ = getattr(train, "__name__", "train")
    return built
