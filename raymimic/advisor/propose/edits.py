"""Single edits of a good trial, the most promising first, each with its reason in words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from raymimic.advisor.base import TrialRecord
from raymimic.advisor.cures import cures_for
from raymimic.advisor.propose.axes import Axis
from raymimic.advisor.propose.known_trials import Field, changed
from raymimic.advisor.propose.outcomes import Neighbour, neighbours, parabola_lowest, track_record
from raymimic.advisor.propose.practice import OPTIMIZER_LR, optimizer_kind
from raymimic.curves import Signal
from raymimic.records import Config

_GROW = 1.5
"""A direction that just helped is gone on with a step this much longer (pattern search)."""

_SHRINK = 0.5
"""After a step that hurt, the next one that way is this much shorter."""

_HOPELESS = 3
"""A remedy that hurt this often, and never helped, waits until the other edits are through."""

_SWITCH = 0.25
"""Head start of trying another category: it is one edit where an ordered axis has two."""

_FINEST = 0.005
"""Steps shorter than this in unit coordinates are lost in the noise."""

_MIDDLE = 0.5
"""A learning rate below this, in unit coordinates, is low in its range."""

_BETWEEN = "the lowest point between two values that were worse"

# The order in which people try dimensions when nothing speaks for one of them: by how much
# they matter on average (Bengio 2012; van Rijn & Hutter 2018).
_IMPORTANCE = ("learning_rate", "width", "batch_size", "tree_depth", "dropout", "weight_decay")


@dataclass(frozen=True)
class Edit:
    """A configuration made from a known one, usually by changing one value, and the reason."""

    config: Config
    reason: str


def repairs_of_trial(field: Field, trial: TrialRecord) -> Iterator[Edit]:
    """Give the edits that a trial's diagnosis calls for, whatever its score (it may have none)."""
    for axis, direction, steps, signal in _called_for(field, trial):
        yield from _edit(field, trial, axis, direction, steps, signal.text)


def edits_of(field: Field, index: int, rng: random.Random) -> Iterator[Edit]:
    """Give the edits of the scored trial at ``index`` in the order of their promise.

    1. what its diagnosis calls for, where not tried from here, and not refuted elsewhere;
    2. going on in a direction in which this trial beat its neighbour;
    3. what is untried from here, what helped elsewhere first;
    4. shorter steps where a step hurt, the longest first.
    """
    trial = field.trials[index]
    record = track_record(field)
    called = list(_called_for(field, trial))
    refuted = [c for c in called if _hopeless(record, field.axes.index(c[0]), c[1])]
    against = {(c[0].name, -c[1]) for c in called}
    for axis, direction, steps, signal in called:
        if (axis, direction, steps, signal) not in refuted and not _tried(
            field, index, axis, direction
        ):
            yield from _edit(field, trial, axis, direction, steps, signal.text)
    yield from _going_on(field, index, against)
    yield from _untried(field, index, record, rng)
    yield from _shorter(field, index)


def _called_for(field: Field, trial: TrialRecord) -> Iterator[tuple[Axis, int, float, Signal]]:
    """Give (axis, direction, steps, signal) in order; the first signal to name an axis decides."""
    seen: set[str] = set()
    rates = [axis for axis in field.axes if axis.role == "learning_rate"]
    low = any(axis.unit(trial.config[axis.name]) < _MIDDLE for axis in rates)
    for signal in trial.diagnosis.signals if trial.diagnosis else ():
        for remedy in cures_for(signal.kind, low_rate=low):
            for axis in field.axes:
                if axis.role == remedy.role and axis.name not in seen:
                    seen.add(axis.name)
                    yield axis, remedy.direction, remedy.steps, signal


def _hopeless(record: dict[tuple[int, int], tuple[int, int]], axis: int, direction: int) -> bool:
    helped, hurt = record.get((axis, direction), (0, 0))
    return hurt >= _HOPELESS and not helped


def _tried(field: Field, index: int, axis: Axis, direction: int) -> bool:
    return bool(neighbours(field, index, field.axes.index(axis), direction))


def _edit(
    field: Field, trial: TrialRecord, axis: Axis, direction: int, steps: float, why: str
) -> Iterator[Edit]:
    """Give the edit, or for an unordered axis a switch to each other category."""
    value = trial.config[axis.name]
    if direction and not axis.ordered:
        return
    if direction:
        moved = axis.stepped(value, direction, steps)
        values = [] if moved is None else [moved]
    else:
        values = [level for level in axis.levels or () if not axis.same(level, value)]
    for moved in values:
        yield _moved(field, trial, axis, moved, direction, why)


def _going_on(field: Field, index: int, against: set[tuple[str, int]]) -> Iterator[Edit]:
    trial = field.trials[index]
    for place, axis in enumerate(field.axes):
        for direction in (1, -1) if axis.ordered else ():
            behind = neighbours(field, index, place, -direction)
            if not behind or behind[0].better or (axis.name, direction) in against:
                continue
            if neighbours(field, index, place, direction):
                continue
            probe = field.newer(behind[0].trial, trial)
            step = behind[0].gap * (1.0 if probe else _GROW)
            moved = axis.at(axis.unit(trial.config[axis.name]) + direction * step)
            if axis.same(moved, trial.config[axis.name]):
                continue
            found = "the opposite hurt" if probe else "that direction already helped"
            why = f"{found} ({described(field, behind[0].trial)} was worse)"
            yield _moved(field, trial, axis, moved, direction, why)


