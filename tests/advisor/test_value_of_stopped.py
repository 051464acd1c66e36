"""What a stopped trial is worth to an advisor: the forecast of its end, by those that went on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raymimic.advisor import SearchEvidence, TrialRecord
from raymimic.curves import Curve
from raymimic.space import FloatRange, SearchSpace


def curve(*losses: float, **more: object) -> Curve:
    epochs = np.arange(1, 1 + len(losses))
    return Curve(epochs, {"loss": np.array(losses)}, **more)  # type: ignore[arg-type]


FALLING = [curve(1.0 + k, 0.8 + k, 0.6 + k, 0.4 + k) for k in (0.0, 0.1, 0.2)]


def record(name: str, losses: Curve | None, score: float | None, **more: bool) -> TrialRecord:
    return TrialRecord(name, {"x": 0.5}, "done", "random", score=score, curve=losses, **more)


def evidence(*trials: TrialRecord) -> SearchEvidence:
    return SearchEvidence(SearchSpace({"x": FloatRange(0, 1)}), "loss", "min", trials)


FULL = [record(f"full{i}", falling, falling.last("loss")) for i, falling in enumerate(FALLING)]


def test_a_stopped_trial_is_worth_its_forecast() -> None:
    cut = record("cut", curve(0.95, 0.75), 0.75, stopped=True)
    seen = evidence(*FULL, cut)
    assert seen.value(cut) == pytest.approx(0.35)
    assert [trial.trial_id for trial in seen.ranked()] == ["cut", "full0", "full1", "full2"]


def test_one_that_ended_by_itself_or_at_the_full_length_is_worth_its_score() -> None:
    returned = record("returned", curve(0.95, 0.75), 0.75)
    budget = record("budget", curve(1.0, 0.9, 0.8, 0.7), 0.7, stopped=True)
    seen = evidence(*FULL, returned, budget)
    assert (seen.value(returned), seen.value(budget)) == (0.75, 0.7)


def test_a_stopped_trial_without_a_usable_curve_is_worth_its_score() -> None:
    blind = record("blind", curve(math.nan, math.nan), 0.5, stopped=True)
    given = record("given", None, 0.6, stopped=True)
    empty = record("empty", curve(math.nan), None, stopped=True)
    seen = evidence(*FULL, blind, given, empty)
    assert [seen.value(trial) for trial in (blind, given, empty)] == [0.5, 0.6, None]


def test_a_training_that_ended_in_nan_says_nothing_of_the_others() -> None:
    nan = curve(1.0, 0.8, math.nan, math.nan, nan_epochs={"loss": frozenset({3, 4})})
    cut = record("cut", curve(0.95, 0.75), 0.75, stopped=True)
    seen = evidence(*FULL[:2], record("diverged", nan, None), cut)
    assert seen.value(cut) == 0.75  # two that went on are too few
