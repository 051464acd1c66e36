"""A run as its ledger tells it: trials with all that was decided about them, batches, calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from raymimic.curves import Curve, noise_of
from raymimic.pareto import front, volumes
from raymimic.records import Mode, Objective
from raymimic.space import SearchSpace
from raymimic.summary import Tally, show

Status = Literal["running", "done", "stopped", "failed", "cut off"]
"""How a trial stands: "cut off" were those under way when the run ended."""

MarkKind = Literal["stop", "redirect", "clone", "adjustment", "rollback", "judgement", "verdict"]

_NOISES = 2.0  # an expectation is kept within so many standard deviations of the curve's noise


@dataclass
class Mark:
    """Something that was done to a trial at an epoch, in the ledger's words."""

    kind: MarkKind
    epoch: int | None
    text: str


@dataclass
class Trial:
    """One trial: why it was proposed, what was expected and what came of it.

    ``config`` is as JSON shows it, ``unit`` its place in each dimension from 0 to 1, None where one
    does not exist in it (None as a whole where it does not fit the space). Times are Unix seconds.
    ``batch`` is the index of the batch it was proposed in, -1 without one; ``given`` says that it
    was evaluated elsewhere. ``measured`` has the values of the objectives beside the first one,
    ``limits`` say what it reported of each limit; one is ``broken``.
    """

    trial_id: str
    source: str = "user"
    config: Mapping[str, Any] = field(default_factory=dict)
    unit: tuple[float | None, ...] | None = None
    rationale: str = ""
    expected: float | None = None
    repairs: tuple[str, ...] = ()
    made_from: int = 0
    batch: int = -1
    given: bool = False
    began: float | None = None
    ended: float | None = None
    status: Status = "running"
    score: float | None = None
    seconds: float = 0.0
    diagnosis: str = ""
    kind: str = ""
    error: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    curve: Curve | None = None
    marks: list[Mark] = field(default_factory=list)
    limits: tuple[str, ...] = ()
    broken: bool = False

    @property
    def epochs(self) -> int:
        """The last epoch it reported, 0 without any."""
        return int(self.curve.epochs[-1]) if self.curve is not None and len(self.curve) else 0


@dataclass(frozen=True)
class Effect:
    """What a redirect or a clone of a trial did: ``after`` against what was ahead without it.

    ``margin`` is how far from ``expected`` counts as luck; ``trial`` is the trial's index.
    """

    trial: int
    verdict: str
    expected: float
    margin: float
    after: float


@dataclass
class Batch:
    """Configurations proposed from one state of knowledge: ``known`` trials had ended then.

    ``proposed`` holds the numbers of its proposals, ``trials`` the indices of those that began,
    ``calls`` those of the calls that were made for it. ``wishes`` are what the user had wished
    since the batch before, with the answers.
    """

    when: float
    known: int
    proposed: list[int] = field(default_factory=list)
    trials: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    fallbacks: list[str] = field(default_factory=list)
    wishes: list[str] = field(default_factory=list)


@dataclass
class Run:
    """All that a page or a text needs; trials stand in the order in which they began.

    ``wishes`` are all that the user wished while it ran, with the answers.
    ``others`` are the objectives beside ``metric``. ``order`` lists the indices of ended trials as
    they ended. ``ended`` is whether the search wrote its summary: without it the run goes on, or
    was killed. ``notes`` say what a reader must know.
    """

    ledger: str
    metric: str
    mode: Mode
    space: SearchSpace
    search: Mapping[str, Any]
    tally: Tally
    trials: list[Trial] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    wishes: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    first_t: float = 0.0
    last_t: float = 0.0
    ended: bool = False
    notes: list[str] = field(default_factory=list)
    others: tuple[Objective, ...] = ()

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` beats ``b``."""
        return a < b if self.mode == "min" else a > b

    @cached_property
    def scored(self) -> list[int]:
        """Indices of the trials with a score, best first; asked only of a run that is read.

        Those that broke a limit come last.
        """
        sign = 1.0 if self.mode == "min" else -1.0
        found = [
            (trial.broken, sign * trial.score, index)
            for index, trial in enumerate(self.trials)
            if trial.score is not None
        ]
        return [index for _, _, index in sorted(found)]

    @property
    def best(self) -> Trial | None:
        """The trial with the best score of those that kept to the limits."""
        first = self.trials[self.scored[0]] if self.scored else None
        return None if first is None or first.broken else first

    @cached_property
    def best_after(self) -> list[float | None]:
        """The best score known after 0, 1, 2 ... trials had ended."""
        known: list[float | None] = [None]
        for index in self.order:
            trial, before = self.trials[index], known[-1]
            score = None if trial.broken else trial.score
            better = score is not None and (before is None or self.better(score, before))
            known.append(score if better else before)
        return known

    @cached_property
    def losses(self) -> np.ndarray:
        """Array (trials, objectives), less being better; NaN where a trial has no value.

        One that broke a limit has none: it is on no front.
        """
        objectives = (Objective(self.metric, self.mode), *self.others)
        rows = []
        for trial in self.trials:
            known = dict(trial.measured)
            if trial.score is not None and trial.trial_id not in self.tally.broken:
                known[self.metric] = trial.score
            rows.append([one.loss(known) for one in objectives])
        return np.array(rows, dtype=float).reshape(len(rows), len(objectives))

    @cached_property
    def front(self) -> list[int]:
        """Indices of the trials that no other beats in one objective without losing in another.

        By the first objective, best first; empty with a single objective.
        """
        if not self.others:
            return []
        (whole,) = np.nonzero(np.isfinite(self.losses).all(axis=1))
        best = whole[front(self.losses[whole])]
        return [int(row) for row in best[np.argsort(self.losses[best, 0], kind="stable")]]

    @cached_property
    def volumes(self) -> list[float]:
        """What share of the box around the front was dominated after 1, 2, ... trials had ended."""
        return volumes(self.losses[self.order]) if self.others else []

    def values(self, trial: Trial) -> str:
        """The trial's values: "loss 0.31, latency 4.2"."""
        text = f"{self.metric} {show(trial.score)}"
        for other in self.others:
            value = trial.measured.get(other.name)
            text += f", {other.name} {'not reported' if value is None else show(value)}"
        return text

    def index(self, trial_id: str) -> int | None:
        """Where a trial stands; the beginning of its id is enough where no other begins so."""
        whole = [i for i, trial in enumerate(self.trials) if trial.trial_id == trial_id]
        found = whole or [i for i, t in enumerate(self.trials) if t.trial_id.startswith(trial_id)]
        return found[-1] if len(found) == 1 or whole else None

    def kept(self, trial: Trial) -> bool | None:
        """Whether a trial kept what was expected of it; None where that cannot be said.

        It did if it ended better than expected, or worse by no more than two standard deviations
        of its own curve's later half from epoch to epoch. A trial that was stopped early did not
        come to what had been expected at its end.
        """
        if trial.expected is None or trial.score is None or trial.status != "done":
            return None
        worse = (trial.score - trial.expected) * (1.0 if self.mode == "min" else -1.0)
        noise = None
        if trial.curve is not None and self.metric in trial.curve.columns:
            values = _finite([value for _, value in trial.curve.reported(self.metric)])
            noise = noise_of(values[len(values) // 2 :])
        return worse <= _NOISES * (noise or 0.0)


def _finite(values: list[float]) -> Any:
    array = np.array(values, dtype=np.float64)
    return array[np.isfinite(array)]
