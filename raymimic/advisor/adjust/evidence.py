"""What an advisor sees of one training in progress, and what it may say to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from raymimic.advisor.base import KnobState, VerdictKind
from raymimic.curves import Curve, Diagnosis
from raymimic.records import Call, Mode, Source

Anchor = Literal["best", "initial", "ema"]
"""Weights that a pull may name: of the best epoch, of the start, a moving average."""


@dataclass(frozen=True)
class Operation:
    """One weight operation. ``params`` is a parameter's exact name or a shell pattern ("fc.*").

    ``kind`` is a key of `OPERATIONS`, which says what ``amount`` means and within which bounds it
    lies. ``toward`` is of a "pull", ``values`` (nested lists in the parameter's shape) of a
    "delta".

    >>> from raymimic import Operation
    >>> Operation("pull", "fc.*", amount=0.2, toward="best").kind
    'pull'
    """

    kind: str
    params: str = "*"
    amount: float = 1.0
    toward: Anchor = "best"
    values: Any = None


@dataclass(frozen=True)
class Adjustment:
    """What to change for the next interval (one epoch). Unset fields change nothing.

    ``knobs`` are absolute new values by name ("lr" is that of the first parameter group);
    ``alpha`` is the weight of the operations against the optimizer's update. ``review`` is the
    advisor's own sentence on its last move.

    >>> from raymimic import Adjustment, Operation
    >>> Adjustment(knobs={"lr": 1e-3}, operations=(Operation("shrink", amount=0.1),)).empty
    False
    """

    knobs: Mapping[str, float] = field(default_factory=dict)
    alpha: float | None = None
    operations: tuple[Operation, ...] = ()
    rationale: str = ""
    review: str = ""
    source: Source = "heuristic"

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        return not self.knobs and not self.operations


@dataclass(frozen=True)
class AdjustmentAdvice:
    """What came of asking for an adjustment: it, what had to be dropped, and the calls made.

    >>> from raymimic import Adjustment, AdjustmentAdvice
    >>> AdjustmentAdvice(Adjustment()).adjustment.empty
    True
    """

    adjustment: Adjustment
    drops: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class LayerState:
    """One parameter: Euclidean norms of its values and last gradient.

    ``update_ratio`` is how far it moved over the last epoch, as a share of its norm; ``lr_gain`` is
    0 where it is frozen.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    grad_norm: float | None = None
    update_ratio: float | None = None
    lr_gain: float = 1.0


@dataclass(frozen=True)
class PastAdjustment:
    """An adjustment that was made, and what came of it.

    ``applied`` says in words what was changed, ``dropped`` what was refused or clipped. Decided
    from the metrics up to ``asked_epoch``, it acted from after ``epoch`` on. ``before`` and
    ``after`` are the metric at the start and the end of its interval, ``expected`` what the curve's
    own pace would have brought without it, ``margin`` how far from that counts as luck, ``ended``
    the epoch of the verdict; None while it is under way. ``rolled_back``: the run was put back to
    the start of the interval. ``changed`` holds each knob that was turned: its value before and
    after; ``review`` is the advisor's own sentence on it, given later.
    """

    epoch: int
    asked_epoch: int
    adjustment: Adjustment
    applied: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    verdict: VerdictKind = "unknown"
    before: float | None = None
    after: float | None = None
    expected: float | None = None
    margin: float | None = None
    ended: int | None = None
    rolled_back: bool = False
    changed: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    review: str = ""

    def factor(self, knob: str) -> float:
        """By what a knob was multiplied; 1 where it was not turned, or began at 0."""
        before, after = self.changed.get(knob, (1.0, 1.0))
        return after / before if before else 1.0


@dataclass(frozen=True)
class RunEvidence:
    """One training in progress, after ``epoch`` epochs.

    ``curve`` holds every epoch's metrics; ``noise`` is the metric's standard deviation from epoch
    to epoch, by which adjustments are judged. It, ``epochs_total`` and ``steps_per_epoch`` are None
    while unknown. ``anchors`` are the weights that a pull may name, ``class_accuracy`` is that of
    each class on validation, if the loop reports it. ``max_alpha`` bounds alpha. ``seed`` is for
    advisors that draw.

    >>> from raymimic.testing.runs import evidence
    >>> evidence(epochs=8).epoch
    8
    """

    metric: str
    mode: Mode
    epoch: int
    curve: Curve
    diagnosis: Diagnosis
    knobs: tuple[KnobState, ...]
    layers: tuple[LayerState, ...] = ()
    epochs_total: int | None = None
    steps_per_epoch: int | None = None
    history: tuple[PastAdjustment, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    class_accuracy: tuple[float, ...] = ()
    instruction: str = ""
    noise: float | None = None
    max_alpha: float = 0.6
    optimizer: str = ""
    run_id: str = ""
    seed: int = 0

    def knob(self, name: str) -> KnobState | None:
        """The knob of that name, if there is one."""
        return next((knob for knob in self.knobs if knob.name == name), None)


@runtime_checkable
class Adjuster(Protocol):
    """Answers "what should change in this training?".

    An answer that cannot be given raises `AdvisorError`; training then goes on unchanged.

    >>> from raymimic import Adjuster, Adjustment, AdjustmentAdvice
    >>> class Halver:
    ...     name, remote = "halver", False
    ...     def adjust(self, evidence):
    ...         lr = evidence.knob("lr")
    ...         return AdjustmentAdvice(Adjustment({"lr": lr.value / 2} if lr else {}))
    >>> isinstance(Halver(), Adjuster)
    True
    """

    @property
    def name(self) -> str:
        """What the user reads."""
        ...

    @property
    def remote(self) -> bool:
        """Whether an answer takes seconds; such an adjuster is asked in the background."""
        ...

    def adjust(self, evidence: RunEvidence) -> AdjustmentAdvice:
        """Give the next interval's adjustment; an empty one changes nothing."""
        ...
