"""What a stopped training would have ended at, judged by those that went on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raymimic.advisor import SearchEvidence, TrialRecord
from raymimic.curves import Curve, Finished
from raymimic.space import FloatRange, SearchSpace


def curve(*losses: float, first: int = 1, **more: object) -> Curve:
    epochs = np.arange(first, first + len(losses))
    return Curve(epochs, {"loss": np.array(losses)}, **more)  # type: ignore[arg-type]


def finished(*curves: Curve) -> Finished:
    return Finished(curves, "loss")


FALLING = [curve(1.0 + k, 0.8 + k, 0.6 + k, 0.4 + k) for k in (0.0, 0.1, 0.2)]


def test_a_stopped_training_is_moved_as_its_like_moved() -> None:
    assert finished(*FALLING).forecast(curve(1.05, 0.85)) == pytest.approx(0.45)


def test_where_the_others_overfit_later_it_would_have_too() -> None:
    overfit = [curve(0.9 + k, 0.5 + k, 0.7 + k, 0.95 + k) for k in (0.0, 0.01, 0.02)]
    assert finished(*overfit).forecast(curve(0.9, 0.5)) == pytest.approx(0.95)


def test_accuracies_rise() -> None:
    rising = [curve(0.3 + k, 0.6 + k, 0.9 + k) for k in (0.0, 0.01, 0.02, 0.03)]
    assert finished(*rising).forecast(curve(0.35)) == pytest.approx(0.95)


def test_those_nearest_at_that_epoch_decide() -> None:
    slow = [curve(2.0 + k / 100, 1.9 + k / 100) for k in range(5)]
    fast = [curve(0.5 + k / 100, 0.1 + k / 100) for k in range(9)]
    assert finished(*fast, *slow).forecast(curve(2.02)) == pytest.approx(1.92)
    assert finished(*slow, *fast).forecast(curve(0.52)) == pytest.approx(0.12)


def test_one_odd_training_does_not_decide() -> None:
    assert finished(*FALLING, curve(1.0, 0.8, 9e9)).forecast(curve(1.0, 0.8)) < 1


def test_too_few_finished_trainings_change_nothing() -> None:
    assert finished(*FALLING[:2]).forecast(curve(1.0, 0.8)) == 0.8
    assert finished().forecast(curve(1.0, 0.8)) == 0.8


def test_only_trainings_that_went_further_count_to_their_own_end() -> None:
    short = [curve(1.0, 0.8), curve(1.1, 0.9), curve(1.0, 0.85)]
    assert finished(*short, *FALLING[:2]).forecast(curve(1.0, 0.8)) == 0.8
    assert finished(*FALLING).forecast(curve(1.0, 0.8, 0.6, 0.4)) == 0.4
    longer = [curve(1.0 + k, 0.8 + k, 0.6 + k, 0.4 + k, 0.2 + k) for k in (0.0, 0.1)]
    moved = finished(*FALLING[:1], *longer).forecast(curve(1.0, 0.8))
    assert moved == pytest.approx(0.2)  # the median of -0.4, -0.6, -0.6


def test_gaps_and_non_finite_values_are_passed_over() -> None:
    nan, gaps = math.nan, curve(1.0, math.nan, 0.6, math.nan)
    diverged = curve(1.0, 0.8, nan, nan, nan_epochs={"loss": frozenset({3, 4})})
    assert finished(*FALLING[:2], diverged).forecast(curve(1.0, 0.8)) == 0.8
    assert finished(*FALLING[:2], gaps).forecast(curve(1.0, nan)) == pytest.approx(0.6)
    late = curve(0.6, 0.4, first=3)  # reported nothing at the epoch that counts
    assert finished(*FALLING[:2], late).forecast(curve(1.0, 0.8)) == 0.8
    other = Curve(np.arange(1, 4), {"acc": np.ones(3)})
    assert finished(*FALLING[:2], other).forecast(curve(1.0, 0.8)) == 0.8
    with pytest.raises(ValueError, match="finite 'loss'"):
        finished(*FALLING).forecast(curve(nan, math.inf))


# -- in the evidence -----------------------------------------------------------------------------


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
