"""Proposals that change several values at once: refinement, crossover, coverage, the last rest."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

from raymimic.advisor.propose.axes import UNKNOWN_STEP, Axis
from raymimic.advisor.propose.edits import Edit, described
from raymimic.advisor.propose.first_guesses import plausible
from raymimic.advisor.propose.known_trials import Field
from raymimic.records import Config

_TRIES = 20
_COVERAGE_CANDIDATES = 10
_SMALL = 1_000
_ENUMERATED = 20_000
"""Finite spaces are listed in full up to these sizes: always, and once half is taken."""

_SHORTEST = 0.5
"""A perturbation is at least this share of the step: a trial is too dear for "30 -> 31"."""

_HORIZON = 100
"""Trials after which refinement changes one value at a time, where the budget is not known."""


def refinements(field: Field, index: int, rng: random.Random) -> Iterator[Edit]:
    """Perturb a trial; fewer values and shorter steps as trials go by without a better one.

    The share of changed values falls with log(trials)/log(budget): dynamically dimensioned search
    (Tolson & Shoemaker 2007), made for small budgets.
    """
    trial = field.trials[index]
    share = _share_changed(field)
    width = _step_width(field)
    for _ in range(_TRIES):
        chosen = [axis for axis in field.axes if not axis.fixed and rng.random() < share]
        open_axes = [axis for axis in field.axes if not axis.fixed]
        if not chosen and open_axes:
            chosen = [rng.choice(open_axes)]
        config = {axis.name: trial.config[axis.name] for axis in field.axes}
        for axis in chosen:
            config[axis.name] = _perturbed(axis, config[axis.name], width, rng)
        edits = [
            axis for axis in chosen if not axis.same(config[axis.name], trial.config[axis.name])
        ]
        if edits:
            yield Edit(
                config, f"refine {described(field, trial)}: {_listed(edits, trial.config, config)}"
            )


def crossovers(field: Field, rng: random.Random, parents: int = 5) -> Iterator[Edit]:
    """Mix two of the best trials, value by value."""
    best = field.trials[:parents]
    if len(best) < 2:
        return
    for _ in range(_TRIES):
        a, b = sorted(rng.sample(range(len(best)), 2))
        first, second = best[a], best[b]
        config = {
            axis.name: (first if rng.random() < 0.5 else second).config[axis.name]
            for axis in field.axes
        }
        yield Edit(config, f"cross {described(field, first)} with {described(field, second)}")


def coverage(field: Field, rng: random.Random, *, practical: bool) -> Iterator[Edit]:
    """Give the random configuration farthest from all known ones; failures keep double distance.

    With ``practical`` values of known roles are drawn where published practice looks for them.
    """
    best: tuple[float, Config] | None = None
    for _ in range(_COVERAGE_CANDIDATES):
        config = {axis.name: _drawn(axis, field.family, practical, rng) for axis in field.axes}
        if not field.is_new(config):
            continue
        near = min(
            field.distance(field.units, config),
            field.distance(field.others, config),
            field.distance(field.failed, config) / 2,
        )
        if best is None or near > best[0]:
            best = (near, config)
    if best is not None:
        far = "" if math.isinf(best[0]) else f", {best[0]:.2f} from the nearest known trial"
        yield Edit(best[1], f"coverage: a random point where little is known{far}")


def leftovers(field: Field, rng: random.Random) -> Iterator[Edit]:
    """Give what a small finite space still has, in random order."""
    size = field.space.size
    if size is None or size > _ENUMERATED or (size > _SMALL and field.taken < size / 2):
        return
    values = [_all_values(axis) for axis in field.axes]
    rest = [
        config
        for config in (
            dict(zip(field.space.dimensions, combination, strict=True))
            for combination in itertools.product(*values)
        )
        if field.is_new(config)
    ]
    rng.shuffle(rest)
    for config in rest:
        yield Edit(config, f"one of the last {len(rest)} untried of {size} configurations")


def _all_values(axis: Axis) -> list[object]:
    if axis.levels is not None:
        return list(axis.levels)
    count = axis.dimension.size or 1
    low, high = axis.bounds
    step = (high - low) / max(1, count - 1)
    return [axis.at(axis.unit_of_number(low + i * step)) for i in range(count)]


def _share_changed(field: Field) -> float:
    total = field.evidence.budget.trials_total or _HORIZON
    share = 1.0 - math.log(max(1, field.count)) / math.log(max(2, total, field.count))
    return min(0.7, max(share, 1.0 / max(1, len(field.axes))))


def _step_width(field: Field) -> float:
    """Give the step in natural steps: halved for every eight trials since the best one."""
    return float(max(0.1, 0.5 ** (field.stalled / 8)))


def _perturbed(axis: Axis, value: object, width: float, rng: random.Random) -> object:
    if not axis.ordered:
        return axis.others(value, rng)[0]
    size = min(UNKNOWN_STEP, axis.step_size(value))
    length = rng.gauss(0.0, 1.0)
    length = math.copysign(max(abs(length), _SHORTEST), length)
    unit = axis.unit(value) + length * size * width
    unit = -unit if unit < 0 else 2.0 - unit if unit > 1 else unit
    moved = axis.at(unit)
    if axis.same(moved, value):
        return axis.stepped(value, rng.choice((1, -1)), 0.0) or value
    return moved


def _drawn(axis: Axis, family: str, practical: bool, rng: random.Random) -> object:
    span = plausible(axis, family) if practical and axis.ordered else None
    if span is None:
        return axis.dimension.sample(rng)
    return axis.at(span[0] + (span[1] - span[0]) * rng.random())


def _listed(edits: list[Axis], old: Config, new: Config, limit: int = 4) -> str:
    shown = [f"{a.name} {a.show(old[a.name])} -> {a.show(new[a.name])}" for a in edits[:limit]]
    return ", ".join(shown) + (f" and {len(edits) - limit} more" if len(edits) > limit else "")
