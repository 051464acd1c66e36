"""Which running trial is not worth its remaining epochs: rules over curves, no Ray, no diagnosis.

Values are oriented by the caller: lower is better here.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from raymimic.curves.extrapolate import Extrapolator, Forecast

_NORMAL = NormalDist()

_MOBILITY = 0.25  # one minus the correlation of rank after the first epoch and at the end
_SETTLES = 1.5  # power of the rest of logarithmic time with which ranks come to rest
_BELIEF = 20  # finished trainings that weigh as much as these expectations
_RIVALS = 3  # with fewer others at the same epoch a trial is not ranked: so many run to the end
_CROWD = 100  # a trial competes to be the best of so many at most: beyond, ranks tell no more
_LEAST_FINISHED = 6  # a forecast may stop a trial only with so many finished ones behind it
_TRUSTED = 10  # with so many finished ones a forecast may also keep a trial from its poor rank ...
_ABLE = 0.1  # ... if it gives it this chance to beat the best of them
_MOST = 0.5  # never is a higher chance asked for
_SHORTEST = 10  # a new trial is thought to cost at least this part of a full training


@dataclass(frozen=True)
class Reading:
    """What is thought of a running trial at one epoch. Chances are None where nothing is known."""

    epoch: int
    length: int
    place: float
    """Among ``rivals`` (itself included) at this epoch; stopped ones are behind, equals share."""

    rivals: int

    chance: float | None
    """Of ending as the best of these, from its place and how much ranks change from here on."""

    needed: float
    """The chance that pays for the remaining epochs: what new trials would get for them."""

    forecast: Forecast | None = None
    bar: float = math.nan
    beats: float | None = None
    """The forecast chance of ending below ``bar``, one of the best finished trainings."""

    hopeless: bool = False
    spared: bool = False
    """Hopeless, but it runs on: a control that keeps the forecasts honest."""


@dataclass
class _Trial:
    epochs: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    ended: bool = False
    spared: bool = False
    behind: int | None = None  # the epoch at which it was stopped or failed


class Stopping:
    """Reads running trials by two rules; either finds a trial hopeless.

    *Rank.* Among all trials that came as far (those stopped before count as worse) a trial has a
    place. A Gaussian copula whose correlation rises from the first epoch to the last turns it into
    the chance of ending as the best of them (of 100 at most). By symmetry a new trial is that with
    a chance of 1 / n, for the epochs that trials take on average. The trial is hopeless if its
    chance is below ``price`` times what new trials would get for its remaining epochs. The first
    three trials to reach an epoch are never ranked there, so at least three run to the end; while
    none has, the better half of those that came as far is never stopped, nor one of the last three.

    *Forecast.* With six finished trainings, it is hopeless if the `Extrapolator` gives it less than
    ``chance`` to beat the best of them (the second best from 100 trials on, and so forth). With ten
    of them it also keeps a trial going, whatever its rank, that has a chance of 10%.

    A ``keep`` share of all epochs goes to hopeless trials that run to the end all the same.
    ``length`` None: the longest finished training tells. Cost per value: O(log n) and a forecast.
    """

    def __init__(
        self,
        *,
        grace: int | None = None,
        length: int | None = None,
        price: float = 0.2,
        chance: float = 0.01,
        keep: float = 0.02,
    ) -> None:
        self._grace, self._length = grace, length
        self._price, self._chance, self._keep = price, chance, keep
        self._trials: dict[str, _Trial] = {}
        self._field = Extrapolator()
        self._at: dict[int, list[float]] = {}  # the values at an epoch, best first
        self._behind: list[int] = []  # the last epochs of stopped and failed trials, rising
        self._finals: list[float] = []
        self._spent = self._controls = self._ended = 0

    @property
    def length(self) -> int:
        """Epochs of a full training as far as known, 0 before any."""
        return self._length or self._field.length

    @property
    def finished(self) -> int:
        """How many finished trainings there are."""
        return len(self._finals)

    @property
    def spent(self) -> int:
        """Epochs of all trials."""
        return self._spent

    def __contains__(self, trial_id: object) -> bool:
        return trial_id in self._trials

    def add(self, trial_id: str, epoch: int, value: float) -> None:
        """Keep one reported value; an epoch not above the last drops those from it on first."""
        trial = self._trials.setdefault(trial_id, _Trial())
        while trial.epochs and trial.epochs[-1] >= epoch:
            self._take_back(trial.epochs.pop(), trial.values.pop())
        trial.epochs.append(epoch)
        trial.values.append(value)
        if trial.ended:  # it was retried
            self._ended -= 1
            trial.ended = False
            if trial.behind is not None:
                self._behind.remove(trial.behind)
                trial.behind = None
        insort(self._at.setdefault(epoch, []), _worst_if_none(value))
        self._spent += 1
        self._controls += trial.spared

    def read(self, trial_id: str) -> Reading | None:
        """What is thought of a trial at its last epoch; None in its grace and at its end."""
        trial = self._trials.get(trial_id)
        if trial is None or not trial.epochs:
            return None
        epoch = trial.epochs[-1]
        grace = self._grace or max(1, self.length // 50)
        if epoch < grace or (self.length and epoch >= self.length):
            return None
        if (epoch - grace) % max(1, epoch // 9):
            return None  # the next look is a ninth later
        reading = self._look(trial, epoch)
        if not reading.hopeless:
            return reading
        rest = reading.length - epoch
        affordable = self._controls + rest <= self._keep * self._spent
        if self._finals and affordable and rest >= reading.length / 2:  # late ones teach nothing
            trial.spared = True
        if trial.spared:
            return _changed(reading, hopeless=False, spared=True)
        return reading

    def end(self, trial_id: str, *, whole: bool) -> None:
        """The trial ended, as a ``whole`` training or because it was stopped or failed."""
        trial = self._trials.get(trial_id)
        if trial is None or trial.ended or not trial.epochs:
            return
        trial.ended = True
        self._ended += 1
        final = trial.values[-1]
        if not whole or not math.isfinite(final):
            trial.behind = trial.epochs[-1]
            insort(self._behind, trial.behind)
            return
        insort(self._finals, final)
        self._field.add(trial_id, np.array(trial.epochs), np.array(trial.values))

    def _look(self, trial: _Trial, epoch: int) -> Reading:
        length = self.length or max(4 * epoch, max(self._at))
        value = _worst_if_none(trial.values[-1])
        column = self._at[epoch]
        others = len(column) - 1 + bisect_right(self._behind, epoch - 1)
        ahead, equal = bisect_left(column, value), bisect_right(column, value)
        place = (ahead + 1 + max(equal, ahead + 1)) / 2
        crowd = min(others, _CROWD) + 2
        mean = max(self._spent / len(self._trials), length / _SHORTEST)
        needed = min(_MOST, max(0.0, self._price * (length - epoch) / mean / crowd))
        reading = Reading(epoch, length, place, others + 1, None, needed)
        if others >= _RIVALS:
            chance = _best_of(place, others + 1, crowd, self._kept(epoch, length))
            few = len(self._trials) - self._ended <= _RIVALS or place <= len(column) / 2
            careful = not self._finals and few
            reading = _changed(reading, chance=chance, hopeless=chance < needed and not careful)
        if not self._finals:
            return reading
        forecast = self._field.forecast(np.array(trial.epochs), np.array(trial.values))
        if forecast is None:
            return reading
        bar = self._finals[min(len(self._trials) // _CROWD, len(self._finals) - 1)]
        beats = forecast.probability_below(bar)
        lost = len(self._finals) >= _LEAST_FINISHED and beats < self._chance
        able = len(self._finals) >= _TRUSTED and beats >= _ABLE
        stop = lost or (reading.hopeless and not able)
        return _changed(reading, forecast=forecast, bar=bar, beats=beats, hopeless=stop)

    def _kept(self, epoch: int, length: int) -> float:
        """The correlation of a place at an epoch with that at the end: expected, then measured."""
        rest = math.log((length + 1) / (epoch + 1)) / math.log((length + 1) / 2)
        expected = 1 - _MOBILITY * max(0.0, rest) ** _SETTLES
        measured, count = self._field.agreement(epoch)
        if measured >= expected:
            return expected
        return (_BELIEF * expected + count * max(0.0, measured)) / (_BELIEF + count)

    def _take_back(self, epoch: int, value: float) -> None:
        self._spent -= 1
        column = self._at[epoch]
        del column[bisect_right(column, _worst_if_none(value)) - 1]


def _best_of(place: float, count: int, crowd: int, kept: float) -> float:
    """The chance to end as the best of ``crowd`` from a place among ``count``."""
    now = _NORMAL.inv_cdf(1 - (place - 0.5) / count)
    bar = _NORMAL.inv_cdf(1 - 1 / crowd)
    return 1 - _NORMAL.cdf((bar - kept * now) / math.sqrt(max(1e-9, 1 - kept * kept)))


def _worst_if_none(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _changed(reading: Reading, **changes: Any) -> Reading:
    return Reading(**{**reading.__dict__, **changes})
