"""What a judge sees of the running trials that are in doubt, and what it may say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from raymimic.advisor.base import KnobState, VerdictKind
from raymimic.curves import Curve, Diagnosis
from raymimic.records import Call, Mode, Source

Action = Literal["continue", "stop", "redirect", "clone"]


@dataclass(frozen=True)
class PastRedirect:
    """Knobs of a running trial that were turned after ``epoch``, and what came of it.

    ``changed`` holds each knob's value before and after. ``before`` is the metric when they were
    turned and ``after`` that up to ``ended`` (means of three epochs), ``expected`` what pace and
    forecast before it gave for then, ``margin`` how far from it counts as luck; None while unknown.
    ``cloned``: it went on from the checkpoint of that trial, empty if it kept its own weights.
    """

    epoch: int
    changed: Mapping[str, tuple[float, float]]
    reason: str = ""
    source: Source = "heuristic"
    before: float | None = None
    after: float | None = None
    expected: float | None = None
    margin: float | None = None
    ended: int | None = None
    verdict: VerdictKind = "unknown"
    cloned: str = ""


@dataclass(frozen=True)
class Leader:
    """A better trial whose checkpoint a hopeless one may go on from.

    ``value`` is what it reported last, after ``epoch`` epochs; ``knobs`` the live knobs' values
    then, ``config`` what the search chose for it.
    """

    trial_id: str
    value: float
    epoch: int
    knobs: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One running trial after ``epoch`` epochs.

    ``curve`` is None where no epoch is kept. ``standing`` says its place, chances and forecast in
    words. ``may_stop``: a verdict "stop" will be heard. ``knobs`` are those that may be turned now,
    none where a redirect is still acting or none was declared. ``config`` holds what the search
    chose for it. With a ``leader`` the rules find it hopeless or diverged: they stop it unless it
    is told to "clone" or "redirect".

    >>> from raymimic import Case, diagnose
    >>> from raymimic.testing.trials import overfitting
    >>> curve = overfitting()
    >>> "overfitting" in Case("t1", 24, curve, diagnose(curve, "val_loss", "min")).diagnosis
    True
    """

    trial_id: str
    epoch: int
    curve: Curve | None
    diagnosis: Diagnosis
    standing: str = ""
    may_stop: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    knobs: tuple[KnobState, ...] = ()
    redirects: tuple[PastRedirect, ...] = ()
    leader: Leader | None = None

    def knob(self, name: str) -> KnobState | None:
        """The knob of that name, if it may be turned."""
        return next((knob for knob in self.knobs if knob.name == name), None)


@dataclass(frozen=True)
class JudgeEvidence:
    """The running trials in doubt, and what finished ones reached.

    ``length`` is the epochs of a full training, 0 while unknown; ``finals`` the last values of the
    finished ones, best first. ``live`` names every knob that the user declared. ``population``:
    hopeless trials may be cloned.

    >>> from raymimic import JudgeEvidence
    >>> JudgeEvidence("loss", "min", cases=()).case("t1") is None
    True
    """

    metric: str
    mode: Mode
    cases: tuple[Case, ...]
    length: int = 0
    finals: tuple[float, ...] = ()
    live: tuple[str, ...] = ()
    instruction: str = ""
    population: bool = False

    def case(self, trial_id: str) -> Case | None:
        """The case of that trial, if it is asked about."""
        return next((case for case in self.cases if case.trial_id == trial_id), None)


@dataclass(frozen=True)
class Judgement:
    """What to do with one trial and why.

    ``knobs`` are new absolute values of a redirect or a clone, which takes the leader's values for
    those that are not named.

    >>> from raymimic import Judgement
    >>> Judgement("t1", "redirect", "oscillates", {"lr": 1e-4}).knobs["lr"]
    0.0001
    """

    trial_id: str
    action: Action
    reason: str
    knobs: Mapping[str, float] = field(default_factory=dict)
    source: Source = "heuristic"


@dataclass(frozen=True)
class JudgeAdvice:
    """What came of asking: judgements, what was dropped or rejected in words, the calls made.

    >>> from raymimic import JudgeAdvice, Judgement
    >>> len(JudgeAdvice((Judgement("t1", "stop", "flat since epoch 9"),)).judgements)
    1
    """

    judgements: tuple[Judgement, ...]
    drops: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()


@runtime_checkable
class Judge(Protocol):
    """Answers "which of these running trials should stop, go on, or be turned?".

    An answer that cannot be given raises `AdvisorError`; the trials then go on.

    >>> from raymimic import Judge, JudgeAdvice, Judgement
    >>> class Lenient:
    ...     name, remote = "lenient", False
    ...     def judge(self, evidence):
    ...         said = (Judgement(case.trial_id, "continue", "why not") for case in evidence.cases)
    ...         return JudgeAdvice(tuple(said))
    >>> isinstance(Lenient(), Judge)
    True
    """

    @property
    def name(self) -> str:
        """What the user reads."""
        ...

    @property
    def remote(self) -> bool:
        """Whether an answer takes seconds; such a judge is asked in the background."""
        ...

    def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
        """Judge the cases; those it says nothing of go on."""
        ...
