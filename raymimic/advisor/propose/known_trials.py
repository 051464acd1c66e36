"""The field: the evidence as the rules need it, a bounded number of trials in unit coordinates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.propose.axes import SAME, Axis, axes_of
from raymimic.records import Config

Floats = npt.NDArray[np.float64]

BEST = 100
RECENT = 200
"""Only this many of the best and of the latest trials are compared, so that a call stays cheap."""


class Field:
    """What is known, seen from one call of an advisor.

    ``trials`` are the best scored ones, best first, ``units`` their unit coordinates; ``failed``
    holds those of trials without a score, ``others`` those of every other configuration looked at.
    Every configuration of the evidence is taken, those that `take` adds are too.
    """

    def __init__(self, evidence: SearchEvidence) -> None:
        self.evidence = evidence
        self.space = evidence.space
        self.axes, self.family = axes_of(evidence.space)
        self._unordered = np.array([not axis.ordered for axis in self.axes], dtype=bool)
        self._taken = {self.space.key(config) for config in self._configs()}
        self.count = len(evidence.trials) + len(evidence.running) + len(evidence.queued)
        sound = [trial for trial in evidence.ranked() if trial.status != "failed"]
        self.trials: Sequence[TrialRecord] = sound[:BEST]
        self.units = self.encode(trial.config for trial in self.trials)
        self._order = {id(trial): place for place, trial in enumerate(evidence.trials)}
        failures = [t for t in evidence.trials[-RECENT:] if t.status == "failed" or t.score is None]
        self.failed = self.encode(trial.config for trial in failures)
        self.failures: Sequence[TrialRecord] = failures
        pending = [trial.config for trial in evidence.running[-RECENT:]]
        pending += evidence.queued[-RECENT:]
        latest = [t.config for t in evidence.trials[-RECENT:] if t.score is not None]
        self.others = self.encode([*pending, *latest])

    def _configs(self) -> Iterable[Config]:
        yield from (trial.config for trial in self.evidence.trials)
        yield from (trial.config for trial in self.evidence.running)
        yield from self.evidence.queued

    def encode(self, configs: Iterable[Config]) -> Floats:
        """Give a row of unit coordinates for each configuration."""
        rows = [self.space.encode(config) for config in configs]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.axes))

    def is_new(self, config: Config) -> bool:
        """Whether the configuration was never tried, started or proposed."""
        return self.space.key(config) not in self._taken

    def take(self, config: Config) -> None:
        """Remember a configuration as proposed."""
        self._taken.add(self.space.key(config))
        self.count += 1
        self.others = np.vstack([self.others, self.encode([config])])

    @property
    def exhausted(self) -> bool:
        """Whether a finite space has nothing left to try."""
        size = self.space.size
        return size is not None and len(self._taken) >= size

    @property
    def given(self) -> int:
        """How many configurations are the user's own."""
        return self.evidence.given

    @property
    def taken(self) -> int:
        """How many different configurations are known."""
        return len(self._taken)

    @property
    def stalled(self) -> int:
        """How many trials ended since the best one did."""
        if not self.trials:
            return 0
        best = self.trials[0]
        latest = reversed(self.evidence.trials)
        return next(since for since, trial in enumerate(latest) if trial is best)

    @property
    def unknown(self) -> float:
        """The share of axes whose name tells nothing."""
        nameless = sum(axis.role is None for axis in self.axes)
        return nameless / max(1, len(self.axes))

    def gaps(self, rows: Floats, units: Floats) -> Floats:
        """Give |difference| per axis from ``units`` to each row; unlike categories differ by 1."""
        gaps = np.abs(rows - units)
        gaps[:, self._unordered] = gaps[:, self._unordered] > SAME
        return gaps

    def distance(self, rows: Floats, config: Config) -> float:
        """Give the distance to the nearest row as `SearchSpace` does, infinite without rows."""
        if not len(rows) or not self.axes:
            return float("inf")
        return float(self.gaps(rows, self.encode([config])[0]).mean(axis=1).min())

    def repelled(self, config: Config) -> bool:
        """Whether the nearest of the trials that ended is one that failed."""
        if not len(self.failed) or not len(self.units):
            return False
        return self.distance(self.failed, config) <= self.distance(self.units, config)

    def newer(self, a: TrialRecord, b: TrialRecord) -> bool:
        """Whether one ended trial came after another."""
        return self._order[id(a)] > self._order[id(b)]

    def better(self, a: TrialRecord, b: TrialRecord) -> bool:
        """Whether one scored trial beats another."""
        value = self.evidence.value
        return self.evidence.better(value(a) or 0.0, value(b) or 0.0)


def changed(field: Field, parent: Config, axis: Axis, value: object) -> Config:
    """Give a copy of ``parent`` with one value changed, in the space's order."""
    return {a.name: value if a.name == axis.name else parent[a.name] for a in field.axes}
