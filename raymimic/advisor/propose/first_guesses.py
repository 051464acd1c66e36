"""First guesses: the few configurations an experienced person would train before any result."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raymimic.advisor.propose.axes import Axis
from raymimic.advisor.propose.practice import (
    ADAMW_DECAY,
    BY_FAMILY,
    OPTIMIZER_LR,
    PRACTICE,
    PREFERRED,
    SGD_LR,
    SGD_LR_BATCH,
    SHARES,
    Practice,
    Share,
    optimizer_kind,
)
from raymimic.records import Config
from raymimic.space import Choice, FloatRange, Normal

_FAR = 10.0
"""A published value this many times outside the user's range means something else by the name."""

_INWARD = 0.15
"""How far inside the range a guess is put that would lie on (or just beyond) its end."""

_LISTED = 3
"""So many values are named in a reason, the learning rate first."""

# The two guesses after the default bracket it: one learns fast and fits much, one is careful.
# +1 takes the upper end of the range worth exploring, -1 the lower, 0 the published value.
_BOLD = {
    "learning_rate": 0.5,
    "width": 1.0,
    "dropout": -0.5,
    "weight_decay": -0.5,
    "batch_size": -1.0,
    "tree_depth": 0.5,
    "num_leaves": 0.5,
}
_CAREFUL = {
    "learning_rate": -0.5,
    "width": -0.5,
    "dropout": 0.6,
    "weight_decay": 0.5,
    "depth": -0.7,
    "tree_depth": -0.5,
    "num_leaves": -0.5,
    "min_child_weight": 0.5,
    "subsample": -0.5,
}


@dataclass(frozen=True)
class Guess:
    """A configuration to try before (or besides) any result, and why."""

    config: Config
    reason: str


def first_guesses(axes: Sequence[Axis], family: str, seed: int) -> list[Guess]:
    """Give the default, a bold and a careful guess; deterministic under a seed."""
    rng = random.Random(f"first guesses {seed}")
    spread = [rng.choice((0.0, 0.5)) + rng.uniform(0.1, 0.4) for _ in axes]
    mirrored = [1.0 - unit for unit in spread]
    middle = [0.5] * len(axes)
    plans: tuple[tuple[str, dict[str, float], list[float]], ...] = (
        ("default", {}, middle),
        ("bold", _BOLD, spread),
        ("careful", _CAREFUL, mirrored),
    )
    guesses = []
    for number, (kind, leaning, places) in enumerate(plans):
        config, notes = _compose(axes, family, leaning, places, number, {})
        guesses.append(Guess(config, _reason(kind, notes, len(axes), places is middle)))
    return guesses


def completed(axes: Sequence[Axis], family: str, given: Config) -> Config:
    """Give the default guess around the values that are ``given``, whatever depends on them."""
    return _compose(axes, family, {}, [0.5] * len(axes), 0, given)[0]


def _reason(kind: str, notes: list[str], axes: int, middle: bool) -> str:
    rest = "the middle of the range" if middle else "one half of the range or the other"
    if not notes:
        return f"{kind} first guess: no name is known, each value from {rest}"
    listed = ", ".join(notes[:_LISTED])
    more = f" and {len(notes) - _LISTED} more by practice" if len(notes) > _LISTED else ""
    others = f"; the rest from {rest}" if axes > len(notes) else ""
    return f"{kind} first guess from published practice: {listed}{more}{others}"


def plausible(axis: Axis, family: str) -> tuple[float, float] | None:
    """Give the unit interval that published practice calls worth exploring, None if unknown."""
    practice = BY_FAMILY[family].get(axis.role or "") or PRACTICE.get(axis.role or "")
    if not isinstance(practice, Practice) or not usable(axis, practice.value, practice.log):
        return None
    low = axis.unit_of_number(practice.low)
    high = axis.unit_of_number(practice.high)
    return (low, high) if high - low > 0.05 else None


def _compose(
    axes: Sequence[Axis],
    family: str,
    leaning: dict[str, float],
    places: list[float],
    number: int,
    given: Config,
) -> tuple[Config, list[str]]:
    """Build a guess; the optimizer and the batch size come first, as the others depend on them."""
    config: Config = {}
    notes: list[tuple[bool, str]] = []
    known: dict[str, Any] = {}
    order = sorted(range(len(axes)), key=lambda i: axes[i].role not in {"optimizer", "batch_size"})
    for i in order:
        axis = axes[i]
        if axis.name in given:
            config[axis.name] = known[axis.role or ""] = given[axis.name]
            continue
        lean = leaning.get(axis.role or "", 0.0)
        found = _by_practice(axis, family, known, lean, number)
        if found is None:
            config[axis.name] = _elsewhere(axis, places[i], number)
            continue
        config[axis.name], source = found
        known[axis.role or ""] = found[0]
        notes.append(
            (axis.role != "learning_rate", f"{axis.name} {axis.show(found[0])} ({source})")
        )
    notes.sort(key=lambda note: note[0])
    return {axis.name: config[axis.name] for axis in axes}, [text for _, text in notes]


