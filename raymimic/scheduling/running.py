"""The trials of a run as the decisions know them: one record a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from raymimic.advisor import Case, Judgement, PastRedirect
from raymimic.curves import Curve, Diagnosis
from raymimic.curves.effect import Outlook
from raymimic.records import EpochReport, Knob, Mode
from raymimic.scheduling.limits import Limits
from raymimic.scheduling.rank_rule import RankRule, Reading
from raymimic.scheduling.verdict import Verdict


class Keeper(Protocol):
    """Who keeps the run's curves and events."""

    def curve(self, trial_id: str) -> Curve | None:
        """Every epoch of a trial so far, the present one included; None before any."""
        ...

    def note(self, event: str, /, **fields: Any) -> None:
        """Write an event to the ledger."""
        ...


@dataclass(frozen=True)
class JudgedCase:
    """What a judge said of a trial as it stood after ``asked`` epochs; ``cost`` is the ledger's."""

    judgement: Judgement
    asked: int
    cost: Mapping[str, Any]

    @property
    def who(self) -> str:
        """Who judged, as the user reads it."""
        return str(self.cost["model"])


@dataclass
class Acting:
    """A redirect that was sent; ``since`` is the first epoch with the new values."""

    past: PastRedirect
    target: Mapping[str, float]
    span: int
    outlook: Outlook
    was_finite: bool
    serial: int = 0  # of a clone
    since: int | None = None
    recent: list[tuple[int, float]] = field(default_factory=list)


@dataclass
class Exploit:
    """A trial that may go on from a leader's weights: its case, and the rules' verdict on it.

    Once it is decided: the ``judgement``, who said why, how often the checkpoint was sent.
    """

    case: Case
    verdict: Verdict
    judgement: Judgement | None = None
    said: str = ""
    sent: int = 0


@dataclass
class RunningTrial:
    """All that is known of one trial beside its curve.

    ``report`` is the latest with which it went on, or may go on, ``reading`` the latest by the
    rank rule. ``diagnosis`` was made after ``looked`` epochs. ``asked``: the epoch at which a judge
    was last asked about it, ``judged`` an answer that waits for its next result. ``weights_since``:
    its first epoch with the weights that it has now, 0 if they always were its own. ``deaf``: it
    does not take over what it is sent.
    """

    trial_id: str
    running: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    report: EpochReport | None = None
    verdict: Verdict | None = None
    reading: Reading | None = None
    looked: int = 0
    diagnosis: Diagnosis | None = None
    asked: int | None = None
    judged: JudgedCase | None = None
    acting: Acting | None = None
    past: list[PastRedirect] = field(default_factory=list)
    weights_since: int = 0
    deaf: bool = False
    exploit: Exploit | None = None

    def ended(self) -> RunningTrial:
        """What is still known once it has ended: it may lead, and its verdict is asked for."""
        return RunningTrial(
            self.trial_id,
            running=False,
            config=self.config,
            report=self.report,
            verdict=self.verdict,
        )

    @property
    def cloned(self) -> bool:
        """Whether a clone is on its way, or its effect still to be seen."""
        return self.acting is not None and bool(self.acting.past.cloned)


@dataclass
class Run:
    """What all decisions of one run share; ``knobs`` are those that may be turned live.

    ``limits`` know which trials are beyond one.
    """

    keeper: Keeper
    ranks: RankRule
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    metric: str = ""
    mode: Mode = "min"
    trials: dict[str, RunningTrial] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def cost(self, trial_id: str, value: float) -> float:
        """What a value of the metric counts as: lower is better, infinite beyond a limit."""
        return math.inf if self.limits.broken(trial_id) else self.sign * value

    @property
    def sign(self) -> float:
        """What a value is multiplied by to be a cost: lower is better."""
        return 1.0 if self.mode == "min" else -1.0

    @property
    def length(self) -> int:
        """Epochs of a full training as far as known, 0 before any."""
        return self.ranks.length

    def knob_values(self, report: EpochReport) -> dict[str, float]:
        """The declared knobs' values that a trial reported."""
        return {name: report.knobs[name] for name in self.knobs if name in report.knobs}

    def curve_since(self, trial: RunningTrial) -> Curve | None:
        """A trial's curve with the weights that it has now."""
        curve = self.keeper.curve(trial.trial_id)
        return (
            curve if curve is None or not trial.weights_since else curve.since(trial.weights_since)
        )
