"""What is believed before any result, and the few configurations that are tried for it first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.belief.axes import Axis, axes_of
from raymimic.advisor.belief.belief import belief_from_practice
from raymimic.advisor.belief.lesson_guesses import Guess, belief_from_lessons, lesson_guesses
from raymimic.advisor.belief.prior import Prior
from raymimic.advisor.belief.reading import MODEL, USER
from raymimic.records import Belief, Config, Place

PRACTICE = "common practice"

_BRANCHES = 4
"""So many branches are tried first: of more, some may never be worth a trial."""

_LISTED = 3
"""So many values are named in a reason, the learning rate first."""


_EQUAL = 1e-6
"""Two numbers that differ by no more than this share are one: a step's rounding."""


@dataclass(frozen=True)
class Opinion:
    """A belief, and whose it is."""

    belief: Belief
    whose: tuple[str, ...]

    @property
    def who(self) -> str:
        """Whose it is, in words."""
        return " and ".join(self.whose)

    @property
    def says(self) -> bool:
        """Whether anything is believed."""
        return bool(self.belief.places or self.belief.leanings)


def opinions(evidence: SearchEvidence) -> list[Opinion]:
    """Give what is believed of the optimum: by common practice, by lessons, by the model.

    What the user says is in each, and comes first; practice that it contradicts stays an opinion of
    its own beside them, for a user may be wrong, too.
    """
    practice = belief_from_practice(evidence.space)
    found = [Opinion(practice, (PRACTICE,))]
    learnt = belief_from_lessons(evidence)
    if learnt is not None and evidence.lessons is not None:
        found.append(Opinion(learnt.over(practice), (evidence.lessons.name,)))
    if evidence.model_belief is not None:
        found.append(Opinion(evidence.model_belief.over(practice), (MODEL,)))
    if evidence.belief is None:
        return found
    said = evidence.belief
    told = [
        Opinion(said.over(one.belief), (USER, *one.whose) if one.says else (USER,)) for one in found
    ]
    return [*told, found[0]] if said.names & practice.names else told


def openings(evidence: SearchEvidence) -> list[Guess]:
    """Give the first configurations: the centre of each belief, and what an earlier search found.

    That of common practice is always among them, whatever you, lessons or a model say; so are the
    values in other branches of a choice, as what is learnt in one says little of the others.
    """
    axes = axes_of(evidence.space)
    first, *others = opinions(evidence)
    usual = [one for one in others if one.whose == (PRACTICE,)]
    centres = [_centre(axes, one) for one in (first, *usual)]
    learnt = lesson_guesses(evidence)
    branches = islice(_in_branches(axes, first, Prior(axes, first.belief)), _BRANCHES)
    return [*learnt[:1], *centres, *learnt[1:], *branches]


def _centre(axes: Sequence[Axis], opinion: Opinion) -> Guess:
    config = Prior(axes, opinion.belief).likeliest()
    return Guess(config, _reason(axes, opinion, config))


def _in_branches(axes: Sequence[Axis], opinion: Opinion, prior: Prior) -> Iterator[Guess]:
    """Give the likeliest configuration in each other branch of the choices that always exist."""
    default, deciding = prior.likeliest(), {axis.parent for axis in axes}
    for number, axis in enumerate(axes):
        if number not in deciding or axis.parent is not None:
            continue
        for level in axis.levels or ():
            if not axis.same(level, default[axis.name]):
                config = prior.likeliest({axis.name: level})
                given = f"{axis.name} {axis.show(level)}, as each branch is tried once, then "
                yield Guess(config, given + _reason(axes, opinion, config, said=axis.name))


def _reason(axes: Sequence[Axis], opinion: Opinion, config: Config, said: str = "") -> str:
    """Say where the values come from, but for the parameter of which it is ``said`` already."""
    here = [axis for axis in axes if axis.name in config and axis.name != said]
    notes = []
    for axis in sorted(here, key=lambda axis: axis.role != "learning_rate"):
        why = _why(axis, axes, config, opinion.belief)
        if why:
            notes.append(f"{axis.name} {axis.show(config[axis.name])} ({why})")
    rest = [axis for axis in here if not _why(axis, axes, config, opinion.belief)]
    if not notes:
        return f"first guess: no name tells anything, {_neutral(rest)}"
    more = f" and {len(notes) - _LISTED} more" if len(notes) > _LISTED else ""
    left = f"; the rest: {_neutral(rest)}" if rest else ""
    return f"first guess from {opinion.who}: {', '.join(notes[:_LISTED])}{more}{left}"


def _why(axis: Axis, axes: Sequence[Axis], config: Config, belief: Belief) -> str:
    """Say where a value comes from: whoever states another one is not named for this one."""
    leaning = belief.leanings.get(axis.name)
    if leaning is not None:
        return leaning.source
    place = next((p for p in belief.places.get(axis.name, ()) if holds(p, axes, config)), None)
    if place is None:
        return ""
    if math.isclose(float(config[axis.name]), place.centre, rel_tol=_EQUAL, abs_tol=1e-300):
        return place.source
    low, high = axis.bounds
    inside = low <= place.centre <= high or axis.levels is not None
    moved = "your nearest to" if inside else "moved into your range from"
    return f"{moved} {place.centre:.4g}, {place.source}"


def _neutral(axes: Sequence[Axis]) -> str:
    """Say how values are chosen of which nothing is believed, as `Prior.likeliest` does."""
    parts = ["the middle of each range"] if any(axis.ordered for axis in axes) else []
    parts += ["the first of each list"] if not all(axis.ordered for axis in axes) else []
    return " and ".join(parts)


def holds(place: Place, axes: Sequence[Axis], config: Config) -> bool:
    """Whether a place is meant for the configuration."""
    if place.given is None:
        return True
    name, label = place.given
    known = (axis for axis in axes if axis.name == name and name in config)
    return any(axis.label(config[name]) == label for axis in known)
