"""What to change under which diagnosis: the one table for rules and prompts of all questions.

Two different questions are answered for each diagnosis:

- A **new configuration** starts from nothing: which settings lead to a better end? The order of
  its changes is that of the share of single edits that improved the final validation loss, on two
  full grids of nets with curves of 30 epochs.
- A **running training** keeps its weights: what lets these weights go on? There a learning rate is
  lowered where its steps no longer lead down (He et al., "Deep residual learning", 2016, and every
  "reduce on plateau"; Smith et al., "Don't decay the learning rate, increase the batch size",
  2018, on the noise that keeps a loss up), and regularisation can be turned up (Bengio,
  "Practical recommendations for gradient-based training", 2012).

Both agree on a plateau. A curve that came to rest has no further to go at this learning rate: on
the grid of 3,888 a lower one improved the end 58 times of 100 and a higher one 14 (where it came to
rest in the first half; 41 and 27 in the second). They differ where time is what is missing: a curve
that still improves wants a higher rate in the next configuration and no interference now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from raymimic.advisor.base import KnobState
from raymimic.advisor.roles import assign_roles

REGULARISER = "regulariser"
"""The role of a running training's knob whose name says that it regularises."""

_REGULARISERS = ("augment", "smoothing", "mixup", "cutmix")

LiveQuestion = Literal["redirect", "adjust"]


@dataclass(frozen=True)
class Remedy:
    """For a new configuration: move every dimension of a role up (+1) or down (-1), or switch (0).

    ``steps`` counts natural steps of the dimension.
    """

    role: str
    direction: int
    steps: float = 1.0


@dataclass(frozen=True)
class Turn:
    """For a running training: a knob's value times ``factor``, plus ``step`` and ``share``.

    ``share`` is of the knob's range. A value turned up ends between ``least`` and ``most``.
    """

    role: str
    factor: float = 1.0
    step: float = 0.0
    share: float = 0.0
    least: float = 0.0
    most: float = math.inf

    @property
    def direction(self) -> int:
        """+1 for up, -1 for down."""
        return 1 if self.factor > 1.0 or self.step > 0.0 or self.share > 0.0 else -1

    def of(self, knob: KnobState) -> float:
        """The knob's new value, within what it can reach; it never moves the other way."""
        value = knob.value * self.factor + self.step + self.share * (knob.high - knob.low)
        if self.direction > 0:
            value = max(min(max(value, self.least), self.most), knob.value)
        return min(max(value, knob.low), knob.high)


@dataclass(frozen=True)
class Cure:
    """What one diagnosis calls for. ``heading`` names it in prompts.

    ``new`` is for a new configuration, most promising first; where the diagnosed one had a low
    learning rate, ``new_if_low_rate`` in its place, if there is one. ``redirect`` is for a running
    trial, whose knobs are turned at most once in a quarter of its training; ``adjust`` for a
    training steered after every epoch, so its turns are smaller, with a pull toward the best
    weights by ``pull``. ``offered`` is what only a model is told of in that case; no rule makes it.
    ``note`` and ``offered_note`` are more words for the prompts.
    """

    heading: str
    new: tuple[Remedy, ...] = ()
    new_if_low_rate: tuple[Remedy, ...] = ()
    redirect: tuple[Turn, ...] = ()
    adjust: tuple[Turn, ...] = ()
    pull: float = 0.0
    offered: tuple[Turn, ...] = ()
    note: str = ""
    offered_note: str = ""


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
_SMALLER_STEPS = (
    Remedy("learning_rate", -1),
    Remedy("batch_size", +1),
    Remedy("momentum", -1),
    Remedy("beta1", -1),
    Remedy("grad_clip", -1),
    Remedy("clip_range", -1),
)
_STUCK_LOW = (Remedy("learning_rate", +1, 2.0),)
_STUCK_HIGH = (
    Remedy("optimizer", 0),
    Remedy("activation", 0),
    Remedy("batch_norm", 0),
    Remedy("learning_rate", -1, 2.0),
    Remedy("depth", -1),
)

_LESS_REGULARISED = (Turn("weight_decay", factor=1 / 3), Turn("dropout", step=-0.1))
_THIRD_OF_RATE = (Turn("learning_rate", factor=1 / 3),)

