"""What a user gives a search before its space is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raymimic.records import Config, Proposal
from raymimic.search.session import Session

Flat = Callable[[Mapping[str, Any]], Config]
"""From a configuration as a user writes it to the searched part of it, not yet checked."""


@dataclass
class Given:
    """Configurations to run first, and trials that ran elsewhere."""

    points: list[dict[str, Any]] = field(default_factory=list)
    trials: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def check(self, session: Session, flat: Flat) -> None:
        """See that all of it, and the user's belief, fit the space; raises `ConfigError`."""
        session.read_belief()
        for point in [*self.points, *(parameters for parameters, _ in self.trials)]:
            session.check(flat(point))

    def hand_over(self, session: Session, flat: Flat) -> None:
        """Queue the points and take in the trials of a session that has just begun."""
        for point in self.points:
            config = session.check(flat(point))
            session.enqueue(Proposal(config, "given in points_to_evaluate", "user"), 0)
        for parameters, outcome in self.trials:
            session.add_evaluated(flat(parameters), **outcome)
        self.points, self.trials = [], []
