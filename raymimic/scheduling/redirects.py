"""Redirects and clones: knobs of running trials turned live, and what came of it."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ray.tune import Checkpoint

from raymimic import events
from raymimic.advisor import Judgement, KnobState, Leader, PastRedirect, VerdictKind
from raymimic.scheduling.cases import Search
from raymimic.scheduling.effect import Outlook, outlook, place
from raymimic.scheduling.rank_rule import Reading
from raymimic.tune.live import LiveKnobs
from raymimic.tune.mailbox import Handover, open_board

logger = logging.getLogger(__name__)

_WINDOW = 3  # last values whose mean is compared
_SHARE = 10  # a redirect is judged after this part of a full training ...
_OLD = 4  # a redirect that comes later than this part of a full training is for another curve
_LEAST = 2  # ... and so many epochs at least; within as many a trial takes it over


@dataclass
class _Acting:
    """A redirect that was pushed; ``since`` is the first epoch with the new values."""

    past: PastRedirect
    target: Mapping[str, float]
    span: int
    outlook: Outlook
    value: float  # when it was pushed
    serial: int = 0  # of a clone
    since: int | None = None
    recent: list[tuple[int, float]] = field(default_factory=list)


class Redirects:
    """Pushes knob values and checkpoints to running trials, sees them arrive, measures the effect.

    All on the scheduler's thread; a push is sent and not waited for. A live handle, the board's, is
    dropped by pickling and found again at the next push.
    """

    def __init__(self, live: LiveKnobs) -> None:
        self.live = live
        self.verdicts: Counter[str] = Counter()
        self._board: Any = None
        self._acting: dict[str, _Acting] = {}
        self._past: dict[str, list[PastRedirect]] = {}
        self._deaf: set[str] = set()
        self._moved: dict[str, int] = {}
        self._serial = 0
        self._said = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_board": None}

    def open(self) -> None:
        """Start the board, so that it is there when the first trial looks for it."""
        if self._board is None:
            self._board = open_board()

    def past(self, trial_id: str) -> tuple[PastRedirect, ...]:
        """What was done to a running trial before."""
        return tuple(self._past.get(trial_id, ()))

    def knobs(self, trial_id: str, values: Mapping[str, float]) -> tuple[KnobState, ...]:
        """The knobs that may be turned now: none while a redirect acts or goes unheard."""
        if trial_id in self._acting or trial_id in self._deaf:
            return ()
        return self.live.states(values)

    def acts(self, trial_id: str) -> bool:
        """Whether a redirect or a clone of this trial is still to be measured."""
        return trial_id in self._acting

    def clones(self, trial_id: str) -> bool:
        """Whether what acts on this trial is a clone."""
        acting = self._acting.get(trial_id)
        return acting is not None and bool(acting.past.cloned)

    def arrives(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether this result is the first with a better trial's weights."""
        acting = self._acting.get(trial_id)
        if acting is None or not acting.past.cloned or acting.since is not None:
            return False
        return self.live.serials_in(result)[0] == acting.serial

    def moved(self, trial_id: str) -> int:
        """The first epoch with the weights that a trial has now, 0 if they always were its own."""
        return self._moved.get(trial_id, 0)

    def turn(
        self,
        search: Search,
        judgement: Judgement,
        age: int,
        epoch: int,
        value: float,
        values: Mapping[str, float],
        reading: Reading | None,
    ) -> PastRedirect | None:
        """`push` what of a judgement can be turned, within its bounds; None if nothing can.

        The trial was judged ``age`` epochs ago.
        """
        if age > max(2, (search.length or epoch) // _OLD):
            return None
        wanted = {
            state.name: min(max(float(judgement.knobs[state.name]), state.low), state.high)
            for state in self.knobs(judgement.trial_id, values)
            if math.isfinite(judgement.knobs.get(state.name, math.nan))
        }
        if not wanted:
            return None
        return self.push(search, replace(judgement, knobs=wanted), epoch, value, values, reading)

    def push(
        self,
        search: Search,
        judgement: Judgement,
        epoch: int,
        value: float,
        values: Mapping[str, float],
        reading: Reading | None,
        origin: tuple[Leader, Checkpoint] | None = None,
    ) -> PastRedirect:
        """Send a redirect's values to the trial, which reported ``value`` and ``values`` now.

        With an ``origin`` it is a clone: the trial is sent that leader's checkpoint, too.
        """
        self.open()
        trial_id, (metric, mode), length = judgement.trial_id, search.goal, search.length
        handover = None
        if origin is not None:
            self._serial += 1
            leader, handover = origin[0], Handover(origin[1], self._serial)
        self._board.push.remote(trial_id, dict(judgement.knobs), handover)
        changed = {name: (values[name], new) for name, new in judgement.knobs.items()}
        curve = search.curve(trial_id)
        own = curve.since(self.moved(trial_id)) if curve is not None else None
        ahead = outlook(own, metric, mode, (epoch, value), reading)
        past = PastRedirect(
            epoch,
            changed,
            judgement.reason,
            judgement.source,
            before=ahead.level,
            cloned=leader.trial_id if origin is not None else "",
        )
        span = max(_LEAST, (length or epoch) // _SHARE)
        target = dict(judgement.knobs)
        self._acting[trial_id] = _Acting(past, target, span, ahead, value, self._serial)
        self._past.setdefault(trial_id, []).append(past)
        sent: dict[str, Any] = {
            "trial_id": trial_id,
            "epoch": epoch,
            "knobs": {name: list(pair) for name, pair in changed.items()},
            "before": ahead.level,
            "reason": judgement.reason,
            "source": judgement.source,
        }
        if origin is None:
            events.redirect(search.note, **sent)
        else:
            events.clone(
                search.note,
                from_trial=leader.trial_id,
                from_epoch=leader.epoch,
                from_value=leader.value,
                **sent,
            )
        return past

    def hear(
        self, search: Search, trial_id: str, epoch: int, value: float, result: Mapping[str, Any]
    ) -> bool:
        """Take in an epoch: a redirect has arrived, its effect can be measured, or neither.

        Returns whether the trial found the checkpoint of a clone gone.
        """
        acting = self._acting.get(trial_id)
        if acting is None or epoch <= acting.past.epoch:
            return False
        taken, lost = self.live.serials_in(result)
        if acting.past.cloned and acting.since is None and lost == acting.serial:
            self._acting.pop(trial_id)
            self._concluded(search, trial_id, replace(acting.past, ended=epoch), "lost")
            return True
        if acting.since is None and self._arrived(acting, result, taken):
            acting.since = epoch
            if acting.past.cloned:
                self._moved[trial_id] = epoch
        if acting.since is not None:
            acting.recent.append((epoch, value))
            if epoch >= acting.since + acting.span - 1:
                self._measured(search, trial_id)
        elif epoch > acting.past.epoch + acting.span:
            self._unheard(search, trial_id, epoch)
        return False

    def _arrived(self, acting: _Acting, result: Mapping[str, Any], taken: int) -> bool:
        if acting.past.cloned:
            return taken == acting.serial
        return _same(self.live.values_in(result), acting.target)

    def end(self, search: Search, trial_id: str) -> None:
        """The trial ended or starts again: what acts is judged by the epochs that it had."""
        acting = self._acting.get(trial_id)
        if acting is not None and acting.recent:
            self._measured(search, trial_id)
        self._acting.pop(trial_id, None)
        self._deaf.discard(trial_id)
        self._moved.pop(trial_id, None)
        if self._past.pop(trial_id, None) and self._board is not None:
            self._board.forget.remote(trial_id)

    def _measured(self, search: Search, trial_id: str) -> None:
        acting, mode = self._acting.pop(trial_id), search.goal[1]
        after, at = place(acting.recent[-_WINDOW:])
        expected, margin = acting.outlook.expected(at)
        if not math.isfinite(acting.value):
            expected = margin = math.nan  # nothing more was to be expected
        gain = (expected - after) * (1.0 if mode == "min" else -1.0)
        verdict: VerdictKind = "within noise"
        if math.isnan(expected) and math.isfinite(after):
            verdict = "better"
        elif not gain >= -margin:  # a NaN is worse, too
            verdict = "worse"
        elif gain > margin:
            verdict = "better"
        past = replace(
            acting.past,
            after=after,
            expected=expected,
            margin=margin,
            ended=acting.recent[-1][0],
            verdict=verdict,
        )
        self._concluded(search, trial_id, past, past.verdict)

    def _unheard(self, search: Search, trial_id: str, epoch: int) -> None:
        self._deaf.add(trial_id)
        self._board = None  # perhaps it died: the next push finds it, or starts a new one
        acting = self._acting.pop(trial_id)
        if not self._said:
            logger.warning(
                "raymimic: trial %s did not take over what it was sent after epoch %d (said once): "
                "it must call knobs.update() once an epoch, go on from knobs.checkpoint if it is "
                "not None, and report knobs.metrics().",
                trial_id,
                acting.past.epoch,
            )
        self._said = True
        self._concluded(search, trial_id, replace(acting.past, ended=epoch), "unheard")

    def _concluded(self, search: Search, trial_id: str, past: PastRedirect, came: str) -> None:
        self.verdicts[came] += 1
        self._past[trial_id][-1] = past
        events.redirect_verdict(
            search.note,
            trial_id=trial_id,
            epoch=past.epoch,
            ended=past.ended,
            verdict=came,
            before=past.before,
            after=past.after,
            expected=past.expected,
            margin=past.margin,
        )


def _same(values: Mapping[str, float], target: Mapping[str, float]) -> bool:
    return all(math.isclose(values.get(name, math.nan), new) for name, new in target.items())


def moves_of(past: PastRedirect) -> str:
    """The knobs that were turned, in words."""
    moves = (f"{name} {a:.4g} -> {b:.4g}" for name, (a, b) in past.changed.items() if a != b)
    return ", ".join(moves)
