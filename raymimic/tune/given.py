"""What a user gives a search before its space is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raymimic.errors import SpaceError
from raymimic.feasibility import Limit, read_limits
from raymimic.records import Config, Proposal
from raymimic.search.elsewhere import add_evaluated
from raymimic.search.session import Session
from raymimic.space.reading import brief
from raymimic.space.restrictions import Predicate
from raymimic.tune.domains import RaySpace

Constraint = str | Callable[[Config], Any] | Mapping[str, str]
Constraints = Constraint | Sequence[Constraint]
"""What may be given as ``constraints``."""


@dataclass
class Given:
    """Configurations to run first, trials that ran elsewhere, and what all must keep to."""

    points: list[dict[str, Any]] = field(default_factory=list)
    trials: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    constraints: tuple[Any, ...] = ()
    limits: tuple[Limit, ...] = ()

    def check(self, session: Session, space: RaySpace) -> None:
        """See that all of it, and the user's belief, fit the space; raises `SpaceError`."""
        session.constraints = tuple(
            Nested(one, space) if callable(one) else one for one in self.constraints
        )
        session.restricted()
        session.limits = self.limits
        for limit in self.limits:
            if limit.metric in space.space.dimensions:
                raise SpaceError(
                    f"a limit by name is of a result's metric, and {limit.metric!r} is a "
                    f"parameter: give the text {limit.text!r} in constraints=[...] instead"
                )
        session.read_belief()
        for point in [*self.points, *(parameters for parameters, _ in self.trials)]:
            session.check(space.flatten(point))

    def agree(self, saved: Given) -> None:
        """Raise `SpaceError` where a restored search is given other constraints than it has."""
        mine, known = self._words(), saved._words()
        if mine and mine != known:
            raise SpaceError(
                f"a restored search keeps the constraints that it was saved with, {known}; got "
                f"{mine}: give the same or none, and say what is new with searcher.tell(...)"
            )

    def _words(self) -> list[str]:
        written = [one if isinstance(one, str) else Predicate(one).text for one in self.constraints]
        return [*written, *(limit.text for limit in self.limits)]

    def hand_over(self, session: Session, space: RaySpace) -> None:
        """Queue the points and take in the trials of a session that has just begun."""
        for point in self.points:
            config = session.check(space.flatten(point))
            session.enqueue(Proposal(config, "given in points_to_evaluate", "user"), 0)
        for parameters, outcome in self.trials:
            add_evaluated(session, space.flatten(parameters), **outcome)
        self.points, self.trials = [], []


def read_constraints(
    raw: Any,
) -> tuple[tuple[str | Callable[[Config], Any], ...], tuple[Limit, ...]]:
    """Return what was given as ``constraints``: what configurations, then what results keep to.

    Raises `SpaceError` for what cannot be one.
    """
    if isinstance(raw, str | Mapping) or callable(raw):
        raw = [raw]
    if not isinstance(raw, Sequence) or not all(
        isinstance(one, str | Mapping) or callable(one) for one in raw
    ):
        raise SpaceError(
            "constraints must be a list of texts such as 'width * depth <= 2048', functions from a "
            "configuration to True or False, and limits of a result's metrics such as "
            f"{{'memory_gb': '<= 16'}}, got {brief(raw)}"
        )
    limits = (limit for one in raw if isinstance(one, Mapping) for limit in read_limits(one))
    return tuple(one for one in raw if not isinstance(one, Mapping)), tuple(limits)


class Nested:
    """A user's function of a configuration as the trainable gets it: its searched part, nested."""

    def __init__(self, function: Callable[[Config], Any], space: RaySpace) -> None:
        self.function, self.space = function, space
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def nested(self, config: Config) -> dict[str, Any]:
        """What the function is given."""
        return self.space.nest(config)

    def __call__(self, config: Config) -> Any:
        """Ask the function."""
        return self.function(self.nested(config))
