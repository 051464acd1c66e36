"""All trials at a glance, as a model reads them: copies, luck, and what each choice reached."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from statistics import median

import numpy as np

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.belief.axes import axes_of, gaps_between, units_of
from raymimic.advisor.curve_text import number
from raymimic.advisor.propose.trial_text import config_text, jitter, score_text
from raymimic.advisor.text import fit
from raymimic.foreign import json_line, name_text
from raymimic.space import Choice

_CHOICES_CHARS = 1_500
_JUMPS_NEEDED = 4  # fewer trials say little about luck

_NEAR = 0.02
"""Of each range: settings no farther apart are as good as the same, 2% of five decades is 26%."""

_COMPARED = 100  # best trials: all pairs of them are looked at

_UNBEATEN = 5
"""With so few trials it says nothing that the first one is still the best."""


class Field:
    """The ended trials without copies. A copy has the very same curve as an earlier trial.

    ``ranked`` are the scored ones, best first, ``ranks`` their places from 1 by trial id.
    """

    def __init__(self, evidence: SearchEvidence) -> None:
        self.evidence = evidence
        self.copies = _copies(evidence.trials)
        self._copied = {copy.trial_id for found in self.copies.values() for copy in found}
        self.ranked = [trial for trial in evidence.ranked() if not self.is_copy(trial)]
        self.ranks = {trial.trial_id: rank for rank, trial in enumerate(self.ranked, start=1)}

    def is_copy(self, trial: TrialRecord) -> bool:
        """Whether an earlier trial has the same curve."""
        return trial.trial_id in self._copied

    @cached_property
    def has_curves(self) -> bool:
        """Whether trials report more than once."""
        trials = (*self.evidence.trials, *self.evidence.running)
        return any(trial.curve is not None and len(trial.curve) > 1 for trial in trials)


def _copies(trials: Iterable[TrialRecord]) -> dict[str, list[TrialRecord]]:
    """Give the later trials with a trial's very curve by the trial's id.

    A single report may be the same by chance, two and more in all columns are not.
    """
    first: dict[tuple[bytes, ...], TrialRecord] = {}
    found: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        curve = trial.curve
        if curve is None or len(curve) < 2:
            continue
        key = (curve.epochs.tobytes(), *(values.tobytes() for values in curve.columns.values()))
        original = first.setdefault(key, trial)
        if original is not trial:
            found.setdefault(original.trial_id, []).append(trial)
    return found


def best_lines(field: Field) -> list[str]:
    """The best trial, and how much of a difference between scores is luck.

    A stopped one, by its forecast, only where no training ended whole.
    """
    evidence = field.evidence
    if not field.ranked:
        return ["No trial has ended with a score yet."]
    whole = (one for one in field.ranked if not evidence.is_cut(one) and not evidence.broken(one))
    best = next(whole, field.ranked[0])
    settings = config_text(evidence.space, best.config)
    metric, trial = name_text(evidence.metric), name_text(best.trial_id)
    if evidence.best is None:
        return ["No trial has kept to the limits yet. The nearest to them: "
                f"{metric} {score_text(evidence, best)} in trial {trial}: {settings}"]  # fmt: skip
    lines = [f"{metric} {score_text(evidence, best)} in trial {trial}: {settings}"]
    if best is evidence.trials[0] and len(evidence.trials) > _UNBEATEN:
        lines.append(
            f"It was the first of {len(evidence.trials)}, and none has beaten it yet: the optimum "
            "lies near it, or where nobody has looked."
        )
    jumps = [found for t in field.ranked if (found := jitter(t, evidence.metric)) is not None]
    if len(jumps) >= _JUMPS_NEEDED:
        lines.append(
            f"A last epoch lies {number(median(jumps))} from the mean of its last three (median "
            "over trials): smaller differences are luck; another training differs by more."
        )
    return [*lines, *_noise(field)]


def _noise(field: Field) -> list[str]:
    """Say how much scores of one configuration, or of nearly the same one, differ."""
    whole = [trial for trial in field.ranked if not trial.stopped][:_COMPARED]
    units = units_of(axes_of(field.evidence.space), (trial.config for trial in whole))
    near = gaps_between(units, units).max(axis=0, initial=0.0) <= _NEAR
    pairs = [(i, j) for i, j in zip(*np.nonzero(near), strict=True) if i < j]
    if not pairs:
        return []
    gaps = [abs((whole[i].score or 0.0) - (whole[j].score or 0.0)) for i, j in pairs]
    return [
        f"Trainings whose settings differ by no more than {_NEAR:.0%} of each range differed by "
        f"{number(median(gaps))} (median of {len(gaps)}): smaller differences between scores are "
        "luck."
    ]


def choice_lines(field: Field) -> list[str]:
    """Best and median score of each value of each choice, and the values that nobody tried."""
    evidence = field.evidence
    if not field.ranked:
        return []
    pending = evidence.pending
    lines = []
    for name, dimension in evidence.space.dimensions.items():
        if isinstance(dimension, Choice) and len(dimension.values) <= 10:
            due = {dimension.index(config[name]) for config in pending if name in config}
            ranked = [trial for trial in field.ranked if name in trial.config]
            lines.append(f"{name_text(name)}: {_reached(ranked, name, dimension, due)}")
    return fit(lines, _CHOICES_CHARS)


def _reached(ranked: list[TrialRecord], name: str, choice: Choice, due: set[int]) -> str:
    scores: dict[int, list[float]] = {index: [] for index in range(len(choice.values))}
    for trial in ranked:
        scores[choice.index(trial.config[name])].append(trial.score or 0.0)
    parts = []
    for index, value in enumerate(choice.values):
        found, shown = scores[index], json_line(choice.show(value))
        if len(found) > 1:
            best, middle = number(found[0]), number(median(found))
            parts.append(f"{shown} best {best}, median {middle} ({len(found)}x)")
        elif found:
            parts.append(f"{shown} {number(found[0])} (1x)")
        else:
            parts.append(f"{shown} {'on its way' if index in due else 'untried'}")
    return "; ".join(parts)
