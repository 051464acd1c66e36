"""The acceptance test of a change on a running curve."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raymimic.curves import Curve
from raymimic.curves.effect import effect_kind, effect_of, outlook


def losses(values: list[float]) -> Curve:
    return Curve(np.arange(1, len(values) + 1), {"loss": np.array(values)})


@pytest.mark.parametrize(("mode", "sign"), [("min", 1.0), ("max", -1.0)])
def test_better_and_worse_lie_beyond_the_margin(mode, sign):
    assert effect_kind(sign * 0.4, sign * 0.5, 0.05, mode) == "better"
    assert effect_kind(sign * 0.6, sign * 0.5, 0.05, mode) == "worse"
    assert effect_kind(sign * 0.46, sign * 0.5, 0.05, mode) == "within noise"
    assert effect_kind(math.nan, sign * 0.5, 0.05, mode) == "worse"
    assert effect_kind(0.5, math.nan, math.nan, mode) == "better"


def test_a_curve_that_goes_on_as_before_is_within_noise_and_a_jump_is_not():
    random = np.random.default_rng(0)
    known = [1.0 + 2.0 / epoch + 0.01 * random.normal() for epoch in range(1, 21)]
    before = outlook(losses(known), "loss", (20, known[-1]))
    on = [(epoch, 1.0 + 2.0 / epoch) for epoch in range(21, 24)]
    assert effect_of(before, on, "min", was_finite=True).kind == "within noise"
    jump = [(epoch, value - 0.3) for epoch, value in on]
    assert effect_of(before, jump, "min", was_finite=True).kind == "better"


def test_epochs_after_the_present_one_and_gaps_are_left_out():
    curve = Curve(np.arange(1, 9), {"loss": np.array([4, 3, 2, 1, math.nan, 1, 9, 9.0])})
    now = outlook(curve, "loss", (6, 1.0))
    assert now.level == pytest.approx((2 + 1 + 1) / 3)
    assert outlook(None, "loss", (6, 1.0)).level == 1.0
