"""Scores, computed where the candidate has never been: from the arrays that it returned."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from raymimic.errors import CandidateError
from raymimic.evolution.sandbox.arrays import STATE_TYPES, Shape, read_arrays, read_shapes

# Running statistics of a normalisation are no parameters, but only beside its own weight and bias:
# else a program could call a hidden layer "running_mean".
_STATISTICS = ("running_mean", "running_var")
_COUNTER = "num_batches_tracked"


def count_parameters(state: Path, most_bytes: int) -> int:
    """Numbers in a state (a file) that its model learns: all but statistics of normalisations.

    Weights that are shared under two names count twice. Raises `CandidateError` for numbers of a
    type that could hide others.
    """
    shapes = read_shapes(state, most_bytes)
    for name, (_, kind) in shapes.items():
        if kind not in STATE_TYPES:
            raise CandidateError(
                f"the state's {name[:80]!r} is {kind}; it must be one of {', '.join(STATE_TYPES)}",
                reason="bad arrays",
            )
    return sum(
        prod(shape) for name, (shape, _) in shapes.items() if not _is_statistic(name, shape, shapes)
    )


def _is_statistic(name: str, shape: Shape, shapes: Mapping[str, tuple[Shape, str]]) -> bool:
    layer, _, last = name.rpartition(".")
    if last == _COUNTER:
        return shape == ()
    weight, bias = (shapes.get(f"{layer}.{other}", (None,))[0] for other in ("weight", "bias"))
    return last in _STATISTICS and len(shape) == 1 and weight == bias == shape


def read_logits(path: Path, name: str, count: int, classes: int, most_bytes: int) -> np.ndarray:
    """The predictions for one set of inputs: float array (count, classes), all finite.

    Raises `CandidateError` for anything else.
    """
    logits = read_arrays(path, most_bytes).get(name)
    if logits is None or logits.shape != (count, classes) or logits.dtype.kind != "f":
        what = "nothing" if logits is None else f"{logits.dtype} {logits.shape}"
        raise CandidateError(
            f"predictions must be floats of shape ({count}, {classes}), got {what}",
            reason="bad predictions",
        )
    if not np.isfinite(logits).all():
        raise CandidateError("predictions are not finite", reason="not finite")
    return logits.astype(np.float64)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose largest logit is the label's; a tie is no hit."""
    at_label = logits[np.arange(len(labels)), labels]
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return float((at_label > others.max(axis=1)).mean())


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood in nats."""
    top = logits.max(axis=1, keepdims=True)
    normaliser = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
    return float((normaliser - logits[np.arange(len(labels)), labels]).mean())


def scores(logits: np.ndarray, labels: np.ndarray, prefix: str) -> dict[str, Any]:
    """Accuracy and loss under names with ``prefix``."""
    return {
        f"{prefix}accuracy": accuracy(logits, labels),
        f"{prefix}loss": cross_entropy(logits, labels),
    }
