"""Which edits a diagnosis calls for, in the order in which measurements say that they help.

The order comes from single edits on two full grids with curves: within the epoch budget overfitting
yields to a lower learning rate (8 times of 10), a larger batch (7-8 of 10) and a shallower net
before dropout and weight decay (5-6 of 10); a curve that still improves or has learnt too little
yields to the opposites and to more width (8-9 of 10). Diverged and dead are told apart: they want
opposite learning rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raymimic.advisor.propose.axes import Axis
from raymimic.records import Config


@dataclass(frozen=True)
class Remedy:
    """Move every dimension of a role up (+1) or down (-1), or switch it (0), by natural steps."""

    role: str
    direction: int
    steps: float = 1.0


_LEARN_MORE = (
    Remedy("learning_rate", +1),
    Remedy("batch_size", -1),
    Remedy("width", +1),
    Remedy("dropout", -1),
    Remedy("weight_decay", -1),
    Remedy("n_estimators", +1),
    Remedy("tree_depth", +1),
    Remedy("num_leaves", +1),
    Remedy("epochs", +1),
)
_CALM = (
    Remedy("learning_rate", -1),
    Remedy("batch_size", +1),
    Remedy("momentum", -1),
    Remedy("beta1", -1),
    Remedy("grad_clip", -1),
    Remedy("clip_range", -1),
)

REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "overfitting": (
        Remedy("learning_rate", -1),
        Remedy("batch_size", +1),
        Remedy("depth", -1),
        Remedy("tree_depth", -1),
        Remedy("num_leaves", -1),
        Remedy("min_child_weight", +1),
        Remedy("dropout", +1),
        Remedy("weight_decay", +1),
        Remedy("label_smoothing", +1),
        Remedy("subsample", -1),
        Remedy("epochs", -1),
    ),
    "underfitting": _LEARN_MORE,
    "improving": _LEARN_MORE,
    "plateau": _LEARN_MORE,
    "slow_start": (Remedy("learning_rate", +1), Remedy("warmup", -1), *_LEARN_MORE[1:]),
    "ceiling": (
        Remedy("width", +1),
        Remedy("dropout", -1),
        Remedy("weight_decay", -1),
        Remedy("depth", +1),
        Remedy("num_leaves", +1),
        Remedy("tree_depth", +1),
    ),
    "diverged": (Remedy("learning_rate", -1, 2.0), *_CALM[1:], Remedy("warmup", +1)),
    "oscillating": _CALM,
}

_CONVERGED = (Remedy("width", +1), Remedy("dropout", -1), Remedy("learning_rate", -1))

_STUCK_LOW = (Remedy("learning_rate", +1, 2.0),)
_STUCK_HIGH = (
    Remedy("optimizer", 0),
    Remedy("activation", 0),
    Remedy("batch_norm", 0),
    Remedy("learning_rate", -1, 2.0),
    Remedy("depth", -1),
)
_STUCK_MIDDLE = 0.5


def remedies(
    kind: str, axes: Sequence[Axis], config: Config, *, early: bool = True
) -> tuple[Remedy, ...]:
    """Give the edits for a signal's kind, most promising first.

    A net that never left chance wants a higher learning rate if that is low in its range, else
    another optimizer or activation. A plateau that came late (not ``early``) is plain convergence.
    """
    if kind == "plateau" and not early:
        return _CONVERGED
    if kind != "stuck":
        return REMEDIES.get(kind, ())
    rates = [axis for axis in axes if axis.role == "learning_rate"]
    low = any(axis.unit(config[axis.name]) < _STUCK_MIDDLE for axis in rates)
    return _STUCK_LOW + _STUCK_HIGH if low else _STUCK_HIGH + _STUCK_LOW
