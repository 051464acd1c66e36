"""The rules that end a running trial, in the order in which they are asked.

A newcomer's rule is a function of a `Look` that returns a `Verdict` or None, and an entry in
`RULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from raymimic.curves import Diagnosis, diagnose
from raymimic.records import EpochReport
from raymimic.scheduling.rank_rule import Reading
from raymimic.scheduling.running import Run, RunningTrial
from raymimic.scheduling.verdict import Verdict, going_on, numbers, shown

_FIRST_LOOK = 5  # epochs; a diagnosis of fewer says nothing but NaN
_LOOKS = 10  # a trial is diagnosed after each such part of a full training
_PERSISTS = 5  # epochs that overfitting must have lasted, or a fifth of what was trained
_FEW = 8  # with fewer rivals a leader may be as ill as they are
_LEADS = 0.25  # a trial in the best quarter at its epoch is not stopped for its diagnosis


@dataclass
class Look:
    """A trial at its latest report; what costs time is made when a rule asks for it."""

    run: Run
    trial: RunningTrial
    report: EpochReport
    value: float
    max_t: int | None = None

    @property
    def epoch(self) -> int:
        """The epoch of the report."""
        return self.report.epoch

    @cached_property
    def reading(self) -> Reading | None:
        """What the rank rule thinks of it; None at an epoch at which it does not look."""
        return self.run.ranks.read(self.trial.trial_id)

    @cached_property
    def diagnosis(self) -> Diagnosis | None:
        """A diagnosis every tenth of a training (it takes about 1 ms), None in between."""
        trial, epoch = self.trial, self.epoch
        step = max(2, (self.run.ranks.length or epoch) // _LOOKS)
        if epoch < _FIRST_LOOK or epoch - trial.looked < step:
            return None
        curve = self.run.curve_since(trial)
        found = diagnose(curve, self.run.metric, self.run.mode) if curve is not None else None
        trial.looked, trial.diagnosis = epoch, found
        return found


def whole(look: Look) -> Verdict | None:
    """A full training."""
    if look.max_t is None or look.epoch < look.max_t:
        return None
    return Verdict("whole", look.epoch, f"complete: max_t = {look.epoch} epochs")


def not_finite(look: Look) -> Verdict | None:
    """The metric is no number any more; a reward before the first episode's end is none yet."""
    if math.isfinite(look.value):
        return None
    metric, curve = look.run.metric, look.run.keeper.curve(look.trial.trial_id)
    before = curve.last(metric) if curve is not None else None
    if before is None:
        return None
    text = f"diverged: {metric} is {look.value} at epoch {look.epoch} (was {before:.4g})"
    return Verdict("diverged", look.epoch, text)


def hopeless(look: Look) -> Verdict | None:
    """It is not worth its remaining epochs, by the rank rule."""
    reading = look.reading
    if reading is None or not reading.hopeless:
        return None
    at = f"{look.run.metric} {shown(look.value)} at epoch {reading.epoch}"
    beyond = look.run.limits.broken(look.trial.trial_id)
    at += f", beyond its limits ({beyond})" if beyond else ""
    text = f"hopeless: {at}; {numbers(reading, look.run.mode)}"
    return Verdict("hopeless", reading.epoch, text, reading)


def diagnosed_divergence(look: Look) -> Verdict | None:
    """Its curve, or another loss of it, has exploded."""
    found = look.diagnosis if _behind(look.reading) else None
    if found is None or "diverged" not in found:
        return None
    return Verdict("diverged", look.epoch, f"diverged: {found.text}")


def overfitting(look: Look) -> Verdict | None:
    """It has been overfitting for long, and does not lead."""
    reading = look.reading
    found = look.diagnosis if reading is not None and not _leads(reading) else None
    if found is None or reading is None:
        return None
    signal = next((signal for signal in found.signals if signal.kind == "overfitting"), None)
    if signal is None or signal.onset is None:
        return None
    if look.epoch - signal.onset < max(_PERSISTS, look.epoch / 5):
        return None
    text = f"{signal.text}; place {reading.place} of {reading.rivals} at epoch {look.epoch}"
    return Verdict("overfitting", look.epoch, text, reading)


Rule = Callable[[Look], Verdict | None]

RULES: tuple[Rule, ...] = (whole, not_finite, hopeless, diagnosed_divergence, overfitting)
"""Asked in this order; the first verdict stands."""


def verdict_of(look: Look) -> Verdict:
    """The first rule's verdict; without one the trial goes on, and between two looks as before."""
    for rule in RULES:
        found = rule(look)
        if found is not None:
            return found
    if look.reading is not None:
        return going_on(look.reading, look.run.mode)
    return look.trial.verdict or Verdict("continue", look.epoch, "continue")


def _behind(reading: Reading | None) -> bool:
    """Whether a diagnosis could end the trial at this look: not if it leads enough others."""
    return reading is not None and (reading.rivals < _FEW or not _leads(reading))


def _leads(reading: Reading) -> bool:
    return reading.place <= max(1, _LEADS * reading.rivals)
