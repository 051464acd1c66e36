"""Coordinates of many configurations at once, and the distances of all of them."""

import random

import numpy as np
import pytest

from raymimic import Choice, Condition, FloatRange, IntRange, Normal, SearchSpace
from raymimic.advisor.belief.axes import axes_of, gaps_between, largest_gaps, units_of

SPACE = SearchSpace(
    {
        "optimizer": Choice(("adam", "sgd")),
        "lr": FloatRange(1e-5, 1.0, log=True),
        "beta1": FloatRange(0.0, 0.9999),
        "width": IntRange(8, 512),
        "batch_size": Choice((64, 16, 32)),
        "layers": Choice(((64,), (64, 64))),
        "shift": Normal(0.0, 2.0),
        "one": FloatRange(1.0, 1.0),
    },
    {"beta1": Condition("optimizer", ("adam",))},
)
AXES = axes_of(SPACE)


def drawn(count, seed):
    rng = random.Random(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def test_many_configurations_have_the_coordinates_of_each():
    configs = drawn(30, 0)
    units = units_of(AXES, configs)
    for row, config in zip(units, configs, strict=True):
        for unit, axis in zip(row, AXES, strict=True):
            if axis.name in config:
                assert unit == pytest.approx(axis.unit(config[axis.name]), abs=1e-12)
                assert axis.same(axis.at(float(unit)), config[axis.name])
            else:
                assert np.isnan(unit)
    assert units_of(AXES, []).shape == (0, len(AXES))


def test_the_largest_gaps_are_those_of_all_axes():
    a, b = units_of(AXES, drawn(20, 1)), units_of(AXES, drawn(10, 2))
    assert np.isnan(a).any()
    assert largest_gaps(a, b) == pytest.approx(gaps_between(a, b).max(axis=0), abs=1e-12)
