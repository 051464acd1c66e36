"""Which running trials are in doubt, and how they are shown to a judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from raymimic.advisor import Case, JudgeEvidence, KnobState, Leader, PastRedirect
from raymimic.curves import Curve, Diagnosis, diagnose
from raymimic.records import Mode
from raymimic.scheduling.rank_rule import ABLE, TRUSTED, Reading


class Search(Protocol):
    """What is needed of the scheduler; values in the metric's own direction."""

    @property
    def goal(self) -> tuple[str, Mode]:
        """Metric and mode."""
        ...

    @property
    def length(self) -> int:
        """Epochs of a full training, 0 while unknown."""
        ...

    def curve(self, trial_id: str) -> Curve | None:
        """Every epoch known so far; perhaps not yet the present one."""
        ...

    def config(self, trial: Any) -> Mapping[str, Any]:
        """What the search chose for a trial."""
        ...

    def note(self, event: str, /, **fields: Any) -> None:
        """Write an event to the ledger."""
        ...


@dataclass(frozen=True)
class Doubt:
    """A trial in doubt as it stood after ``epoch`` epochs; fields as in `Case`."""

    trial_id: str
    epoch: int
    standing: str
    may_stop: bool
    found: Diagnosis | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    knobs: tuple[KnobState, ...] = ()
    redirects: tuple[PastRedirect, ...] = ()
    leader: Leader | None = None
    since: int = 0
    """Its first epoch with the weights it has now, 0 if they always were its own."""


def borderline(reading: Reading) -> bool:
    """Whether it goes on although its place, or its forecast, speaks against it.

    Its place alone would have ended it, or six finished trainings and more give it a chance below
    3% to beat the best of them.
    """
    if reading.hopeless:
        return False
    known = reading.forecast is not None and reading.forecast.support >= TRUSTED
    slim = known and reading.beats is not None and reading.beats < ABLE
    return reading.borderline or slim


def leads(reading: Reading) -> bool:
    """Whether no other trial was better at the same epoch."""
    return reading.place <= 1


def evidence_of(
    search: Search,
    doubts: Sequence[Doubt],
    finals: Sequence[float],
    live: tuple[str, ...],
    instruction: str,
    population: bool,
) -> Callable[[], JudgeEvidence]:
    """Take what is known now; the function returned makes evidence of it, on another thread.

    ``finals`` must be the caller's own copy.
    """
    (metric, mode), length = search.goal, search.length
    shown = [(one, search.curve(one.trial_id)) for one in doubts]

    def build() -> JudgeEvidence:
        return JudgeEvidence(
            metric=metric,
            mode=mode,
            cases=tuple(_case(one, curve, metric, mode) for one, curve in shown),
            length=length,
            finals=tuple(sorted(finals, reverse=mode == "max")),
            live=live,
            instruction=instruction,
            population=population,
        )

    return build


def _case(one: Doubt, curve: Curve | None, metric: str, mode: Mode) -> Case:
    found = one.found
    if found is None:
        found = diagnose(curve.since(one.since), metric, mode) if curve is not None else Diagnosis()
    return Case(
        trial_id=one.trial_id,
        epoch=one.epoch,
        curve=curve,
        diagnosis=found,
        standing=one.standing,
        may_stop=one.may_stop,
        config=one.config,
        knobs=one.knobs,
        redirects=one.redirects,
        leader=one.leader,
    )
