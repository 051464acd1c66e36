"""What a search knows: trials, curves, the queue. Plain picklable data; no Ray, no threads.

The controller's thread is the only writer. A background thread may read what `view` returned:
ended trials are frozen and running ones are read through the append-only `CurveHistory`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raymimic.advisor import DROPS_KEPT, Lessons, SearchEvidence, TrialRecord
from raymimic.curves import Curve, CurveHistory, diagnose
from raymimic.errors import ConfigError
from raymimic.feasibility import Limit
from raymimic.records import Belief, Budget, Config, Mode, Objective, Proposal
from raymimic.search.archive import BLOCK, fitting, packed, packed_blocks, shown, unpacked
from raymimic.space import SearchSpace


@dataclass(frozen=True)
class Queued:
    """A checked proposal waiting for a slot; ``made_from`` ended trials were known to its maker."""

    id: int
    proposal: Proposal
    made_from: int


def _shown(queued: Queued, space: SearchSpace) -> Queued:
    """The waiting proposal with a plain configuration."""
    config = space.show(queued.proposal.config)
    return replace(queued, proposal=replace(queued.proposal, config=config))


def _fitting(queued: Queued, space: SearchSpace) -> Queued | None:
    """The waiting proposal with the space's own objects; None if it does not fit."""
    try:
        config, _ = space.check(queued.proposal.config)
    except ConfigError:
        return None
    return replace(queued, proposal=replace(queued.proposal, config=config))


