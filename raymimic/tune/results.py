"""Reads Tune's result dictionaries: each once, for searcher, scheduler and callback alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

from ray.tune.result import AUTO_RESULT_KEYS, DEBUG_METRICS, DEFAULT_METRIC

from raymimic.records import EpochReport

ANONYMOUS_METRIC = DEFAULT_METRIC
"""The metric's name when a trainable reports a bare number."""

KNOB_PREFIX = "raymimic/live/"
"""Of the live knobs' names in a trial's results."""

TAKEN, LOST = "raymimic/clone/taken", "raymimic/clone/lost"
"""The serial of the last clone that a trial took over, or whose checkpoint it found gone."""

TIME_ATTR = "training_iteration"
"""Where a result says its epoch, unless the scheduler is given another ``time_attr``."""

_LARGEST_EPOCH = 2**53  # beyond it a float is no exact count, and a column of epochs no integer

Listener = Literal["searcher", "scheduler", "callback"]

BOOKKEEPING = {*AUTO_RESULT_KEYS, *DEBUG_METRICS, "done", "experiment_tag", "should_checkpoint"}
"""What Tune adds to every result by itself: no learning curves."""


class Reports:
    """Every epoch of a run, read and kept once, whichever of our objects hears of it first.

    Tune gives a result to the scheduler, then (unless the trial stops) to the searcher, then to the
    callback, as different dictionaries. The first listener reads it; the others, who have not heard
    of that epoch yet, are given what was read.

    ``keep`` takes a report into the run's curves, ``epochs`` gives a trial's last epoch in them (0
    before any). ``metric`` is the metric that the run optimises, once it is known, ``others`` are
    those that it looks at beside it.

    An epoch's pace is the mean of the epochs after the first, which may hold start-up work.
    """

    def __init__(self, keep: Callable[[EpochReport], None], epochs: Callable[[str], int]) -> None:
        self.metric = ANONYMOUS_METRIC
        self.others: tuple[str, ...] = ()
        self.time_attr = TIME_ATTR
        self._keep, self._epochs = keep, epochs
        self._latest: dict[str, tuple[EpochReport, set[Listener]]] = {}
        self._first: dict[str, tuple[int, float]] = {}  # a trial's first epoch here, seconds then

    def hear(
        self, listener: Listener, trial_id: str, result: Mapping[str, Any]
    ) -> EpochReport | None:
        """The report of a trial's new result.

        None where the result does not say its epoch; for a searcher, which must know how a trial
        ends, it is then the next one.
        """
        epoch = self._epoch(listener, trial_id, result)
        if epoch is None:
            return None
        latest = self._latest.get(trial_id)
        if latest is not None and latest[0].epoch == epoch and listener not in latest[1]:
            latest[1].add(listener)
            return latest[0]
        return self._read(listener, trial_id, epoch, result)

    def last(
        self, listener: Listener, trial_id: str, result: Mapping[str, Any]
    ) -> EpochReport | None:
        """The same of an ended trial's last result, which may repeat its latest."""
        epoch = self._epoch(listener, trial_id, result)
        latest = self._latest.get(trial_id)
        if latest is not None and latest[0].epoch == epoch:
            return latest[0]
        return None if epoch is None else self._read(listener, trial_id, epoch, result)

    def is_news(self, listener: Listener, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether the listener has not heard of this result's epoch in `hear`."""
        epoch = epoch_of(result, self.time_attr)
        if epoch is None:
            return False
        latest = self._latest.get(trial_id)
        if latest is None:  # before a restore, or never
            return epoch > self._epochs(trial_id)
        return epoch > latest[0].epoch or (epoch == latest[0].epoch and listener not in latest[1])

    def forget(self, trial_id: str) -> None:
        """A trial ended: no more results come."""
        self._latest.pop(trial_id, None)
        self._first.pop(trial_id, None)

    def _epoch(self, listener: Listener, trial_id: str, result: Mapping[str, Any]) -> int | None:
        epoch = epoch_of(result, self.time_attr)
        if epoch is None and listener == "searcher":
            return self._epochs(trial_id) + 1
        return epoch

    def _read(
        self, listener: Listener, trial_id: str, epoch: int, result: Mapping[str, Any]
    ) -> EpochReport:
        report = report_of(trial_id, epoch, result, self.metric, self.others)
        report = replace(report, pace=self._pace(report, seconds_of(result)))
        self._keep(report)
        self._latest[trial_id] = report, {listener}
        return report

    def _pace(self, report: EpochReport, trained: float) -> float:
        """Give the seconds an epoch takes, from those that the trial has ``trained``."""
        first = self._first.get(report.trial_id)
        if first is None or report.restarted or report.epoch <= first[0]:
            self._first[report.trial_id] = report.epoch, trained
            return trained / report.epoch if report.epoch > 0 else 0.0
        return max(0.0, trained - first[1]) / (report.epoch - first[0])


def report_of(
    trial_id: str,
    epoch: int,
    result: Mapping[str, Any],
    metric: str,
    others: tuple[str, ...] = (),
) -> EpochReport:
    """Read one result, nested or flat; ``metric`` and ``others`` as in `Reports`."""
    metrics = metrics_of(result, metric, *others)
    return EpochReport(
        trial_id=trial_id,
        epoch=epoch,
        metrics=metrics,
        value=metrics.get(metric),
        knobs={
            key[len(KNOB_PREFIX) :]: number
            for key, value in result.items()
            if key.startswith(KNOB_PREFIX) and (number := number_of(value)) is not None
        },
        restarted=restarted(result),
        taken=int(result.get(TAKEN) or 0),
        lost=int(result.get(LOST) or 0),
    )


def metrics_of(result: Mapping[str, Any], *wanted: str) -> dict[str, float]:
    """Return the user's numbers of one result, nested names joined by "/"; NaN and inf stay.

    ``wanted`` are those that the run looks at: they count even if Tune adds them by itself.
    """
    return dict(_numbers(result, "", wanted))


def _numbers(
    result: Mapping[str, Any], prefix: str, wanted: tuple[str, ...]
) -> Iterator[tuple[str, float]]:
    for key, value in result.items():
        name = f"{prefix}{key}"
        if is_added(name) and name not in wanted:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}/", wanted)
        elif (number := number_of(value, text=name in wanted)) is not None:
            yield name, number