def _untried(
    field: Field, index: int, record: dict[tuple[int, int], tuple[int, int]], rng: random.Random
) -> Iterator[Edit]:
    trial = field.trials[index]
    moves: list[tuple[float, int, int]] = []
    for place, axis in enumerate(field.axes):
        ways = (1, -1) if axis.ordered else (0,)
        for direction in ways:
            if direction and neighbours(field, index, place, direction):
                continue
            helped, hurt = record.get((place, direction), (0, 0))
            promise = (helped + 1) / (helped + hurt + 2) + _weight(axis) + 0.2 * rng.random()
            moves.append((-promise, place, direction))
    for _, place, direction in sorted(moves):
        helped, hurt = record.get((place, direction), (0, 0))
        why = f"helped {helped} of {helped + hurt} times elsewhere" if helped else "untried there"
        if direction:
            yield from _edit(field, trial, field.axes[place], direction, 1.0, why)
        else:
            yield from _switch(field, trial, field.axes[place], rng)


def _weight(axis: Axis) -> float:
    if not axis.ordered:
        return _SWITCH
    if axis.role not in _IMPORTANCE:
        return 0.0
    return 0.3 * (1 - _IMPORTANCE.index(axis.role) / len(_IMPORTANCE))


def _switch(field: Field, trial: TrialRecord, axis: Axis, rng: random.Random) -> Iterator[Edit]:
    """Give one other category of the trial that was not tried there."""
    for level in axis.others(trial.config[axis.name], rng):
        config = changed(field, trial.config, axis, level)
        if field.is_new(config):
            yield _moved(field, trial, axis, level, 0, "untried there")
            return


def _shorter(field: Field, index: int) -> Iterator[Edit]:
    """Give shorter steps where a step hurt; between two that hurt, the parabola's lowest point."""
    trial = field.trials[index]
    steps: list[tuple[float, int, float, str]] = []
    for place, axis in enumerate(field.axes):
        if not axis.ordered:
            continue
        here = axis.unit(trial.config[axis.name])
        near = {way: neighbours(field, index, place, way)[:1] for way in (1, -1)}
        if any(neighbour.better for tried in near.values() for neighbour in tried):
            continue
        lowest = _lowest_between(field, trial, here, near)
        if lowest is not None:
            steps.append((-max(near[1][0].gap, near[-1][0].gap), place, lowest, _BETWEEN))
        for way, tried in near.items():
            for neighbour in tried:
                unit = here + way * neighbour.gap * _SHRINK
                why = f"the longer step hurt ({described(field, neighbour.trial)})"
                steps.append((-neighbour.gap, place, unit, why))
    for _, place, unit, why in sorted(steps):
        axis = field.axes[place]
        moved = axis.at(unit)
        gap = axis.unit(moved) - axis.unit(trial.config[axis.name])
        if abs(gap) > _FINEST:
            yield _moved(field, trial, axis, moved, 1 if gap > 0 else -1, why)


def _lowest_between(
    field: Field, trial: TrialRecord, here: float, near: dict[int, list[Neighbour]]
) -> float | None:
    sign = 1.0 if field.evidence.mode == "min" else -1.0
    points = [
        (here + way * near[way][0].gap, sign * (near[way][0].trial.score or 0.0))
        for way in (-1, 1)
        if near[way] and near[way][0].trial.score is not None
    ]
    if len(points) < 2:
        return None
    return parabola_lowest(points[0], (here, sign * (trial.score or 0.0)), points[1])


def _moved(
    field: Field, trial: TrialRecord, axis: Axis, value: object, direction: int, why: str
) -> Edit:
    old = trial.config[axis.name]
    config = changed(field, trial.config, axis, value)
    text = f"{_verb(direction)} {axis.name} {axis.show(old)} -> {axis.show(value)}"
    if axis.role == "optimizer":
        for rate in field.axes:
            if rate.role == "learning_rate" and rate.ordered:
                before = config[rate.name]
                config[rate.name] = _rate_for(rate, before, old, value)
                if not rate.same(before, config[rate.name]):
                    text += f" and {rate.name} {rate.show(before)} -> "
                    text += rate.show(config[rate.name])
    return Edit(config, f"{text} from {described(field, trial)}: {why}")


def _rate_for(axis: Axis, rate: float, old: object, new: object) -> object:
    """Carry a learning rate over to another optimizer, in the ratio of their published defaults."""
    usual = [OPTIMIZER_LR.get(optimizer_kind(kind) or "") for kind in (old, new)]
    if usual[0] is None or usual[1] is None or usual[0].value == usual[1].value:
        return rate
    return axis.at(axis.unit_of_number(rate * usual[1].value / usual[0].value))


def _verb(direction: int) -> str:
    return {1: "raise", -1: "lower", 0: "switch"}[direction]


def described(field: Field, trial: TrialRecord) -> str:
    """Name a trial and its score as reasons do."""
    if trial.score is None:
        return f"trial {trial.trial_id} (no score)"
    return f"trial {trial.trial_id} ({field.evidence.metric} {trial.score:.4g})"
