"""A search as data: what it looks for, in which space, with which budget, and what it knows.

Everything in a `Session` is saved with a checkpoint; live handles (the advisor's thread) are not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raymimic.advisor import Advisor, Lessons, SearchEvidence
from raymimic.errors import ConfigError
from raymimic.records import Budget, Config, Mode, Proposal
from raymimic.search.evaluated import evaluated_record
from raymimic.search.journal import Journal
from raymimic.search.state import Queued, SearchState
from raymimic.space import SearchSpace
from raymimic.tune.domains import RaySpace

logger = logging.getLogger(__name__)


@dataclass
class Session:
    """One search. ``state`` is None until space, metric and mode are known and it begins.

    ``points``, ``lessons`` and ``given`` wait for the space: configurations to run first, what an
    earlier search learnt, and trials that were evaluated elsewhere. Times in seconds;
    ``seconds_before`` was used before the last restore.
    """

    journal: Journal
    seed: int
    instruction: str
    points: list[dict[str, Any]]
    lessons: Lessons | None = None
    ray_space: RaySpace | None = None
    state: SearchState | None = None
    given: list[dict[str, Any]] = field(default_factory=list)
    trials_total: int | None = None
    seconds_total: float | None = None
    seconds_before: float = 0.0
    concurrency: int | None = None
    _clock: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The clock stops when a session is saved: it means nothing to another process."""
        return {**self.__dict__, "seconds_before": self.seconds_used, "_clock": None}

    @property
    def seconds_used(self) -> float:
        """Time since the search began, without the time between a kill and its restore."""
        running = 0.0 if self._clock is None else time.monotonic() - self._clock
        return self.seconds_before + running

    @property
    def all_started(self) -> bool:
        """Whether every trial of the budget has been given to Tune."""
        started = self.state.started if self.state else 0
        return self.trials_total is not None and started >= self.trials_total

    def takes(self, space: SearchSpace) -> bool:
        """Whether a run may search ``space``: none is known yet, or this one is under way."""
        known = self.ray_space
        return known is None or (
            self.state is not None and known.space.to_json() == space.to_json()
        )

    def budget(self) -> Budget:
        """What is left; the clock starts with the first look."""
        if self._clock is None:
            self._clock = time.monotonic()
        return Budget(
            trials_total=self.trials_total,
            trials_started=self.state.started if self.state else 0,
            seconds_total=self.seconds_total,
            seconds_used=self.seconds_used,
            concurrency=self.concurrency,
        )

    def begin(self, metric: str, mode: Mode, advisor: Advisor, batch: int) -> SearchState:
        """Begin the search: write its first event, queue the points, take in the given trials."""
        space = self._known_space().space
        if self.journal.ledger.next:
            logger.warning(
                "raymimic: the ledger %s holds an earlier search of which nothing was restored: "
                "this one begins anew, with num_samples=%s. If you restored a run, its driver died "
                "before Tune's first checkpoint: start it again instead.",
                self.journal.ledger.path,
                self.trials_total,
            )
        self.state = SearchState(space, metric, mode, self.lessons)
        self.journal.note(
            "search",
            metric=metric,
            mode=mode,
            advisor=advisor.name,
            space=space.to_json(),
            trials_total=self.trials_total,
            seconds_total=self.seconds_total,
            concurrency=self.concurrency,
            batch=batch,
            instruction=self.instruction,
            seed=self.seed,
        )
        if self.lessons is not None:
            logger.info("raymimic: %s", self.journal.lessons(self.state, self.lessons))
            self.lessons = None  # the state keeps them
        for point in self.points:
            proposal = Proposal(self.config_of(point), "given in points_to_evaluate", "user")
            self.journal.proposal(space, self.state.enqueue(proposal, 0))
        for trial in self.given:
            self.add_evaluated(self.state, **trial)
        self.points, self.given = [], []
        return self.state

    def evidence(self, state: SearchState) -> SearchEvidence:
        """All that an advisor would be shown now."""
        return state.view(self.budget(), self.instruction)()

    def config_of(self, nested: Mapping[str, Any]) -> Config:
        """Return a user's own configuration, which must fit as it is; raises `ConfigError`."""
        ray_space = self._known_space()
        config, repairs = ray_space.space.check(ray_space.flatten(nested))
        if repairs:
            raise ConfigError(list(repairs))
        return config

    def adopt(self, state: SearchState, nested: Mapping[str, Any]) -> Queued | None:
        """Find or make a proposal for a trial that Tune knows and we do not; None: not ours.

        It was restarted under a new id, or began after a checkpoint of ours that was not the last:
        then its proposal waits in the queue again.
        """
        try:
            config = self.config_of(nested)
        except ConfigError:
            return None
        waiting = state.take(config)
        if waiting is not None:
            return waiting
        proposal = Proposal(config, "restarted by Tune under a new id", "user")
        numbered = state.number(proposal, len(state.ended))
        self.journal.proposal(state.space, numbered)
        return numbered

    def add_evaluated(
        self, state: SearchState, parameters: Mapping[str, Any], **outcome: Any
    ) -> None:
        """Take in a trial that was evaluated elsewhere; raises `ConfigError` if it does not fit."""
        record = evaluated_record(state, self.config_of(parameters), **outcome)
        state.add_evaluated(record)
        self.journal.evaluated(state.space, record)

    def _known_space(self) -> RaySpace:
        assert self.ray_space is not None, "the searcher asks only once the space is known"
        return self.ray_space
