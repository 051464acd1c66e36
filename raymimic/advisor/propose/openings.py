"""What is believed before any result, and the few configurations that are tried for it first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.propose.axes import Axis, axes_of
from raymimic.advisor.propose.belief import belief_from_practice
from raymimic.advisor.propose.belief_reading import MODEL, USER
from raymimic.advisor.propose.lesson_guesses import Guess, belief_from_lessons, lesson_guesses
from raymimic.advisor.propose.prior import Prior
from raymimic.records import Belief, Config, Place

PRACTICE = "published practice"

_LISTED = 3
"""So many values are named in a reason, the learning rate first."""


@dataclass(frozen=True)
class Opinion:
    """A belief, and whose it is."""

    belief: Belief
    who: str


def opinions(evidence: SearchEvidence) -> list[Opinion]:
    """Give what is believed of the optimum: by published practice, by lessons, by the model.

    What the user says is in each.
    """
    practice = belief_from_practice(evidence.space)
    says = bool(practice.places or practice.leanings)
    found = [Opinion(practice, PRACTICE if says else "no name")]
    learnt = belief_from_lessons(evidence)
    if learnt is not None and evidence.lessons is not None:
        found.append(Opinion(learnt.over(practice), evidence.lessons.name))
    if evidence.model_belief is not None:
        found.append(Opinion(evidence.model_belief.over(practice), MODEL))
    if evidence.belief is None:
        return found
    said = evidence.belief
    return [replace(o, belief=said.over(o.belief), who=f"{USER} and {o.who}") for o in found]


def openings(evidence: SearchEvidence) -> list[Guess]:
    """Give the first configurations: the centre of each belief, and what an earlier search found.

    That of published practice is always among them, whatever lessons or a model say.
    """
    axes = axes_of(evidence.space)
    practice, *_ = opinions(evidence)
    default = Guess(Prior(axes, practice.belief).likeliest(), _reason(axes, practice))
    learnt = lesson_guesses(evidence)
    return [*learnt[:1], default, *learnt[1:]]


def _reason(axes: Sequence[Axis], opinion: Opinion) -> str:
    practice = opinion.belief
    config = Prior(axes, practice).likeliest()
    notes = []
    for axis in sorted(axes, key=lambda axis: axis.role != "learning_rate"):
        leaning = practice.leanings.get(axis.name)
        if leaning is not None:
            notes.append(f"{axis.name} {axis.show(config[axis.name])} ({leaning.source})")
        elif axis.name in practice.places:
            given = practice.places[axis.name]
            source = next((p.source for p in given if holds(p, axes, config)), given[0].source)
            notes.append(f"{axis.name} {axis.show(config[axis.name])} ({source})")
    if not notes:
        return "first guess: no name is known, the middle of each range"
    more = f" and {len(notes) - _LISTED} more by practice" if len(notes) > _LISTED else ""
    rest = "; the rest from the middle of the range" if len(axes) > len(notes) else ""
    return f"first guess from {opinion.who}: {', '.join(notes[:_LISTED])}{more}{rest}"


def holds(place: Place, axes: Sequence[Axis], config: Config) -> bool:
    """Whether a place is meant for the configuration."""
    if place.given is None:
        return True
    name, label = place.given
    return any(axis.name == name and axis.label(config[name]) == label for axis in axes)