def _elsewhere(axis: Axis, place: float, number: int) -> Any:
    """Give a value where the name tells nothing: people list their default category first."""
    if axis.levels is not None and not axis.ordered:
        return axis.levels[number % len(axis.levels)]
    return axis.at(place)


def _by_practice(
    axis: Axis, family: str, known: dict[str, Any], lean: float, number: int
) -> tuple[Any, str] | None:
    if axis.role is None:
        return None
    if axis.role in PREFERRED and axis.levels is not None:
        return _preferred(axis, number)
    if not axis.ordered:
        return None
    practice = _practice(axis, family, known)
    if isinstance(practice, Practice):
        if usable(axis, practice.value, practice.log):
            return _place(axis, _leaned(practice, lean)), practice.source
        return None
    share = SHARES.get(axis.role)
    return (_share(axis, share, lean), share.source) if share else None


def _practice(axis: Axis, family: str, known: dict[str, Any]) -> Practice | None:
    role = axis.role or ""
    own = BY_FAMILY[family].get(role)
    if own is not None:
        return own
    optimizer = optimizer_kind(known["optimizer"]) if "optimizer" in known else None
    if role == "learning_rate":
        return _learning_rate(axis, optimizer, known.get("batch_size"))
    if role == "weight_decay" and optimizer == "adamw":
        return ADAMW_DECAY
    return PRACTICE.get(role)


def _learning_rate(axis: Axis, optimizer: str | None, batch: Any) -> Practice:
    if optimizer is None:
        # A range that Adam's rate is far away from is meant for plain SGD.
        usual = OPTIMIZER_LR["adam"]
        optimizer = "adam" if usable(axis, usual.value, usual.log) else "sgd"
    if optimizer == "sgd" and isinstance(batch, int | float) and batch > 0:
        value = min(SGD_LR, SGD_LR * batch / SGD_LR_BATCH)
        return Practice(value, value / 10, value * 10, True, "Goyal et al. 2017")
    return OPTIMIZER_LR[optimizer]


def _preferred(axis: Axis, number: int) -> tuple[Any, str] | None:
    """Give the best-known category; later guesses walk on, so that each family is met once."""
    levels = axis.levels or ()
    names, source = PREFERRED[axis.role or ""]
    texts = [str(getattr(level, "__name__", level)).lower() for level in levels]
    known = [levels[texts.index(name)] for name in names if name in texts]
    if not known:
        return None
    walks = axis.role in {"optimizer", "activation"}
    chosen = known[number % len(known) if walks else 0]
    if axis.role == "optimizer":
        source = OPTIMIZER_LR[optimizer_kind(chosen) or "adam"].source
    return chosen, source


def _leaned(practice: Practice, lean: float) -> float:
    """Move the published value towards the end of the range worth exploring."""
    end = practice.high if lean > 0 else practice.low
    if not lean:
        return practice.value
    if practice.log:
        return math.exp(
            math.log(practice.value) + abs(lean) * (math.log(end) - math.log(practice.value))
        )
    return practice.value + abs(lean) * (end - practice.value)


def usable(axis: Axis, value: float, log: bool) -> bool:
    """Whether a value from elsewhere lies in, or within a factor of ten of, the user's range."""
    dimension = axis.dimension
    if isinstance(dimension, Normal) or not axis.ordered:
        return False
    low, high = axis.bounds
    if log:
        return high > 0 and low <= value * _FAR and high >= value / _FAR
    return low <= value <= high or (low - value) <= (high - low) >= (value - high)


def _place(axis: Axis, value: float) -> Any:
    """Give the nearest value of the dimension, a little inside where the range ends before it."""
    dimension = axis.dimension
    low, high = axis.bounds
    if isinstance(dimension, Choice) or low <= value <= high:
        plain = isinstance(dimension, FloatRange) and dimension.step is None
        return float(value) if plain else axis.at(axis.unit_of_number(value))
    return axis.at(_INWARD if value < low else 1.0 - _INWARD)


def _share(axis: Axis, share: Share, lean: float) -> Any:
    end = share.high if lean > 0 else share.low
    unit = share.value + abs(lean) * (end - share.value)
    low, high = axis.bounds
    if axis.levels is None and low > 0 and high / low >= 4 and not _is_log(axis):
        # Sizes differ in ratio even where the user gave a linear range.
        return axis.at(axis.unit_of_number(low * (high / low) ** unit))
    if axis.levels is not None and len(axis.levels) > 1:
        return axis.levels[math.floor(unit * (len(axis.levels) - 1) + 0.5)]
    return axis.at(unit)


def _is_log(axis: Axis) -> bool:
    return bool(getattr(axis.dimension, "log", False))
