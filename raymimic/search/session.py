"""A search as data: what it looks for, in which space, with which budget, and what it knows.

Everything in a `Session` is saved with a checkpoint; live handles (the advisor's thread) are not.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raymimic import events
from raymimic.advisor import (
    MODEL,
    USER,
    Lessons,
    SearchEvidence,
    belief_to_json,
    describe_belief,
    lessons_note,
    opinions,
    read_belief,
    readings,
)
from raymimic.errors import ConfigError
from raymimic.feasibility import Limit
from raymimic.foreign import without_secrets
from raymimic.records import Belief, Budget, Config, Mode, Objective, Proposal
from raymimic.search.inbox import Inbox
from raymimic.search.state import Queued, SearchState
from raymimic.search.steering import Steering
from raymimic.space import SearchSpace
from raymimic.space.restrictions import Predicate, Restriction, read_restrictions
from raymimic.summary import Journal

logger = logging.getLogger(__name__)

_NO_LIMIT = 2**31  # Tune passes num_samples=-1 as sys.maxsize

_SHOWN = 8  # parameters of a belief in a line of the log


@dataclass
class Session:
    """One search. It begins once space, metric and mode are known; ``state`` is what it knows then.

    ``lessons`` of an earlier search, and what the user ``said`` of the optimum, wait for that.
    ``constraints`` are the user's restrictions of the space: texts, and functions of a
    configuration; ``limits`` are what results must keep to. ``task`` is what the trainable says of
    itself, ``epochs`` its most. Configurations are flat, as everywhere in this room. Times in
    seconds; ``seconds_before`` was used before the last restore.
    """

    journal: Journal
    seed: int
    instruction: str = ""
    lessons: Lessons | None = None
    said: Mapping[str, Any] | None = None
    constraints: tuple[str | Callable[[Config], Any], ...] = ()
    limits: tuple[Limit, ...] = ()
    space: SearchSpace | None = None
    trials_total: int | None = None
    seconds_total: float | None = None
    seconds_before: float = 0.0
    concurrency: int | None = None
    task: str = ""
    epochs: int | None = None
    steering: Steering = field(default_factory=Steering)
    _inbox: Inbox | None = None
    _state: SearchState | None = None
    _clock: float | None = None
    _started_at: dict[str, float] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """All clocks stop when a session is saved: they mean nothing to another process."""
        stopped: dict[str, Any] = {
            "seconds_before": self.seconds_used,
            "_clock": None,
            "_started_at": {},
            "_inbox": None,
        }
        return {**self.__dict__, **stopped}

    # -- before and while it runs --------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether `begin` was called, in this process or before a restore."""
        return self._state is not None

    @property
    def state(self) -> SearchState:
        """What the search knows; RuntimeError before it began."""
        if self._state is None:
            raise RuntimeError("a search knows nothing before Session.begin was called")
        return self._state

    def takes(self, space: SearchSpace) -> bool:
        """Whether a run may search ``space``: none is known yet, or this one is under way."""
        known = self.space
        return known is None or (self.begun and known.to_json() == space.to_json())

    def begin(
        self,
        metric: str,
        mode: Mode,
        advisor: str,
        batch: int,
        others: tuple[Objective, ...] = (),
    ) -> None:
        """Begin the search in its space: write its first event and what its lessons are worth.

        ``others`` are objectives beside ``metric`` and ``mode``.
        ``advisor`` is who proposes, ``batch`` how many configurations a question to a model wants.
        """
        assert self.space is not None, "a search begins once its space is known"
        if self.journal.ledger.next:
            logger.warning(
                "raymimic: the ledger %s holds an earlier search of which nothing was restored: "
                "this one begins anew, with num_samples=%s. If you restored a run, its driver died "
                "before Tune's first checkpoint: start it again instead.",
                self.journal.ledger.path,
                self.trials_total,
            )
        belief, self.space = self.read_belief(), self.restricted()
        self._state = SearchState(
            self.space, metric, mode, self.lessons, belief, others=others, limits=self.limits
        )
        events.search(
            self.journal.append,
            metric=metric,
            mode=mode,
            others=others,
            advisor=advisor,
            space=self.space.to_json(),
            trials_total=self.trials_total,
            seconds_total=self.seconds_total,
            concurrency=self.concurrency,
            batch=batch,
            instruction=self.instruction,
            seed=self.seed,
            limits=[limit.to_json() for limit in self.limits],
            task=self.task,
            epochs=self.epochs,
        )
        if self.lessons is not None:
            note = lessons_note(self.lessons, self.space, metric, mode)
            name, text = self.lessons.name, self.lessons.text
            events.lessons(self.journal.append, name=name, note=note, text=text)
            logger.info("raymimic: %s", note)
            self.lessons = None  # the state keeps them
        for opinion in opinions(self.evidence()):
            who = f"{opinion.who}: " if opinion.says else ""
            logger.info("raymimic: %s%s", who, describe_belief(opinion.belief, _SHOWN, self.space))
            self.believe(opinion.who, opinion.belief)
        if belief is not None:
            self.believe(USER, belief)
        self.steering.begin(self)
        self.steering.obey(self)

    def read_belief(self) -> Belief | None:
        """Read what the user said of the optimum; raises `ConfigError` where it does not fit."""
        assert self.space is not None, "a belief is read once the space is known"
        return None if self.said is None else read_belief(self.said, self.space)

    def restricted(self, wished: Iterable[str] = ()) -> SearchSpace:
        """The space under the user's ``constraints`` and these restrictions.

        Raises `SpaceError` where nothing is left.
        """
        assert self.space is not None, "constraints are read once the space is known"
        restrictions: list[Restriction] = []
        for one in (*self.constraints, *wished):
            if isinstance(one, str):
                restrictions += read_restrictions(one, self.space.dimensions)
            else:
                restrictions.append(Predicate(one))
        return self.space.under(restrictions)

    def believe(self, who: str, belief: Belief) -> None:
        """Write down what ``who`` believes of the optimum; the model's is kept for what follows."""
        if who == MODEL:
            self.state.model_belief = belief
        text = describe_belief(belief, space=self.space)
        places = belief_to_json(belief)
        events.belief(self.journal.append, who=who, text=text, places=places)

    def listen(self) -> None:
        """Hear the user's wishes from now on; what was said before counts, too."""
        if self._inbox is None:
            self._inbox = Inbox(self)
            self._inbox.start()

    # -- budget --------------------------------------------------------------------------------

    @property
    def seconds_used(self) -> float:
        """Time since the search began, without the time between a kill and its restore."""
        running = 0.0 if self._clock is None else time.monotonic() - self._clock
        return self.seconds_before + running

    @property
    def trials_started(self) -> int:
        """How many trials were given to Tune."""
        return 0 if self._state is None else self._state.started

    @property
    def trials_left(self) -> float:
        """How many trials the budget may still start; infinite without a limit."""
        total = self.trials_total
        if self.steering.orders.ending:
            return 0
        return math.inf if total is None else max(0, total - self.trials_started)

    def limit(self, samples: int | None, seconds: float | None, epochs: int | None = None) -> None:
        """Learn how many trials may start from now on (as Tune counts them), and how long they run.

        ``seconds`` is the run's time, ``epochs`` the most of a training; None where nobody says.
        """
        limited = samples is not None and 0 < samples < _NO_LIMIT
        self.trials_total = self.trials_started + (samples or 0) if limited else None
        self.seconds_total, self.epochs = seconds, epochs
        self.steering.new_run()

    def budget(self) -> Budget:
        """What is left; the clock starts with the first look."""
        if self._clock is None:
            self._clock = time.monotonic()
        return Budget(
            trials_total=self.trials_total,
            trials_started=self.trials_started,
            seconds_total=self.seconds_total,
            seconds_used=self.seconds_used,
            concurrency=self.concurrency,
            epochs=self.epochs,
        )

    def view(self) -> Callable[[], SearchEvidence]:
        """Freeze what is known now; the function returned makes evidence of it in any thread."""
        orders = self.steering.orders
        return self.state.view(self.budget(), self.instruction, orders.words, self.task)

    def evidence(self) -> SearchEvidence:
        """All that an advisor would be shown now."""
        return self.view()()

    # -- proposals -----------------------------------------------------------------------------

    def check(self, config: Config) -> Config:
        """Return a user's own configuration, which must fit as it is; raises `ConfigError`."""
        assert self.space is not None, "the searcher asks only once the space is known"
        checked, repairs = self.space.check(config)
        if repairs:
            raise ConfigError(list(repairs))
        return checked

    def number(self, proposal: Proposal, made_from: int) -> Queued:
        """Give a checked proposal its id and write it to the ledger; it is not queued."""
        return self._written(self.state.number(proposal, made_from))

    def enqueue(self, proposal: Proposal, made_from: int, *, first: bool = False) -> Queued:
        """Queue a checked proposal under a new id, and write it to the ledger."""
        return self._written(self.state.enqueue(proposal, made_from, first=first))

    def _written(self, queued: Queued) -> Queued:
        events.proposal(
            self.journal.append,
            queued.proposal,
            number=queued.id,
            config=self.state.space.show(queued.proposal.config),
            made_from=queued.made_from,
        )
        return queued

    def adopt(self, config: Config) -> Queued:
        """Find or make a proposal for a trial that Tune knows and we do not.

        It was restarted under a new id, or began after a checkpoint of ours that was not the last:
        then its proposal waits in the queue again. Raises `ConfigError` for a trial of another
        search.
        """
        config = self.check(config)
        waiting = self.state.take(config)
        if waiting is not None:
            return waiting
        proposal = Proposal(config, "restarted by Tune under a new id", "user")
        return self.number(proposal, len(self.state.ended))

    # -- trials --------------------------------------------------------------------------------

    def start(self, trial_id: str, queued: Queued) -> None:
        """A trial begins with a numbered proposal that is not in the queue (any more)."""
        self.state.start(trial_id, queued.proposal)
        self._started_at[trial_id] = time.monotonic()
        events.start(self.journal.append, trial_id=trial_id, proposal=queued.id)

    def end(self, trial_id: str, *, failed: bool, trained: float, stopped: bool) -> None:
        """A known trial ended, ``stopped`` as in `TrialRecord`.

        ``trained`` is its training's seconds as the caller knows them: they count for a trial that
        began before a restore.
        """
        begun = self._started_at.pop(trial_id, None)
        seconds = trained if begun is None else time.monotonic() - begun
        whole = self.epochs is not None and self.state.epochs(trial_id) >= self.epochs
        stopped = stopped and not whole  # a criterion that ends all trials ends a whole training
        record = self.state.end(trial_id, failed=failed, seconds=seconds, stopped=stopped)
        if record is None:
            return
        events.outcome(
            self.journal.append,
            trial_id=trial_id,
            status=record.status,
            score=record.score,
            seconds=record.seconds,
            pace=record.pace,
            diagnosis=record.diagnosis.text if record.diagnosis else "",
            error=record.error,
            stopped=record.stopped,
            epochs=self.state.epochs(trial_id),
            measured=record.measured,
            limits=[found.to_json() for found in readings(self.limits, record.curve)],
            curve=None if record.curve is None else record.curve.to_json,
        )

    def note_error(self, trial_id: str, text: str) -> None:
        """Keep the text of an ended trial's error, without keys that it may quote."""
        record = self.state.ended_record(trial_id)
        if record is not None:
            text = without_secrets(text)
            self.state.put(replace(record, error=text))
            events.error(self.journal.append, trial_id=trial_id, text=text)

    def note_unfinished(self) -> None:
        """The run ends: write the curve so far of each trial that is under way."""
        for record in self.evidence().running if self.begun else ():
            curve = record.curve
            events.unfinished(
                self.journal.append,
                trial_id=record.trial_id,
                score=None if curve is None else curve.final(self.state.metric),
                epochs=self.state.epochs(record.trial_id),
                limits=[found.to_json() for found in readings(self.limits, record.curve)],
                curve=None if curve is None else curve.to_json(),
            )

    def move_to(self, space: SearchSpace) -> None:
        """Go on in a space of today, whose value objects count; what does not fit is forgotten."""
        self.space = space
        self.space = self.restricted()
        if self._state is not None:
            self._state.limits = self.limits
            self._state.move_to(self.space)
