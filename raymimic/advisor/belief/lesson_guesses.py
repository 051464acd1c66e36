"""Moves the best configurations of an earlier search into today's space, if it is similar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raymimic.advisor.base import Lesson, Lessons, SearchEvidence
from raymimic.advisor.belief.axes import Axis, axes_of
from raymimic.advisor.belief.belief import FAVOUR, belief_from_practice, usable
from raymimic.advisor.belief.prior import Prior
from raymimic.advisor.curve_text import number
from raymimic.errors import ConfigError
from raymimic.records import Belief, Config, Leaning, Mode, Place
from raymimic.space import Choice, FloatRange, Normal, SearchSpace

_TRIED = 2
"""So many of the best configurations are tried: a bad file costs two trials, not a search."""

_LISTED = 3

_RATIO = 4.0
"""In a range this wide a near value is near in ratio, whatever its scale."""


@dataclass(frozen=True)
class Guess:
    """A configuration to try before any result, and why."""

    config: Config
    reason: str


@dataclass(frozen=True)
class _Moved:
    values: Config
    changes: list[str]


def lesson_guesses(evidence: SearchEvidence) -> list[Guess]:
    """Give the best configurations of the lessons as guesses for today's space; none if unlike.

    A value that today's range or choice does not reach is moved to it where it is near, else left
    to published practice, as are parameters that the lessons do not know.
    """
    lessons, axes = evidence.lessons, axes_of(evidence.space)
    if lessons is None or unlike(lessons, axes, evidence.metric, evidence.mode):
        return []
    prior = Prior(axes, belief_from_practice(evidence.space))
    guesses: dict[tuple[int, ...], Guess] = {}
    for rank, lesson in enumerate(lessons.best, start=1):
        moved = _move(lesson, axes)
        config = prior.likeliest(moved.values)
        place = evidence.space.key(config)
        guesses.setdefault(place, Guess(config, _reason(lessons, rank, moved, axes)))
        if len(guesses) == _TRIED:
            break
    return list(guesses.values())


def belief_from_lessons(evidence: SearchEvidence) -> Belief | None:
    """Give published practice around the best configuration of the lessons, None if unlike.

    Of a parameter with no published width the lessons' best value is tried but not believed in.
    """
    lessons, axes = evidence.lessons, axes_of(evidence.space)
    if lessons is None or unlike(lessons, axes, evidence.metric, evidence.mode):
        return None
    practice = belief_from_practice(evidence.space)
    moved = _move(lessons.best[0], axes)
    places: dict[str, tuple[Place, ...]] = {}
    leanings: dict[str, Leaning] = {}
    for axis in axes:
        if axis.name not in moved.values:
            continue
        value = moved.values[axis.name]
        if not axis.ordered:
            label = axis.label(value)
            weights = {other: FAVOUR if other == label else 1.0 for other in axis.labels}
            leanings[axis.name] = Leaning(weights, lessons.name)
        elif known := practice.places.get(axis.name):
            width = max(place.width for place in known)
            places[axis.name] = (Place(float(value), width, axis.scale, lessons.name),)
    return Belief(places, leanings)


def lessons_note(lessons: Lessons, space: SearchSpace, metric: str, mode: Mode) -> str:
    """Say in one line what the lessons hold and whether their configurations are used here."""
    axes = axes_of(space)
    best = f", best {number(lessons.best[0].score)}" if lessons.best else ""
    metric_there = _plain(lessons.metric)
    text = f"lessons from {lessons.name}: {_trials(lessons)} for {metric_there}{best}"
    against = unlike(lessons, axes, metric, mode)
    if against:
        return f"{text}; {against}, so its configurations are not used"
    shared, existing = _shared(lessons.best[0], axes)
    return f"{text}; {shared} of {existing} parameters are known from it"


def unlike(lessons: Lessons, axes: Sequence[Axis], metric: str, mode: Mode) -> str:
    """Say why the lessons' configurations are not for this search, "" if they are."""
    if not lessons.best:
        return "no configuration had a score there"
    if lessons.metric == metric and lessons.mode != mode:
        wanted = "lower" if lessons.mode == "min" else "higher"
        return f"there a {wanted} {_plain(metric)} was better, here it is the opposite"
    shared, existing = _shared(lessons.best[0], axes)
    if 2 * shared < existing or not shared:
        return f"only {shared} of {existing} parameters are of the same name and kind"
    return ""


