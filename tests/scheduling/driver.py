"""Drives the decisions on running trials as an adapter does, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raymimic.curves import Curve, CurveHistory
from raymimic.records import EpochReport, Knob
from raymimic.scheduling.decisions import Decisions
from raymimic.scheduling.rank_rule import CAREFUL
from raymimic.scheduling.verdict import Verdict

KNOBS = {"lr": Knob(1e-4, 0.1, "learning rate"), "dropout": Knob(0.0, 0.6)}


def falling(end: float, length: int) -> list[float]:
    """A loss that falls from about 2 towards ``end``; it starts the better, the better it ends."""
    return [end + (2.0 - 0.9 * end) * epoch**-0.8 for epoch in range(1, length + 1)]


class Kept:
    """Curves and events of a run."""

    def __init__(self) -> None:
        self.history = CurveHistory()
        self.rows: list[dict[str, Any]] = []

    def curve(self, trial_id: str) -> Curve | None:
        return self.history.curve(trial_id) if trial_id in self.history else None

    def note(self, event: str, /, **fields: Any) -> None:
        self.rows.append({"event": event, **fields})


class FakeMailbox:
    """Keeps what waits, as the actor does; ``sent`` is every push, ``forgotten`` every forget."""

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[dict[str, float], Any, int]] = {}
        self.sent: list[tuple[str, dict[str, float], Any]] = []
        self.forgotten: list[str] = []

    def push(
        self, trial_id: str, values: Mapping[str, float], checkpoint: Any = None, serial: int = 0
    ) -> None:
        self.sent.append((trial_id, dict(values), checkpoint))
        self.waiting[trial_id] = dict(values), checkpoint, serial

    def forget(self, trial_id: str) -> None:
        self.forgotten.append(trial_id)
        self.waiting.pop(trial_id, None)


@dataclass
class Trial:
    """What a trainable and Tune know of a trial."""

    trial_id: str
    config: dict[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    epoch: int = 0
    knobs: dict[str, float] = field(default_factory=dict)
    taken: int = 0
    lost: int = 0
    took: str | None = None


class Driver:
    """One run of `Decisions`; ``mode`` "max" negates every loss on its way."""

    def __init__(
        self,
        mode: str = "min",
        *,
        patience: float = CAREFUL,
        price: float | None = None,
        knobs: bool = False,
        **settings: Any,
    ) -> None:
        self.kept, self.mailbox, self.trials = Kept(), FakeMailbox(), dict[str, Trial]()
        if knobs:
            settings = {"knobs": KNOBS, "open_mailbox": self.open_mailbox, **settings}
        self.decisions = Decisions(self.kept, **settings)
        self.decisions.begin("loss", "max" if mode == "max" else "min", patience, price)
        self.sign = 1.0 if mode == "min" else -1.0

    def open_mailbox(self) -> FakeMailbox:
        return self.mailbox

    def add(self, name: str, **known: Any) -> Trial:
        self.trials[name] = trial = Trial(name, **known)
        self.decisions.open()
        return trial

    def report(self, trial: Trial, loss: float | None, epoch: int = 0, **more: float) -> bool:
        """One epoch, the next one if none is given; whether the trial was stopped."""
        trial.epoch = epoch or trial.epoch + 1
        value = None if loss is None else self.sign * loss
        report = EpochReport(
            trial.trial_id,
            trial.epoch,
            {**({} if value is None else {"loss": value}), **more},
            value,
            dict(trial.knobs),
            taken=trial.taken,
            lost=trial.lost,
        )
        self.kept.history.append(report.trial_id, report.epoch, report.metrics)
        verdict = self._verdict(report, trial)
        if verdict is None:
            return False
        self.decisions.settle(report, verdict)
        if verdict.stop:
            self.decisions.complete(trial.trial_id, report)
        return verdict.stop

    def _verdict(self, report: EpochReport, trial: Trial) -> Verdict | None:
        verdict = self.decisions.by_rule(report)
        if verdict is None or not self.decisions.has_judge:
            return verdict
        return self.decisions.by_judge(report, verdict, trial.config, self.checkpoint_of)

    def checkpoint_of(self, trial_id: str) -> str | None:
        return self.trials[trial_id].checkpoint

    def take(self, trial: Trial, *, gone: bool = False) -> None:
        """What `TrialKnobs.update` does; ``gone``: the checkpoint is there no more."""
        values, checkpoint, serial = self.mailbox.waiting.pop(trial.trial_id, ({}, None, 0))
        if checkpoint is not None and gone:
            trial.lost = serial
            return
        trial.knobs.update(values)
        if checkpoint is not None:
            trial.taken, trial.took = serial, checkpoint

    def end(self, trial: Trial, loss: float) -> None:
        """The trial ends by itself, with the result that it reported last."""
        value = self.sign * loss
        report = EpochReport(trial.trial_id, trial.epoch, {"loss": value}, value)
        self.decisions.complete(trial.trial_id, report)

    def run(self, name: str, losses: list[float], **known: Any) -> int:
        """Train one trial; returns the epochs it was given."""
        trial = self.add(name, **known)
        for loss in losses:
            if self.report(trial, loss):
                return trial.epoch
        self.end(trial, losses[-1])
        return trial.epoch

    def train(self, trial: Trial, own: float, cloned: float, until: int) -> int:
        """Report ``own`` until a clone comes, ``cloned`` from then on; returns the last epoch."""
        while trial.epoch < until:
            self.take(trial)
            if self.report(trial, cloned if trial.took else own):
                break
        return trial.epoch

    def settled(self) -> None:
        """Wait until the question under way is answered."""
        self.decisions.wait(20)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.kept.rows if row["event"] == kind]

    def text(self, trial: Trial | str) -> str:
        """The latest verdict in words."""
        name = trial if isinstance(trial, str) else trial.trial_id
        return self.decisions.verdict(name).text