# The order is that in which rules for running trainings look for a diagnosis.
CURES: Mapping[str, Cure] = {
    "diverged": Cure(
        "diverged",
        new=(
            Remedy("learning_rate", -1, 2.0),  # a lower one: 91 of 100, a larger batch 94
            *_SMALLER_STEPS[1:],
            Remedy("warmup", +1),
        ),
        redirect=_THIRD_OF_RATE,
        adjust=_THIRD_OF_RATE,
        offered_note='a pull toward "best"',
    ),
    "oscillating": Cure(
        "oscillating",
        new=_SMALLER_STEPS,  # a lower rate: 87 of 100, a larger batch 86
        redirect=_THIRD_OF_RATE,
        adjust=(Turn("learning_rate", factor=0.5),),
        note="the same where a last epoch is far from the mean of its last three: do not chase "
        "its lucky value",
        offered_note='a pull toward "ema" or "best"',
    ),
    "overfitting": Cure(
        "overfitting",
        # A lower rate: 80-83 of 100, a larger batch 72-84, a shallower net 59-82; more dropout
        # and weight decay 54-71.
        new=(
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
        redirect=(
            Turn("weight_decay", factor=3.0, least=1e-4),
            Turn("dropout", step=0.1),
            Turn(REGULARISER, share=0.25),
        ),
        adjust=(
            Turn("dropout", step=0.1, most=0.5),
            Turn("weight_decay", factor=3.0, least=1e-4, most=0.1),
            Turn("learning_rate", factor=0.5),
            Turn(REGULARISER, share=0.25),
        ),
        pull=0.5,
    ),
    "plateau": Cure(
        "on a plateau",
        # More width: 58-63 of 100, a lower rate 41-58, less dropout 36-57; a higher rate 14-27.
        new=(Remedy("width", +1), Remedy("dropout", -1), Remedy("learning_rate", -1)),
        redirect=_THIRD_OF_RATE,
        # No rule of steering: over a planned budget it lowers the rate by epoch.
        offered=_THIRD_OF_RATE,
        offered_note="a little noise",
    ),
    "underfitting": Cure(
        "underfitting",
        new=_LEARN_MORE,
        offered=_LESS_REGULARISED,
    ),
    "ceiling": Cure(
        "at a ceiling (training and validation close together)",
        new=(
            Remedy("width", +1),
            Remedy("dropout", -1),
            Remedy("weight_decay", -1),
            Remedy("depth", +1),
            Remedy("num_leaves", +1),
            Remedy("tree_depth", +1),
        ),
        offered=_LESS_REGULARISED,
    ),
    # A higher rate: 65-87 of 100, a smaller batch 64-87, more width 83-96, less dropout 56-87.
    "improving": Cure("still improving at the end", new=_LEARN_MORE),
    "slow_start": Cure(
        "slow start",
        new=(Remedy("learning_rate", +1), Remedy("warmup", -1), *_LEARN_MORE[1:]),
    ),
    "stuck": Cure(
        "stuck from the first epoch",
        new=_STUCK_HIGH + _STUCK_LOW,
        new_if_low_rate=_STUCK_LOW + _STUCK_HIGH,  # higher: 61 of 100, where it is high 11
        offered=(Turn("learning_rate", factor=3.0),),
        offered_note="a little noise",
    ),
}


def cures_for(kind: str, *, low_rate: bool = False) -> tuple[Remedy, ...]:
    """Give the changes of a new configuration for a diagnosis, most promising first.

    ``low_rate``: the diagnosed configuration's learning rate is in the lower half of its range.
    """
    cure = CURES.get(kind)
    if cure is None:
        return ()
    return (cure.new_if_low_rate if low_rate else ()) or cure.new


def turned(knobs: Sequence[KnobState], turns: Iterable[Turn]) -> dict[str, float]:
    """Give new values of the knobs that ``turns`` would change, by name."""
    roles, _ = assign_roles(knob.name for knob in knobs)
    by_role = {turn.role: turn for turn in turns}
    found: dict[str, float] = {}
    for knob in knobs:
        turn = by_role.get(roles[knob.name] or "")
        if turn is None and any(word in knob.name.lower() for word in _REGULARISERS):
            turn = by_role.get(REGULARISER)
        if turn is not None and not math.isclose(value := turn.of(knob), knob.value):
            found[knob.name] = value
    return found