def _shared(lesson: Lesson, axes: Sequence[Axis]) -> tuple[int, int]:
    """How many parameters are known from a lesson, of those that exist beside its values."""
    values = _move(lesson, axes).values
    existing = [axis for axis in axes if _exists(axis, axes, values)]
    shared = [axis for axis in existing if axis.name in lesson.config]
    return sum(_same_kind(axis, lesson.config[axis.name]) for axis in shared), len(existing)


def _exists(axis: Axis, axes: Sequence[Axis], values: Config) -> bool:
    """Whether a parameter exists beside values that hold those before it."""
    if axis.parent is None:
        return True
    parent = axes[axis.parent]
    return parent.name in values and parent.label(values[parent.name]) in {
        parent.labels[level] for level in axis.beside
    }


def _same_kind(axis: Axis, value: Any) -> bool:
    """Numbers belong to ranges and lists of numbers, everything else to choices."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and not axis.ordered:
        return _category(axis, value) is not None
    return is_number == axis.ordered


def _move(lesson: Lesson, axes: Sequence[Axis]) -> _Moved:
    values: Config = {}
    changes: list[str] = []
    for axis in axes:
        if not _exists(axis, axes, values):
            continue
        if axis.name not in lesson.config:
            changes.append(f"{axis.name} is new")
            continue
        there = lesson.config[axis.name]
        found = None
        if _same_kind(axis, there):
            found = _number(axis, there) if axis.ordered else _category(axis, there)
        if found is None:
            changes.append(f"{axis.name} {_shown(there)} does not fit")
            continue
        (values[axis.name],) = found
        here = axis.dimension.show(found[0])
        if here != there:
            changes.append(f"{axis.name} {_shown(there)} -> {_shown(here)}")
    return _Moved(values, changes)


def _number(axis: Axis, value: float) -> tuple[Any] | None:
    """The value of the range or list nearest to a number, None where that is far away."""
    dimension = axis.dimension
    if isinstance(dimension, Normal):
        return (dimension.read(value)[0],)
    low, high = axis.bounds
    if not usable(axis, value, log=low > 0 and high / low >= _RATIO):
        return None
    if isinstance(dimension, FloatRange) and dimension.step is None:
        return (float(min(max(value, low), high)),)
    return (axis.at(axis.unit_of_number(value)),)


def _category(axis: Axis, value: Any) -> tuple[Any] | None:
    """The choice's own object that ``value`` names, in a tuple as it may be None itself."""
    if not isinstance(axis.dimension, Choice):
        return None
    try:
        return (axis.dimension.read(value)[0],)
    except ConfigError:
        return None


def _reason(lessons: Lessons, rank: int, moved: _Moved, axes: Sequence[Axis]) -> str:
    place = "best" if rank == 1 else f"number {rank}"
    score = number(lessons.best[rank - 1].score)
    text = f"{place} of {_trials(lessons)} in {lessons.name}: {_plain(lessons.metric)} {score}"
    if not moved.changes:
        return text
    listed = ", ".join(moved.changes[:_LISTED])
    more = len(moved.changes) - _LISTED
    existing = sum(_exists(axis, axes, moved.values) for axis in axes)
    by_practice = "; the rest as first guesses" if len(moved.values) < existing else ""
    return f"{text}, moved here ({listed}{f' and {more} more' if more > 0 else ''}{by_practice})"


def _trials(lessons: Lessons) -> str:
    return f"{lessons.trials} trial{'' if lessons.trials == 1 else 's'}"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else _plain(str(value))


def _plain(text: str) -> str:
    """Foreign words for one line of a log: short, nothing unprintable."""
    cut = text if len(text) <= 40 else text[:39] + "…"
    return cut if cut.isprintable() else ascii(cut)
