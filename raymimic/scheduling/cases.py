"""Which running trials are in doubt, and how one is shown to a judge."""

from __future__ import annotations

from dataclasses import replace

from raymimic.advisor import Case, KnobState, Leader
from raymimic.curves import Diagnosis, diagnose
from raymimic.records import Mode
from raymimic.scheduling.rank_rule import ABLE, TRUSTED, Reading
from raymimic.scheduling.running import Run, RunningTrial
from raymimic.scheduling.verdict import numbers

_TROUBLES = ("overfitting", "oscillating", "plateau", "diverged")


def borderline(reading: Reading) -> bool:
    """Whether it goes on although its place, or its forecast, speaks against it.

    Its place alone would have ended it, or six finished trainings and more give it a chance below
    3% to beat the best of them.
    """
    if reading.hopeless:
        return False
    known = reading.forecast is not None and reading.forecast.support >= TRUSTED
    slim = known and reading.beats is not None and reading.beats < ABLE
    return reading.borderline or slim


def in_doubt(trial: RunningTrial, epoch: int, *, knobs: bool) -> bool:
    """Whether it is borderline now or, if ``knobs`` can be turned, was just found in trouble."""
    reading = trial.reading
    if reading is not None and reading.epoch == epoch and borderline(reading):
        return True
    found = _found_at(trial, epoch)
    return knobs and found is not None and any(kind in found for kind in _TROUBLES)


def case_of(
    run: Run,
    trial: RunningTrial,
    knobs: tuple[KnobState, ...],
    *,
    may_stop: bool,
    leader: Leader | None = None,
) -> Case:
    """A running trial as it stands at its latest report; ``knobs`` are those to turn now.

    Its diagnosis is empty where no rule has just made one: it takes about 1 ms (`diagnosed`).
    """
    report, reading = trial.report, trial.reading
    assert report is not None, "a trial is brought to a judge when it reports"
    standing = [numbers(reading, run.mode)] if reading is not None else []
    beyond = run.limits.broken(trial.trial_id)
    standing += [f"beyond a limit, so it does not count: {beyond}"] if beyond else []
    return Case(
        trial_id=trial.trial_id,
        epoch=report.epoch,
        curve=run.keeper.curve(trial.trial_id),
        diagnosis=_found_at(trial, report.epoch) or Diagnosis(),
        standing="; ".join(reversed(standing)),
        may_stop=may_stop,
        config=trial.config,
        knobs=knobs,
        redirects=tuple(trial.past),
        leader=leader,
    )


def diagnosed(case: Case, since: int, metric: str, mode: Mode) -> Case:
    """The case with a diagnosis of its curve from the epoch ``since`` on, if it has none."""
    if case.diagnosis.signals or case.curve is None:
        return case
    own = case.curve.since(since) if since else case.curve
    return replace(case, diagnosis=diagnose(own, metric, mode))


def _found_at(trial: RunningTrial, epoch: int) -> Diagnosis | None:
    """The diagnosis that was made of this very epoch."""
    return trial.diagnosis if trial.looked == epoch else None
