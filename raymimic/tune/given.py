"""What a user gives a search before its space is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from raymimic.errors import SpaceError
from raymimic.records import Config, Proposal
from raymimic.search.elsewhere import add_evaluated
from raymimic.search.session import Session
from raymimic.space.reading import brief
from raymimic.tune.domains import RaySpace


@dataclass
class Given:
    """Configurations to run first, trials that ran elsewhere, and what all must keep to."""

    points: list[dict[str, Any]] = field(default_factory=list)
    trials: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    constraints: tuple[Any, ...] = ()

    def check(self, session: Session, space: RaySpace) -> None:
        """See that all of it, and the user's belief, fit the space; raises `SpaceError`."""
        session.constraints = tuple(
            Nested(one, space) if callable(one) else one for one in self.constraints
        )
        session.restricted()
        session.read_belief()
        for point in [*self.points, *(parameters for parameters, _ in self.trials)]:
            session.check(space.flatten(point))

    def hand_over(self, session: Session, space: RaySpace) -> None:
        """Queue the points and take in the trials of a session that has just begun."""
        for point in self.points:
            config = session.check(space.flatten(point))
            session.enqueue(Proposal(config, "given in points_to_evaluate", "user"), 0)
        for parameters, outcome in self.trials:
            add_evaluated(session, space.flatten(parameters), **outcome)
        self.points, self.trials = [], []


def read_constraints(raw: Any) -> tuple[str | Callable[[Config], Any], ...]:
    """Return what was given as ``constraints``; raises `SpaceError` for what cannot be one."""
    if isinstance(raw, str) or callable(raw):
        raw = [raw]
    if not isinstance(raw, Sequence) or not all(isinstance(r, str) or callable(r) for r in raw):
        raise SpaceError(
            "constraints must be a list of texts such as 'width * depth <= 2048' and functions "
            f"from a configuration to True or False, got {brief(raw)}"
        )
    return tuple(raw)


class Nested:
    """A user's function of a configuration as the trainable gets it: its searched part, nested."""

    def __init__(self, function: Callable[[Config], Any], space: RaySpace) -> None:
        self.function, self.space = function, space
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, config: Config) -> Any:
        """Ask the function."""
        return self.function(self.space.nest(config))
