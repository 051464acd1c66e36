"""Which running trial is not worth its remaining epochs: rules over curves, no Ray, no diagnosis.

Values are oriented by the caller: lower is better here.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from raymimic.curves import Extrapolator, Forecast
from raymimic.scheduling.worth import Prospects, Worth

CAREFUL = 2.0
"""Patience where the number of trials is the limit: hardly ever is the best one stopped."""

EAGER = 0.25
"""Patience where time is the limit and nothing is known of who proposes: a race of many starts."""

ENOUGH = 3
"""With so many finished trainings, trials are weighed by their chances; before, none of the best so
many at an epoch is stopped."""

TRUSTED = 6
"""With so many finished trainings a forecast counts ..."""

ABLE = 0.03
"""... and speaks for a trial from this chance on to beat the best of them, against it below."""

_NOISE = 2.0  # so many usual steps from one value to the next may be chance
_RECENT = 6  # values that the usual step is taken from
_SPARING = 1.0  # the least patience with which forecasts spare
_LOOKS = 9  # from this epoch on a trial is looked at again a ninth later
_GRACE = 50  # without a grace period every trial gets this part of a full training
_CROWD = 100  # trials for each of the best ones that a forecast need not beat


@dataclass(frozen=True)
class Reading:
    """What is thought of a running trial at one epoch."""

    epoch: int
    length: int
    """Epochs of a full training, as far as known."""

    place: int
    """Among the ``rivals`` that came as far or were stopped before (itself included), 1 is best."""

    rivals: int
    kept: float
    """So many of these go on."""

    reach: int
    """The place that its best value, its recent pace or its noise would give it."""

    forecast: Forecast | None = None
    bar: float = math.nan
    beats: float | None = None
    """The forecast chance of ending below ``bar``, one of the best finished trainings."""

    worth: Worth | None = None
    """Where epochs have a price: what decides."""

    hopeless: bool = False

    @property
    def borderline(self) -> bool:
        """It goes on for what it may still do: its place alone would have ended it."""
        return not self.hopeless and self.place > math.ceil(self.kept)


@dataclass
class _Trial:
    epochs: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    pace: float = 0.0  # seconds an epoch, 0 if unknown
    ended: bool = False
    behind: int | None = None  # the epoch at which it was stopped or failed, or took other weights
    start: int = 0  # where the values with another's weights begin; 0 for a training from scratch

    def now(self) -> tuple[array[int], array[float]]:
        """The epochs and values with the weights that it has."""
        if not self.start:
            return self.epochs, self.values
        return self.epochs[self.start :], self.values[self.start :]


class RankRule:
    """Finds a running trial hopeless: it is not worth its epochs, or its rank says so.

    *Worth.* Where time has a ``price``, a trial goes on while its chance to become the best, for
    what its remaining epochs cost, is at least that of a fresh trial of this search, times the
    price (`Worth`, `Prospects`). That takes three finished trainings: until then its rank decides,
    and the best three at an epoch go on. With None, rank and forecast decide.

    *Rank.* At epoch e a trial goes on if it is among the best ``patience * n * grace / e`` of the n
    trials that came as far or were stopped before (those count as worse), and never are fewer than
    ``patience`` kept, nor the leader stopped: each doubling of the epochs gets about the same
    share of the work, as in successive halving, but with a look at every epoch. What counts is the
    best place within its reach: by its best value so far, by its recent pace if that lasts in
    logarithmic time, or by its last value less twice its usual step. So neither is chance taken for
    a difference while all trials stand close, nor a late bloomer for a failure.

    *Forecast.* With a patience of at least 1 and six finished trainings, a trial that the
    `Extrapolator` gives 3% to beat the best of them (the second best from 100 trials on, and so
    forth) goes on whatever its rank.

    *Clones.* A trial that took over another's weights is compared with the trainings from scratch,
    but counts among them as one stopped there: nobody is measured against its later epochs, no
    forecast is made from its curve, and its own curve begins anew.

    ``length`` None: the longest finished training tells. ``seconds_left`` until the run ends, None
    without a limit. Cost per value: O(log n) and a forecast.
    """

    def __init__(
        self,
        *,
        grace: int | None = None,
        length: int | None = None,
        patience: float = CAREFUL,
        price: float | None = None,
    ) -> None:
        self.patience, self.price = patience, price
        self.seconds_left: float | None = None
        self._grace, self._length = grace, length
        self._trials: dict[str, _Trial] = {}
        self._field = Extrapolator()
        self._at: dict[int, list[float]] = {}  # the values at an epoch, best first
        self._behind: list[int] = []  # the last epochs of stopped and failed trials, rising
        self._finals: list[float] = []
        self._prospects = Prospects()
        self._longest = 0  # epochs of a clone that ended whole

    @property
    def length(self) -> int:
        """Epochs of a full training as far as known, 0 before any."""
        return self._length or max(self._field.length, self._longest)

    @property
    def finished(self) -> int:
        """How many finished trainings there are."""
        return len(self._finals)

    def __contains__(self, trial_id: object) -> bool:
        return trial_id in self._trials

    def add(self, trial_id: str, epoch: int, value: float, pace: float = 0.0) -> None:
        """Keep one reported value; an epoch not above the last drops those from it on first.

        ``pace``: seconds that an epoch of this trial takes, 0 if unknown.
        """
        trial = self._trials.setdefault(trial_id, _Trial())
        trial.pace = pace or trial.pace
        while trial.epochs and trial.epochs[-1] >= epoch:
            self._take_back(trial)
        if len(trial.epochs) < trial.start:
            trial.start = 0  # it starts again from before it was cloned
        if trial.behind is not None and not trial.start:  # it was retried
            self._behind.remove(trial.behind)
            trial.behind = None
        trial.ended = False
        trial.epochs.append(epoch)
        trial.values.append(value)
        if not trial.start:
            insort(self._at.setdefault(epoch, []), _worst_if_none(value))

    def clone(self, trial_id: str) -> None:
        """From its next value on, a trial goes on with another's weights."""
        trial = self._trials.get(trial_id)
        if trial is None or not trial.epochs:
            return
        if not trial.start:
            trial.behind = trial.epochs[-1]
            insort(self._behind, trial.behind)
        trial.start = len(trial.epochs)

    def read(self, trial_id: str) -> Reading | None:
        """What is thought of a trial at its last epoch; None in its grace and at its end.

        None at the very first value, too, however late that comes: one observation has neither a
        pace nor a noise.
        """
        trial = self._trials.get(trial_id)
        if trial is None or len(trial.epochs) < 2:
            return None
        epoch = trial.epochs[-1]
        grace = self._grace or max(1, self.length // _GRACE)
        if epoch < grace or (self.length and epoch >= self.length):
            return None
        if (epoch - grace) % max(1, epoch // _LOOKS):
            return None
        if epoch not in self._at:  # no training from scratch came so far
            return None
        length = self.length or max(4 * epoch, max(self._at))
        reading = self._ranked(trial, epoch, length, grace)
        return self._forecast(trial, reading) if self._finals else reading

    def end(self, trial_id: str, *, whole: bool, seconds: float = 0.0) -> None:
        """The trial ended, as a ``whole`` training or because it was stopped or failed.

        ``seconds`` of wall time that it took, 0 if unknown.
        """
        trial = self._trials.get(trial_id)
        if trial is None or trial.ended or not trial.epochs:
            return
        trial.ended = True
        final = trial.values[-1]
        self._prospects.add(trial.epochs[-1], trial.pace, seconds)
        if not whole or not math.isfinite(final):
            if trial.behind is None:
                trial.behind = trial.epochs[-1]
                insort(self._behind, trial.behind)
            return
        insort(self._finals, final)
        if trial.start:
            self._longest = max(self._longest, trial.epochs[-1])
        else:
            same = trial.values.tobytes()  # a training run again tells nothing new
            self._field.add(same, np.array(trial.epochs), np.array(trial.values))

    def _ranked(self, trial: _Trial, epoch: int, length: int, grace: int) -> Reading:
        column = self._at[epoch]
        rivals = len(column) + bisect_left(self._behind, epoch)
        least = 1.0 if self.price is None else ENOUGH
        kept = max(least, self.patience, self.patience * rivals * grace / epoch)
        place = bisect_left(column, _worst_if_none(trial.values[-1])) + 1
        reach = place
        if place > math.ceil(kept):
            reach = min(place, bisect_left(column, _within_reach(*trial.now(), length)) + 1)
        return Reading(epoch, length, place, rivals, kept, reach, hopeless=reach > math.ceil(kept))

    def _forecast(self, trial: _Trial, reading: Reading) -> Reading:
        epochs, values = trial.now()
        forecast = self._field.forecast(np.array(epochs), np.array(values))
        if forecast is None:
            return reading
        bar = self._finals[min(len(self._trials) // _CROWD, len(self._finals) - 1)]
        beats = forecast.probability_below(bar)
        if self.price is not None and len(self._finals) >= ENOUGH:
            worth = self._prospects.worth(
                self._field.chance_lowest(forecast, self._finals[0]),
                max(1, reading.length - reading.epoch),
                trial.pace,
                length=reading.length,
                price=self.price,
                seconds_left=self.seconds_left,
            )
            return replace(reading, forecast=forecast, bar=bar, beats=beats, worth=worth,
                           hopeless=worth.lost)  # fmt: skip
        sparing = self.patience >= _SPARING and len(self._finals) >= TRUSTED
        hopeless = reading.hopeless and not (sparing and beats >= ABLE)
        return replace(reading, forecast=forecast, bar=bar, beats=beats, hopeless=hopeless)

    def _take_back(self, trial: _Trial) -> None:
        epoch, value = trial.epochs.pop(), trial.values.pop()
        if trial.start and len(trial.epochs) >= trial.start:
            return  # no training from scratch was compared with it
        column = self._at[epoch]
        del column[bisect_right(column, _worst_if_none(value)) - 1]


def _within_reach(epochs: array[int], values: array[float], length: int) -> float:
    """The value that its best, its pace in logarithmic time or its noise allow a trial now."""
    last, epoch = _worst_if_none(values[-1]), epochs[-1]
    best = min((value for value in values if not math.isnan(value)), default=math.inf)
    if len(values) < 2 or not math.isfinite(last):
        return min(last, best)
    before = max(0, bisect_right(epochs, epoch - max(1, epoch // 3)) - 1)
    pace = (last - values[before]) / math.log(epoch / epochs[before])
    ahead = last + min(0.0, pace) * math.log(max(1.0, length / epoch))
    recent = values[-_RECENT:]
    steps = [abs(b - a) for a, b in pairwise(recent)]
    reached = (best, ahead, last - _NOISE * sum(steps) / len(steps))
    return min(value for value in reached if not math.isnan(value))


def _worst_if_none(value: float) -> float:
    return math.inf if math.isnan(value) else value
