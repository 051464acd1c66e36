"""The advisor: plain evidence in, decisions with reasons out. Knows neither Ray nor HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import nan
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from raymimic.curves import Curve, Diagnosis, Extrapolator
from raymimic.feasibility import Limit, Measured, memory_failure
from raymimic.pareto import front, ranks
from raymimic.records import (
    Advice,
    Belief,
    Budget,
    Config,
    Mode,
    Objective,
    Proposal,
    Source,
    TrialStatus,
)
from raymimic.space import SearchSpace

DROPS_KEPT = 8
"""How many reasons of thrown-away proposals the evidence carries."""

VerdictKind = Literal["better", "worse", "within noise", "unknown"]
"""What a change of a running training did to its metric."""


@dataclass(frozen=True)
class KnobState:
    """A knob of a running training as it stands; ``low`` and ``high`` bound the next change."""

    name: str
    value: float
    low: float
    high: float
    meaning: str = ""


@dataclass(frozen=True)
class Lesson:
    """One of the best configurations of an earlier search, as JSON, and its score there."""

    score: float
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Lessons:
    """What an earlier search learnt: its words, and the best configurations, best first.

    ``name`` is the file's name without its folder. ``trials`` is how many had ended. Nothing here
    is known to fit today's space (`lesson_guesses` sees to that) or to be true.
    """

    name: str
    text: str
    metric: str
    mode: Mode
    trials: int
    best: tuple[Lesson, ...]


@dataclass(frozen=True)
class TrialRecord:
    """One trial as an advisor sees it.

    ``score`` is the metric's last reported value (None if that was not finite, or none came),
    ``error`` the failure's text, ``seconds`` the trial's wall time, ``pace`` the seconds that an
    epoch takes (0 where nobody says). ``curve`` holds every reported epoch, None if there is none.
    ``repairs`` as in `Proposal`. ``stopped``: from outside (by a scheduler or a stop criterion) and
    before the most epochs that the run allows, so its training may not have been a full one.
    ``measured`` has the last finite
    value of each other metric that the search looks at, such as further objectives.

    >>> from raymimic import Proposal, TrialRecord
    >>> TrialRecord.begun("t1", Proposal({"lr": 1e-3}, "Adam's default", "user")).status
    'running'
    """

    trial_id: str
    config: Config
    status: TrialStatus
    source: Source
    rationale: str = ""
    expected: float | None = None
    repairs: tuple[str, ...] = ()
    score: float | None = None
    error: str = ""
    seconds: float = 0.0
    curve: Curve | None = None
    diagnosis: Diagnosis | None = None
    stopped: bool = False
    pace: float = 0.0
    measured: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def begun(cls, trial_id: str, proposal: Proposal) -> TrialRecord:
        """The record of a trial that starts with ``proposal``."""
        return cls(
            trial_id=trial_id,
            config=proposal.config,
            status="running",
            source=proposal.source,
            rationale=proposal.rationale,
            expected=proposal.expected,
            repairs=proposal.repairs,
        )


def readings(limits: Iterable[Limit], curve: Curve | None) -> tuple[Measured, ...]:
    """What a trial has reported of each limit: the last value that is a number counts."""
    return tuple(Measured(limit, _last(curve, limit.metric)) for limit in limits)


def _last(curve: Curve | None, metric: str) -> float | None:
    told = [] if curve is None else [value for _, value in curve.reported(metric)]
    return next((value for value in reversed(told) if value == value), None)


@dataclass(frozen=True)
class SearchEvidence:
    """All that is known when new configurations are wanted.

    ``metric`` and ``mode`` are the (first) objective, ``others`` those beside it, if there are any.
    ``trials`` are the ended ones, oldest first; ``running`` have partial curves; ``queued`` are
    proposed but not started, so neither needs proposing again. ``instruction`` is the user's words,
    ``task`` what the trainable says of itself and how many epochs it may train,
    ``wishes`` are those that came while it ran,
    ``drops`` says why earlier proposals were thrown away, latest last. ``lessons`` are what an
    earlier search learnt, if the user gave them. ``belief`` is what the user says of the optimum's
    place, ``model_belief`` what the model said of it before any result. ``shared`` says that a
    statistical proposer takes part; ``queued_by_user`` how many of ``queued`` are the user's.
    ``limits`` are what results must keep to: a trial that surely breaks one is never the best.

    >>> from raymimic import FloatRange, SearchEvidence, SearchSpace
    >>> SearchEvidence(SearchSpace({"x": FloatRange(0.0, 1.0)}), "loss", "min").ranked()
    []
    """

    space: SearchSpace
    metric: str
    mode: Mode
    trials: tuple[TrialRecord, ...] = ()
    running: tuple[TrialRecord, ...] = ()
    queued: tuple[Config, ...] = ()
    budget: Budget = field(default_factory=Budget)
    instruction: str = ""
    task: str = ""
    wishes: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    lessons: Lessons | None = None
    belief: Belief | None = None
    model_belief: Belief | None = None
    shared: bool = False
    queued_by_user: int = 0
    limits: tuple[Limit, ...] = ()
    others: tuple[Objective, ...] = ()

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """All objectives, the first one first."""
        return (Objective(self.metric, self.mode), *self.others)

    @property
    def asks_belief(self) -> bool:
        """Whether a model is still to be asked where it believes the optimum: before any result.

        What it would say later, of the results, the model of the scores sees by itself: multiplied
        with it, they would count twice.
        """
        return not self.trials and self.model_belief is None

    @property
    def given(self) -> int:
        """How many configurations are the user's own: ended, running or waiting."""
        started = (*self.trials, *self.running)
        return self.queued_by_user + sum(trial.source == "user" for trial in started)

    @property
    def pending(self) -> tuple[Config, ...]:
        """Configurations that run or wait: no result yet."""
        return (*(trial.config for trial in self.running), *self.queued)

    @property
    def known(self) -> tuple[Config, ...]:
        """Every configuration that needs no proposing again."""
        return (*(trial.config for trial in self.trials), *self.pending)

    def with_pending(self, configs: Iterable[Config]) -> SearchEvidence:
        """The same evidence with more configurations waiting."""
        more = tuple(configs)
        return self._sharing(replace(self, queued=(*self.queued, *more))) if more else self

    def for_partner(self) -> SearchEvidence:
        """The same for a model that shares the trials with the statistical proposer."""
        return self._sharing(replace(self, shared=True))

    def _sharing(self, other: SearchEvidence) -> SearchEvidence:
        """``other`` with what was computed here of the ended trials, which are the same."""
        for name in ("_forecasts", "_ranked", "losses", "_readings", "_broken", "_excess"):
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        return other

    def better(self, a: float, b: float) -> bool:
        """Whether score ``a`` beats score ``b`` under the mode."""
        return a < b if self.mode == "min" else a > b

    @cached_property
    def _forecasts(self) -> dict[str, float]:
        """The forecasts of the trials that were stopped before the longest training's end."""
        scored = [(t, t.curve) for t in self.trials if t.curve is not None and t.score is not None]
        done = [(t, curve) for t, curve in scored if curve.last(self.metric) is not None]
        longest = max((int(curve.epochs[-1]) for _, curve in done), default=0)
        cut = {t.trial_id: c for t, c in done if t.stopped and int(c.epochs[-1]) < longest}
        field = Extrapolator()
        for trial, curve in done:
            if trial.trial_id not in cut and curve.final(self.metric) is not None:
                values = curve.column(self.metric)
                field.add(values.tobytes(), curve.epochs, values)  # the same training counts once
        ends = field.ends([(curve.epochs, curve.column(self.metric)) for curve in cut.values()])
        return dict(zip(cut, ends, strict=True))

    def value(self, trial: TrialRecord) -> float | None:
        """What an ended trial is worth: its score, for a stopped one the forecast of a full one's.

        None without a score.
        """
        return self._forecasts.get(trial.trial_id, trial.score)

    def is_cut(self, trial: TrialRecord) -> bool:
        """Whether an ended trial was stopped early, so that its value is a forecast."""
        return trial.trial_id in self._forecasts

    @cached_property
    def losses(self) -> np.ndarray:
        """Array (ended trials, objectives), less being better: NaN where there is no value."""
        rows = [
            [nan if (value := self.value(trial)) is None else value]
            + [trial.measured.get(other.name, nan) for other in self.others]
            for trial in self.trials
        ]
        signs = [-1.0 if objective.mode == "max" else 1.0 for objective in self.objectives]
        return np.array(rows, dtype=float).reshape(len(rows), len(signs)) * signs

    def front(self) -> list[TrialRecord]:
        """Ended trials that no other beats in one objective without losing in another.

        Those without a value in one of them, or beyond a limit, are not in it. By the first
        objective, best first.
        """
        counts = np.array([not self.broken(trial) for trial in self.trials], dtype=bool)
        (whole,) = np.nonzero(np.isfinite(self.losses).all(axis=1) & counts)
        best = whole[front(self.losses[whole])]
        order = np.argsort(self.losses[best, 0], kind="stable")
        return [self.trials[row] for row in best[order]]

    # -- limits ----------------------------------------------------------------------------------

    def readings(self, trial: TrialRecord) -> tuple[Measured, ...]:
        """What a trial has reported of each limit."""
        found = self._readings.get(trial.trial_id)
        return readings(self.limits, trial.curve) if found is None else found

    def broken(self, trial: TrialRecord) -> str:
        """Say why a trial cannot count: limits that it surely breaks, or want of memory.

        Empty where it keeps to all, as far as it has reported what they speak of.
        """
        found = self._broken.get(trial.trial_id)
        return self._why_broken(trial) if found is None else found

    @cached_property
    def _readings(self) -> dict[str, tuple[Measured, ...]]:
        return {trial.trial_id: readings(self.limits, trial.curve) for trial in self.trials}

    @cached_property
    def _broken(self) -> dict[str, str]:
        return {trial.trial_id: self._why_broken(trial) for trial in self.trials}

    def _why_broken(self, trial: TrialRecord) -> str:
        if trial.status == "failed":
            return memory_failure(trial.error)
        return "; ".join(found.text for found in self.readings(trial) if found.broken)

    @cached_property
    def _excess(self) -> dict[str, float]:
        """How far beyond its limits each ended trial is, as parts of the farthest; 0 within."""
        found = dict.fromkeys(self._readings, 0.0)
        for number, limit in enumerate(self.limits):
            beyond = {
                trial_id: max(0.0, limit.excess(rows[number].value or 0.0))
                for trial_id, rows in self._readings.items()
                if rows[number].broken
            }
            most = max(beyond.values(), default=0.0)
            for trial_id, excess in beyond.items():
                found[trial_id] += 1.0 if excess == most else excess / most
        return found

    def standing(self, trial: TrialRecord) -> tuple[bool, float]:
        """Whether an ended trial breaks a limit, and how far it is beyond: what ranks it first."""
        return bool(self._broken[trial.trial_id]), self._excess[trial.trial_id]

    @property
    def best(self) -> TrialRecord | None:
        """The best ended trial that breaks no limit, None without any."""
        first = next(iter(self._ranked), None)
        return None if first is None or self.broken(first) else first

    # -- order -----------------------------------------------------------------------------------

    def ranked(self) -> list[TrialRecord]:
        """Ended trials that have a score, best value first (ties: oldest first).

        With several objectives first those that none beats, then those that only these beat, ...;
        within each by the first objective. A trial without a value in one of them comes last.
        Behind all these come those that break a limit, the least beyond it first.
        """
        return list(self._ranked)

    @cached_property
    def _ranked(self) -> tuple[TrialRecord, ...]:
        rows = [row for row, trial in enumerate(self.trials) if trial.score is not None]
        losses, place = self.losses[rows], np.zeros(len(rows))
        if self.others:
            whole = np.isfinite(losses).all(axis=1)
            place[whole], place[~whole] = ranks(losses[whole]), len(rows)
        standings = np.array([self.standing(self.trials[row]) for row in rows]).reshape(-1, 2)
        order = np.lexsort((losses[:, 0], place, standings[:, 1], standings[:, 0]))
        return tuple(self.trials[rows[i]] for i in order)


@runtime_checkable
class Advisor(Protocol):
    """Answers "which configurations next?".

    Implementations are picklable. An answer that cannot be given raises `AdvisorError`; whatever
    else is raised counts as a crash of the advisor.

    >>> from raymimic import Advice, Advisor, Proposal
    >>> class Middle:
    ...     name, remote = "middle", False
    ...     def propose(self, evidence, n):
    ...         dimensions = evidence.space.dimensions.items()
    ...         config = {name: dimension.from_unit(0.5) for name, dimension in dimensions}
    ...         return Advice((Proposal(config, "the middle", "user"),))
    >>> isinstance(Middle(), Advisor)
    True
    """

    @property
    def name(self) -> str:
        """What the user reads: "heuristic", "random", "claude-haiku-5-5", ..."""
        ...

    @property
    def remote(self) -> bool:
        """Whether an answer takes seconds (a model over a network).

        A remote advisor is asked for batches and ahead of need; a local one for a configuration
        at a time when one is due, so that each sees every result before it.
        """
        ...

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose up to ``n`` configurations."""
        ...
