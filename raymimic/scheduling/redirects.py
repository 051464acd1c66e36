"""Redirects and clones: what running trials are sent, when it arrives, and what came of it."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from raymimic import events
from raymimic.advisor import Judgement, KnobState, Leader, PastRedirect
from raymimic.curves.effect import effect_of, outlook
from raymimic.records import EpochReport
from raymimic.scheduling.running import Acting, Run, RunningTrial

logger = logging.getLogger(__name__)

_SHARE = 10  # a redirect is judged after this part of a full training ...
_LEAST = 2  # ... and so many epochs at least; within as many a trial takes it over
_OLD = 4  # a redirect that comes later than this part of a full training is for another curve


class Mailbox(Protocol):
    """Where a running trial finds what it shall take over; nothing here waits for an answer."""

    def push(
        self, trial_id: str, values: Mapping[str, float], checkpoint: Any = None, serial: int = 0
    ) -> None:
        """Leave new knob values and, for a clone, a checkpoint; it answers with ``serial``."""
        ...

    def forget(self, trial_id: str) -> None:
        """Throw away what waits for a trial that ended or starts again."""
        ...


class Redirects:
    """Sends knob values and checkpoints to running trials, sees them arrive, measures the effect.

    ``open_mailbox`` finds the mailbox or starts it; it is called when the first trial comes, and
    again where a trial did not hear.
    """

    def __init__(self, open_mailbox: Callable[[], Mailbox]) -> None:
        self.effects: Counter[str] = Counter()
        self._open_mailbox = open_mailbox
        self._mailbox: Mailbox | None = None
        self._serial = 0
        self._said = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mailbox": None}

    def open(self) -> Mailbox:
        """The mailbox; it must be there when the first trial looks for it."""
        if self._mailbox is None:
            self._mailbox = self._open_mailbox()
        return self._mailbox

    def to_turn(self, run: Run, trial: RunningTrial) -> tuple[KnobState, ...]:
        """The knobs that may be turned now: none while a redirect acts, or was not heard."""
        if trial.report is None or trial.acting is not None or trial.deaf:
            return ()
        return tuple(
            KnobState(
                name, value, run.knobs[name].low, run.knobs[name].high, run.knobs[name].meaning
            )
            for name, value in run.knob_values(trial.report).items()
        )

    def arrives(self, trial: RunningTrial, report: EpochReport) -> bool:
        """Whether this report is the first with a better trial's weights."""
        acting = trial.acting
        if acting is None or not acting.past.cloned or acting.since is not None:
            return False
        return report.taken == acting.serial

    def turn(
        self, run: Run, trial: RunningTrial, judgement: Judgement, age: int
    ) -> PastRedirect | None:
        """`push` what of a judgement can be turned, within its bounds; None if nothing can.

        The trial was judged ``age`` epochs ago.
        """
        if age > max(2, (run.length or _now(trial).epoch) // _OLD):
            return None
        wanted = {
            state.name: min(max(float(judgement.knobs[state.name]), state.low), state.high)
            for state in self.to_turn(run, trial)
            if math.isfinite(judgement.knobs.get(state.name, math.nan))
        }
        return self.push(run, trial, replace(judgement, knobs=wanted)) if wanted else None

    def push(
        self,
        run: Run,
        trial: RunningTrial,
        judgement: Judgement,
        origin: tuple[Leader, Any] | None = None,
    ) -> PastRedirect:
        """Send a judgement's values to the trial, which has just reported.

        With an ``origin`` it is a clone: the trial is sent that leader's checkpoint, too.
        """
        mailbox, target, report = self.open(), dict(judgement.knobs), _now(trial)
        if origin is None:
            mailbox.push(trial.trial_id, target)
        else:
            self._serial += 1
            mailbox.push(trial.trial_id, target, origin[1], self._serial)
        values, value = run.knob_values(report), _value(report)
        changed = {name: (values[name], new) for name, new in target.items()}
        own = run.curve_since(trial)
        end, length = _forecast_end(run, trial)
        now = (report.epoch, value)
        ahead = outlook(own, run.metric, now, end=end, length=length)
        past = PastRedirect(
            report.epoch,
            changed,
            judgement.reason,
            judgement.source,
            before=ahead.level,
            cloned=origin[0].trial_id if origin is not None else "",
        )
        span = max(_LEAST, (run.length or report.epoch) // _SHARE)
        trial.acting = Acting(past, target, span, ahead, math.isfinite(value), self._serial)
        trial.past.append(past)
        self._note(run, trial, past, origin[0] if origin is not None else None)
        return past

    def _note(
        self, run: Run, trial: RunningTrial, past: PastRedirect, leader: Leader | None
    ) -> None:
        sent: dict[str, Any] = {
            "trial_id": trial.trial_id,
            "epoch": past.epoch,
            "knobs": {name: list(pair) for name, pair in past.changed.items()},
            "before": past.before,
            "reason": past.reason,
            "source": past.source,
        }
        if leader is None:
            events.redirect(run.keeper.note, **sent)
        else:
            events.clone(
                run.keeper.note,
                from_trial=leader.trial_id,
                from_epoch=leader.epoch,
                from_value=leader.value,
                **sent,
            )

    def hear(self, run: Run, trial: RunningTrial, report: EpochReport) -> bool:
        """Take in an epoch: a redirect has arrived, its effect can be measured, or neither.

        Returns whether the trial found the checkpoint of a clone gone.
        """
        acting = trial.acting
        if acting is None or report.epoch <= acting.past.epoch:
            return False
        if acting.past.cloned and acting.since is None and report.lost == acting.serial:
            trial.acting = None
            self._concluded(run, trial, replace(acting.past, ended=report.epoch), "lost")
            return True
        if acting.since is None and _arrived(run, acting, report):
            acting.since = report.epoch
            if acting.past.cloned:
                trial.weights_since = report.epoch
        if acting.since is not None:
            acting.recent.append((report.epoch, _value(report)))
            if report.epoch >= acting.since + acting.span - 1:
                self._measured(run, trial, acting)
        elif report.epoch > acting.past.epoch + acting.span:
            self._unheard(run, trial, acting, report.epoch)
        return False

    def end(self, run: Run, trial: RunningTrial) -> None:
        """The trial ended or starts again: what acts is judged by the epochs that it had."""
        if trial.acting is not None and trial.acting.recent:
            self._measured(run, trial, trial.acting)
        if trial.past and self._mailbox is not None:
            self._mailbox.forget(trial.trial_id)

    def _measured(self, run: Run, trial: RunningTrial, acting: Acting) -> None:
        trial.acting = None
        effect = effect_of(acting.outlook, acting.recent, run.mode, was_finite=acting.was_finite)
        past = replace(
            acting.past,
            after=effect.after,
            expected=effect.expected,
            margin=effect.margin,
            ended=acting.recent[-1][0],
            verdict=effect.kind,
        )
        self._concluded(run, trial, past, effect.kind)

    def _unheard(self, run: Run, trial: RunningTrial, acting: Acting, epoch: int) -> None:
        trial.acting, trial.deaf = None, True
        self._mailbox = None  # perhaps it died: the next push finds it, or starts a new one
        if not self._said:
            logger.warning(
                "raymimic: trial %s did not take over what it was sent after epoch %d (said once): "
                "it must call knobs.update() once an epoch, go on from knobs.checkpoint if it is "
                "not None, and report knobs.metrics().",
                trial.trial_id,
                acting.past.epoch,
            )
        self._said = True
        self._concluded(run, trial, replace(acting.past, ended=epoch), "unheard")

    def _concluded(self, run: Run, trial: RunningTrial, past: PastRedirect, came: str) -> None:
        self.effects[came] += 1
        trial.past[-1] = past
        events.redirect_verdict(
            run.keeper.note,
            trial_id=trial.trial_id,
            epoch=past.epoch,
            ended=past.ended,
            verdict=came,
            before=past.before,
            after=past.after,
            expected=past.expected,
            margin=past.margin,
        )


def _arrived(run: Run, acting: Acting, report: EpochReport) -> bool:
    if acting.past.cloned:
        return report.taken == acting.serial
    values = run.knob_values(report)
    return all(math.isclose(values.get(name, math.nan), new) for name, new in acting.target.items())


def moves_of(past: PastRedirect) -> str:
    """The knobs that were turned, in words."""
    moves = (f"{name} {a:.4g} -> {b:.4g}" for name, (a, b) in past.changed.items() if a != b)
    return ", ".join(moves)


def _now(trial: RunningTrial) -> EpochReport:
    assert trial.report is not None, "a trial is sent something when it reports"
    return trial.report


def _forecast_end(run: Run, trial: RunningTrial) -> tuple[float | None, int]:
    """The metric's forecast final value and the epochs to it; None where there is no forecast."""
    reading = trial.reading
    if reading is None or reading.forecast is None:
        return None, 0
    return reading.forecast.median * (1.0 if run.mode == "min" else -1.0), reading.length


def _value(report: EpochReport) -> float:
    return math.nan if report.value is None else report.value
