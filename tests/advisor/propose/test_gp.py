"""The Gaussian process: what it learns, and that its gradient and its improvement are right."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from raymimic.advisor.propose.gp import GaussianProcess, _objective, log_improvement

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

RNG = np.random.default_rng(0)
POINTS, FRESH = RNG.random((25, 3)), RNG.random((60, 3))
ORDERED = np.zeros(3, dtype=bool)


def bowl(points: np.ndarray) -> np.ndarray:
    return ((points - [0.7, 0.3, 0.5]) ** 2).sum(axis=1)


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


def test_it_orders_what_was_not_tried() -> None:
    mean, _ = GaussianProcess(POINTS, bowl(POINTS), ORDERED).predict(FRESH)
    assert np.corrcoef(ranks(mean), ranks(bowl(FRESH)))[0, 1] > 0.95
    assert np.median(np.abs(mean - bowl(FRESH))) < 0.05  # in the values' own unit


def test_noise_is_not_learnt_by_heart() -> None:
    rng = random.Random(1)
    noisy = bowl(POINTS) + [rng.gauss(0, 0.15) for _ in POINTS]
    model = GaussianProcess(POINTS, noisy, ORDERED)
    assert model.predict(POINTS)[1].min() > 0.02
    assert np.corrcoef(ranks(model.predict(FRESH)[0]), ranks(bowl(FRESH)))[0, 1] > 0.7


def test_what_does_not_matter_is_seen_not_to_matter() -> None:
    model = GaussianProcess(POINTS, POINTS[:, 0], ORDERED)
    line = np.linspace(0, 1, 9)
    middle = np.full(9, 0.5)
    along = [np.column_stack(c) for c in [(line, middle, middle), (middle, middle, line)]]
    spans = [np.ptp(model.predict(points)[0]) for points in along]
    assert spans[1] < 0.05 * spans[0]


def test_an_unordered_category_has_no_neighbours() -> None:
    points = np.column_stack([RNG.random(16), np.tile([0.0, 1.0], 8)])
    model = GaussianProcess(points, points[:, 1] + 0.1 * points[:, 0], np.array([False, True]))
    asked = np.array([[0.5, level] for level in (0.0, 1 / 3, 2 / 3, 1.0)])
    a, b, c, d = model.predict(asked)[0]
    assert a < b < d
    assert b == pytest.approx(c)  # neither was tried; the second is no more like the first


def test_what_is_expected_moves_no_mean_and_makes_sure() -> None:
    model = GaussianProcess(POINTS, bowl(POINTS), ORDERED)
    place = np.array([[0.1, 0.9, 0.9]])
    mean, sd = model.predict(FRESH)
    _, before = model.predict(place)
    model.expect(place)
    assert model.predict(FRESH)[0] == pytest.approx(mean)
    assert (model.predict(FRESH)[1] <= sd + 1e-9).all()
    assert model.predict(place)[1][0] < 0.7 * before[0]


def test_the_gradient_is_that_of_the_objective() -> None:
    squared = np.array([(POINTS[:, None, i] - POINTS[None, :, i]) ** 2 for i in range(3)])
    prior = np.array([0.2, -0.4, 0.0, -1.0]), np.array([0.5, 0.5, 1.0, 2.0])
    arguments = squared.reshape(3, -1), bowl(POINTS) - bowl(POINTS).mean(), *prior
    logs = np.array([-0.5, 0.3, 0.1, -2.0])
    _, gradient = _objective(logs, *arguments)
    for i in range(4):
        step = 1e-5 * (np.arange(4) == i)
        up, down = (_objective(logs + way * step, *arguments)[0] for way in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(gradient[i], rel=1e-3, abs=1e-6)


def test_the_improvement_has_no_hole_far_below_the_best() -> None:
    z = np.linspace(-40.0, 5.0, 500)
    logs = log_improvement(z)
    assert np.isfinite(logs).all()
    assert (np.diff(logs) > 0).all()
    near = -3.0
    exact = math.exp(-0.5 * near**2) / math.sqrt(2 * math.pi) + near * 0.5 * math.erfc(
        -near / math.sqrt(2)
    )
    assert log_improvement(np.array([near]))[0] == pytest.approx(math.log(exact))