def is_added(name: str) -> bool:
    """Whether Tune or raymimic put it into the results, and no trainable."""
    return name in BOOKKEEPING or name.startswith(("config/", "raymimic/"))


def number_of(value: Any, *, text: bool = False) -> float | None:
    """Return the one number that ``value`` is, in whatever form it comes; None for anything else.

    Numbers of Python and numpy, and arrays and tensors (numpy, JAX, torch, TensorFlow) of a single
    element; with ``text`` also text that spells one. Beyond the largest float it is infinite.
    """
    shape = getattr(value, "shape", None)
    read = isinstance(value, (Real, Decimal)) or (text and isinstance(value, str))
    try:
        if not read and (shape is None or any(size != 1 for size in shape)):
            return None
        return float(value if read or not hasattr(value, "item") else value.item())
    except OverflowError:  # an integer beyond 1.8e308
        return math.inf if value > 0 else -math.inf
    except Exception:  # noqa: BLE001 - a tensor without data, complex numbers, the user's own class
        return None


def epoch_of(result: Mapping[str, Any], time_attr: str = TIME_ATTR) -> int | None:
    """Return the epoch that a result is of, None where it says no whole number."""
    epoch = number_of(result.get(time_attr))
    if epoch is None or not abs(epoch) < _LARGEST_EPOCH or epoch != epoch // 1:
        return None
    return int(epoch)


def is_mean(result: Mapping[str, Any]) -> bool:
    """Whether it is the mean of repeated trials, as `ray.tune.search.Repeater` makes it."""
    return TIME_ATTR not in result and "trial_id" not in result


def seconds_of(result: Mapping[str, Any]) -> float:
    """Return how long the trial has trained, over all its restarts; 0 where Tune does not say."""
    seconds = number_of(result.get("time_total_s"))
    return seconds if seconds is not None and 0 < seconds < math.inf else 0.0


def restarted(result: Mapping[str, Any]) -> bool:
    """Whether the trial has just been started anew (a retry or a restore): Tune says no more."""
    return bool(result.get("iterations_since_restore") == 1)


def config_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that a result carries, nested or as flat "a/b" names."""
    nested = result.get("config")
    if isinstance(nested, Mapping):
        return dict(nested)
    return {key[7:]: value for key, value in result.items() if key.startswith("config/")}
