"""Forecasts with their uncertainty: honest widths, and blind to the metric's scale."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic.curves import Extrapolator, Forecast

EPOCHS = np.arange(1, 51)


def family(count: int, seed: int) -> np.ndarray:
    """Power laws with different ends, sizes and paces, under noise."""
    random = np.random.default_rng(seed)
    end, size, pace = random.random((3, count, 1)) * [[[0.6]], [[1.0]], [[0.8]]]
    clean = 0.2 + end + size * EPOCHS ** (-0.1 - pace)
    return np.asarray(clean + 0.01 * random.normal(size=clean.shape))


def field(curves: np.ndarray) -> Extrapolator:
    found = Extrapolator()
    for key, curve in enumerate(curves):
        assert found.add(key, EPOCHS, curve)
    return found


def forecast(curves: np.ndarray, part: np.ndarray) -> Forecast:
    made = field(curves).forecast(EPOCHS[: part.size], part)
    assert made is not None
    return made


@pytest.mark.parametrize("finished", [2, 5, 30])
@pytest.mark.parametrize("seen", [5, 12, 25])
def test_the_interval_holds_about_what_it_says(finished, seen):
    inside = []
    for seed in range(150):
        *known, curve = family(finished + 1, seed)
        low, high = forecast(np.array(known), curve[:seen]).interval(0.8)
        inside.append(low <= curve[-1] <= high)
    assert 0.7 <= np.mean(inside) <= 0.99


def test_a_small_chance_to_beat_the_best_is_small():
    said, came = [], []
    for seed in range(200):
        curves = family(20, seed)
        made = forecast(curves[:-1], curves[-1, :10])
        said.append(made.probability_below(curves[:-1, -1].min()))
        came.append(curves[-1, -1] < curves[:-1, -1].min())
    unlikely = np.array(said) < 0.02
    assert unlikely.sum() > 50  # it does dare to say so
    assert np.mean(np.array(came)[unlikely]) <= 0.03


def test_more_epochs_and_more_finished_trainings_make_it_surer():
    widths = {}
    for known, seen in [(1, 5), (8, 5), (39, 5), (39, 40)]:
        ends = [
            forecast(family(40, seed)[:known], family(40, seed)[-1, :seen]).interval()
            for seed in range(40)
        ]
        widths[known, seen] = np.median([high - low for low, high in ends])
    assert widths[1, 5] > widths[8, 5] > widths[39, 5] > widths[39, 40]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-6, 0.3, 7.0, 1e8]),
    shift=st.sampled_from([0.0, -3.0, 50.0]),
    sign=st.sampled_from([1, -1]),
    known=st.integers(1, 12),
    seen=st.integers(1, 49),
)
def test_scaling_shifting_and_negating_do_the_same_to_a_forecast(
    seed, scale, shift, sign, known, seen
):
    curves = np.round(family(known + 1, seed), 3)
    bar = float(np.median(curves[:, -1]))
    changed = sign * scale * (curves + shift)
    made = forecast(curves[:-1], curves[-1, :seen])
    other = forecast(changed[:-1], changed[-1, :seen])
    tolerance = 1e-6 * scale * (1 + abs(shift))
    assert other.median == pytest.approx(sign * scale * (made.median + shift), abs=tolerance)
    chance = made.probability_below(bar)
    below = other.probability_below(sign * scale * (bar + shift))
    assert (below if sign > 0 else 1 - below) == pytest.approx(chance, abs=1e-4)


@settings(deadline=None, max_examples=50)
@given(
    low=st.floats(0, 10), high=st.floats(0, 10), median=st.floats(-10, 10),
    bars=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5),
)  # fmt: skip
def test_chances_rise_with_the_bar_and_quantiles_invert_them(low, high, median, bars):
    made = Forecast(median, low, high, 3, 5)
    chances = [made.probability_below(bar) for bar in sorted(bars)]
    assert all(later >= chance - 1e-12 for chance, later in itertools.pairwise(chances))
    assert all(0 <= chance <= 1 for chance in chances)
    levels = [0.01, 0.1, 0.5, 0.8, 0.99]
    quantiles = [made.quantile(level) for level in levels]
    assert quantiles == sorted(quantiles)
    if min(low, high) > 1e-3:
        for level, value in zip(levels, quantiles, strict=True):
            assert made.probability_below(value) == pytest.approx(level, abs=1e-6)


def test_few_finished_trainings_leave_it_wide():
    curves = family(10, 3)
    alone = forecast(curves[:1], curves[-1, :5])
    low, high = alone.interval()
    assert high - low > abs(curves[0, -1] - curves[0, 4])
    assert Extrapolator().forecast(EPOCHS[:5], curves[0, :5]) is None


def test_a_curve_unlike_all_others_is_not_written_off_at_once():
    stuck = 0.693 + 0.001 * np.random.default_rng(0).normal(size=(12, 50))
    high = forecast(stuck, np.array([0.75])).probability_below(0.69)
    falling = 0.72 - 0.02 * np.arange(6)  # at 0.62 now: nobody ever moved like that
    assert high > 0.02
    assert forecast(stuck, falling).probability_below(0.5) > 0.0005
    like_all = forecast(stuck, stuck[0, :6] + 0.0005)
    assert like_all.probability_below(0.5) < 1e-4


def test_gaps_and_non_finite_values_are_left_out():
    curves = family(8, 4)
    holed = curves.copy()
    holed[:, 1::2] = np.nan
    holed[2, 10], holed[3, 20] = math.inf, 1e300
    assert forecast(holed[:-1], holed[-1, :21]).median == pytest.approx(
        forecast(curves[:-1], curves[-1, :21]).median, abs=0.1
    )
    assert not Extrapolator().add("nothing", EPOCHS, np.full(50, np.nan))
    assert field(curves).forecast(EPOCHS[:2], np.array([np.nan, np.inf])) is None


def test_a_curve_at_the_full_length_is_its_own_forecast():
    curves = family(5, 5)
    made = forecast(curves[:4], curves[4])
    assert made.median == curves[4, -1]
    assert made.quantile(0.9) - made.quantile(0.1) < 0.1
    with pytest.raises(ValueError, match="between 0 and 1"):
        made.quantile(1.0)


def test_a_forecast_takes_under_a_millisecond_with_200_curves_of_100_epochs():
    epochs = np.arange(1, 101)
    curves = np.concatenate([family(201, 6), family(201, 7)], axis=1)
    found = Extrapolator()
    for key in range(200):
        found.add(key, epochs, curves[key])
    found.forecast(epochs[:30], curves[200, :30])
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        found.forecast(epochs[:30], curves[200, :30])
        times.append(time.perf_counter() - begun)
    assert min(times) < 1e-3


# -- of many at once -------------------------------------------------------------------------------


def ends(known: np.ndarray, *parts: np.ndarray) -> list[float]:
    return field(known).ends([(EPOCHS[: part.size], part) for part in parts])


def test_many_ends_at_once_are_the_medians_of_their_forecasts():
    curves = family(30, 8)
    parts = [curves[20 + index, : 3 + 2 * index] for index in range(10)]
    made = [forecast(curves[:20], part).median for part in parts]
    assert ends(curves[:20], *parts) == pytest.approx(made)


def test_where_fewer_than_three_went_further_a_curve_ends_as_it_stands():
    curves = family(5, 9)
    assert ends(curves[:2], curves[4, :10]) == [curves[4, 9]]
    assert ends(curves[:3], curves[4, :10]) != [curves[4, 9]]
    assert ends(curves[:3], curves[4]) == [curves[4, -1]]
    assert Extrapolator().ends([(EPOCHS[:3], curves[4, :3])]) == [curves[4, 2]]
    assert Extrapolator().ends([]) == []


def test_one_odd_training_does_not_decide_and_none_is_needed_without_a_value():
    curves = family(9, 10)
    curves[7, -1] = 9e9
    assert ends(curves[:8], curves[8, :20])[0] < 10
    with pytest.raises(ValueError, match="finite"):
        ends(curves[:8], np.array([np.nan]))


def test_the_chance_to_be_the_best_of_all_comes_true_as_often_as_it_says():
    alone, said, came = [], [], []
    for seed in range(300):
        *known, curve = family(9, seed)
        lowest = min(ends[-1] for ends in known)
        finished = field(np.array(known))
        made = finished.forecast(EPOCHS[:3], curve[:3])
        alone.append(made.probability_below(lowest))
        said.append(finished.chance_lowest(made, lowest))
        came.append(curve[-1] < lowest)
    assert np.mean(said) == pytest.approx(1 / 9, abs=0.03)  # of nine curves each is as likely
    assert np.mean(alone) > 1.5 / 9  # what it is there for
    assert np.mean(np.array(came)[np.array(said) > np.median(said)]) > np.mean(came)


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 49))
def test_the_chance_to_be_the_best_of_all_is_no_more_than_to_beat_the_best(seed, count, seen):
    *known, curve = family(count + 1, seed)
    finished, lowest = field(np.array(known)), min(ends[-1] for ends in known)
    made = finished.forecast(EPOCHS[:seen], curve[:seen])
    assert 0 <= finished.chance_lowest(made, lowest) <= made.probability_below(lowest)