@dataclass
class SearchState:
    """Everything a search knows. ``started`` counts the trials given to Tune.

    ``others`` are objectives beside ``metric`` and ``mode``. ``left`` slots after those of the
    queue are the statistical proposer's (`Advice.left`).
    """

    space: SearchSpace
    metric: str
    mode: Mode
    lessons: Lessons | None = None
    belief: Belief | None = None
    model_belief: Belief | None = None
    limits: tuple[Limit, ...] = ()
    history: CurveHistory = field(default_factory=CurveHistory)
    ended: list[TrialRecord] = field(default_factory=list)
    running: dict[str, TrialRecord] = field(default_factory=dict)
    queue: deque[Queued] = field(default_factory=deque)
    drops: deque[str] = field(default_factory=lambda: deque(maxlen=DROPS_KEPT))
    started: int = 0
    next_id: int = 0
    left: int = 0
    others: tuple[Objective, ...] = ()
    _ended_at: dict[str, int] = field(default_factory=dict)
    _seen: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _blocks: dict[int, bytes] = field(default_factory=dict)  # of ended trials, for `packed_blocks`

    def __getstate__(self) -> dict[str, Any]:
        """Plain data: configurations as the space shows them, ended trials as pickled blocks."""
        running = list(self.running.values())
        state = {
            **self.__dict__,
            "ended": packed_blocks(self.ended, self.space, self._blocks),
            "running": packed(shown(running, self.space)),
            "queue": [_shown(queued, self.space) for queued in self.queue],
            "history": packed([self.history.only(record.trial_id for record in running)]),
        }
        for derived in ("_blocks", "_ended_at", "_seen"):
            del state[derived]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        (self.history,) = unpacked([state["history"]])
        running = unpacked([state["running"]])
        self._settle(unpacked(state["ended"]), running, state["queue"], self.space)

    def move_to(self, space: SearchSpace) -> None:
        """Give everything known the value objects of ``space``; what does not fit is forgotten."""
        old, running = self.space, list(self.running.values())
        queue = [_shown(queued, old) for queued in self.queue]
        self._settle(shown(self.ended, old), shown(running, old), queue, space)

    def _settle(
        self,
        ended: Iterable[TrialRecord],
        running: Iterable[TrialRecord],
        queue: Iterable[Queued],
        space: SearchSpace,
    ) -> None:
        """Take in plain trials and proposals, and build what is derived from them."""
        self.space, self._blocks = space, {}
        self.ended = fitting(ended, space)
        self._ended_at = {record.trial_id: at for at, record in enumerate(self.ended)}
        self.running = {record.trial_id: record for record in fitting(running, space)}
        self.queue = deque(found for queued in queue if (found := _fitting(queued, space)))
        self._seen = {}
        for record in (*self.ended, *self.running.values()):
            self._note(record.config, +1)
        for queued in self.queue:
            self._note(queued.proposal.config, +1)

    def _remember(self, trial_id: str, curve: Curve) -> None:
        for epoch, metrics in curve.rows():
            self.history.append(trial_id, epoch, metrics)

    # -- proposals ---------------------------------------------------------------------------

    def seen(self, config: Config) -> bool:
        """Whether this configuration was tried, is running or waits in the queue."""
        return self._seen.get(self.space.key(config), 0) > 0

    def exhausted(self) -> bool:
        """Whether a finite space has no configuration left that was not seen."""
        return self.space.size is not None and len(self._seen) >= self.space.size

    def number(self, proposal: Proposal, made_from: int) -> Queued:
        """Give a checked proposal its id and note its configuration as seen; it is not queued."""
        numbered = Queued(self.next_id, proposal, made_from)
        self.next_id += 1
        self._note(proposal.config, +1)
        return numbered

    def enqueue(self, proposal: Proposal, made_from: int, *, first: bool = False) -> Queued:
        """Queue a checked proposal under a new id."""
        queued = self.number(proposal, made_from)
        (self.queue.appendleft if first else self.queue.append)(queued)
        return queued

    def take(self, config: Config) -> Queued | None:
        """Take a waiting proposal of this very configuration out of the queue, if there is one."""
        key = self.space.key(config)
        for queued in self.queue:
            if self.space.key(queued.proposal.config) == key:
                self.queue.remove(queued)
                return queued
        return None

    def discard(self, queued: Queued, reason: str) -> None:
        """Note that a proposal taken from the queue was thrown away."""
        self._note(queued.proposal.config, -1)
        self.drops.append(reason)

    def _note(self, config: Config, change: int) -> None:
        key = self.space.key(config)
        count = self._seen.get(key, 0) + change
        if count > 0:
            self._seen[key] = count
        else:
            self._seen.pop(key, None)

    # -- trials ------------------------------------------------------------------------------

    def start(self, trial_id: str, proposal: Proposal) -> None:
        """A trial begins with a proposal that `number` or `enqueue` has seen."""
        self.started += 1
        self.running[trial_id] = TrialRecord.begun(trial_id, proposal)

    def knows(self, trial_id: str) -> bool:
        """Whether the trial runs or ended here."""
        return trial_id in self.running or trial_id in self._ended_at

    def record(
        self,
        trial_id: str,
        epoch: int,
        metrics: Mapping[str, float],
        restarted: bool,
        pace: float = 0.0,
    ) -> None:
        """Add one epoch of a known trial; the same epoch again replaces the first.

        ``pace`` as in `EpochReport`.
        """
        if trial_id not in self.history and trial_id in self._ended_at:
            known = self.ended[self._ended_at[trial_id]].curve  # it ended before a restore
            if known is not None:
                self._remember(trial_id, known)
        self.history.append(trial_id, epoch, metrics, restarted=restarted)
        if pace and trial_id in self.running:
            self.running[trial_id] = replace(self.running[trial_id], pace=pace)

    def epochs(self, trial_id: str) -> int:
        """The last epoch reported; 0 before the first."""
        return int(self.history.curve(trial_id).epochs[-1]) if trial_id in self.history else 0

    def end(
        self, trial_id: str, *, failed: bool, seconds: float, stopped: bool = False
    ) -> TrialRecord | None:
        """A known trial ended; ended before (run again after a restore), its record is replaced.

        ``stopped`` as in `TrialRecord`. Returns None for a trial that was stopped before it ran:
        it is forgotten.
        """
        begun = self.running.pop(trial_id, None) or self.ended[self._ended_at[trial_id]]
        if trial_id not in self.history and not failed:
            self._note(begun.config, -1)
            return None
        curve = self.curve(trial_id)
        record = replace(
            begun,
            status="failed" if failed else "done",
            score=curve.final(self.metric) if curve is not None and not failed else None,
            seconds=seconds,
            measured=self._measured(curve) if not failed else {},
            curve=curve,
            diagnosis=diagnose(curve, self.metric, self.mode) if curve is not None else None,
            stopped=stopped,
        )
        self.put(record)
        return record

    def _measured(self, curve: Curve | None) -> dict[str, float]:
        """The other objectives' last values; one whose last was not finite has none."""
        found = {
            other.name: None if curve is None else curve.final(other.name) for other in self.others
        }
        return {name: value for name, value in found.items() if value is not None}

    def put(self, record: TrialRecord) -> None:
        """Keep an ended trial; one with the same id is replaced."""
        at = self._ended_at.setdefault(record.trial_id, len(self.ended))
        if at == len(self.ended):
            self.ended.append(record)
        else:
            self.ended[at] = record
            self._blocks.pop(at // BLOCK, None)

    def add_evaluated(self, record: TrialRecord) -> None:
        """Keep a trial evaluated outside this search."""
        self._note(record.config, +1)
        self.put(record)

    def ended_record(self, trial_id: str) -> TrialRecord | None:
        """The ended trial of that id, if there is one."""
        at = self._ended_at.get(trial_id)
        return None if at is None else self.ended[at]

    def trial(self, trial_id: str) -> TrialRecord | None:
        """The running or ended trial of that id, if there is one."""
        return self.running.get(trial_id) or self.ended_record(trial_id)

    def curve(self, trial_id: str) -> Curve | None:
        """Every epoch of a trial that was reported here, None before the first."""
        return self.history.curve(trial_id) if trial_id in self.history else None

    # -- evidence ----------------------------------------------------------------------------

    def view(
        self, budget: Budget, instruction: str, wishes: tuple[str, ...] = (), task: str = ""
    ) -> Callable[[], SearchEvidence]:
        """Freeze what is known now; the returned function may build the evidence in any thread.

        Cheap on the caller's side (two shallow copies); partial curves are read when built.
        """
        ended, running = tuple(self.ended), tuple(self.running.values())
        queued = tuple(waiting.proposal.config for waiting in self.queue)
        by_user = sum(waiting.proposal.source == "user" for waiting in self.queue)
        drops, model_belief = tuple(self.drops), self.model_belief

        def build() -> SearchEvidence:
            return SearchEvidence(
                space=self.space,
                metric=self.metric,
                mode=self.mode,
                trials=ended,
                running=tuple(self._with_curve(record) for record in running),
                queued=queued,
                budget=budget,
                instruction=instruction,
                wishes=wishes,
                task=task,
                drops=drops,
                lessons=self.lessons,
                belief=self.belief,
                model_belief=model_belief,
                queued_by_user=by_user,
                limits=self.limits,
                others=self.others,
            )

        return build

    def _with_curve(self, record: TrialRecord) -> TrialRecord:
        curve = self.curve(record.trial_id)
        return record if curve is None else replace(record, curve=curve)
