"""A cheap model of the scores: what it learns, and that no evidence makes it fail."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic.advisor import SearchEvidence
from raymimic.advisor.propose.gp import Surrogate
from raymimic.records import Config
from raymimic.space import Choice, FloatRange, SearchSpace
from raymimic.testing.searches import (
    OPTIMUM,
    SPACE,
    WORST,
    around,
    at,
    bowl,
    drawn,
    ended,
    evidence,
    known,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

FRESH = drawn(60, seed=99)


def rank_correlation(seen: SearchEvidence, truth) -> float:
    """Spearman's rho of predicted and true scores of configurations that were not tried."""
    mean, _ = Surrogate(seen).predict(FRESH)
    true = [truth(config) for config in FRESH]
    return float(np.corrcoef(np.argsort(np.argsort(mean)), np.argsort(np.argsort(true)))[0, 1])


def test_it_orders_what_was_not_tried() -> None:
    assert rank_correlation(known(25), bowl) > 0.9
    assert rank_correlation(known(25, mode="max"), lambda c: -bowl(c)) > 0.9


def test_outliers_failures_and_scale_change_little() -> None:
    def harsh(config: Config) -> float | None:
        loss = bowl(config)
        return None if loss > 0.6 else 1e9 if loss > 0.5 else 1e-6 * loss

    assert rank_correlation(known(30, harsh), bowl) > 0.85


def test_noise_is_not_learnt_by_heart() -> None:
    rng = random.Random(1)
    noisy = known(40, lambda config: bowl(config) + rng.gauss(0, 0.15))
    assert rank_correlation(noisy, bowl) > 0.8
    _, sd = Surrogate(noisy).predict([trial.config for trial in noisy.trials])
    assert sd.min() > 0.1  # scores have a deviation of 1


def test_what_does_not_matter_is_seen_not_to_matter() -> None:
    surrogate = Surrogate(known(10, lambda config: SPACE.encode(config)[0]))
    steps = np.linspace(0, 1, 9)
    along = {
        "lr": surrogate.predict([at(u, 0.5, 0.5) for u in steps])[0],
        "dropout": surrogate.predict([at(0.5, 0.5, u) for u in steps])[0],
    }
    assert np.ptp(along["dropout"]) < 0.03 * np.ptp(along["lr"])


def test_an_unordered_category_has_no_neighbours() -> None:
    space = SearchSpace({"kind": Choice(tuple("abcd")), "x": FloatRange(0, 1)})
    cost = {"a": 0.0, "d": 1.0}
    tried = [{**config, "kind": "ad"[i % 2]} for i, config in enumerate(drawn(16, space=space))]
    trials = [ended(i, c, cost[c["kind"]] + 0.1 * c["x"]) for i, c in enumerate(tried)]
    asked = [{"kind": kind, "x": 0.5} for kind in "abcd"]
    a, b, c, d = Surrogate(evidence(trials, space)).predict(asked)[0]
    assert a < b < d
    assert b == pytest.approx(c)  # neither was tried; "b" is no more like "a" than "c" is


def test_what_is_tried_promises_less_there_and_as_much_elsewhere() -> None:
    near, far = at(0.69, 0.31, 0.5), at(0.1, 0.9, 0.1)
    surrogate = Surrogate(known(25))
    before, _ = surrogate.improvement([near]), surrogate.improvement([far])
    mean, sd = surrogate.predict([near, far])
    surrogate.expect(at(*OPTIMUM))
    after = surrogate.improvement([near])
    mean_after, sd_after = surrogate.predict([near, far])
    assert after[0] < before[0] / 2
    assert sd_after[0] < 0.7 * sd[0]
    assert sd_after[1] > 0.9 * sd[1]
    assert np.abs(mean_after - mean).max() < 0.01  # a fantasy teaches nothing

    waiting = Surrogate(known(25, queued=[at(*OPTIMUM)]))
    assert waiting.improvement([near]) == pytest.approx(after)


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(
        st.none() | st.sampled_from([0.0, 1.0, 1e300]) | st.floats(-1e90, 1e90), max_size=9
    ),
    alike=st.booleans(),
    waiting=st.integers(0, 3),
)
def test_no_evidence_makes_it_fail(scores: list, alike: bool, waiting: int) -> None:
    configs = [drawn(1)[0]] * len(scores) if alike else drawn(len(scores))
    trials = [ended(i, c, score) for i, (c, score) in enumerate(zip(configs, scores, strict=True))]
    surrogate = Surrogate(evidence(trials, queued=drawn(waiting, seed=1)))
    if not surrogate.informed:
        assert len({score for score in scores if score is not None}) < 2
        return
    mean, sd = surrogate.predict(FRESH)
    assert np.isfinite(mean).all()
    assert (sd > 0).all()
    assert (surrogate.improvement(FRESH) >= 0).all()
    surrogate.expect(configs[0])
    assert np.isfinite(surrogate.predict(FRESH)[0]).all()


def test_a_long_history_keeps_the_best_and_the_latest() -> None:
    rng = random.Random(0)
    configs = [around(OPTIMUM, rng, 0.2) for _ in range(150)]
    configs += [around(WORST, rng, 0.2) for _ in range(150)]
    trials = [ended(i, config, bowl(config)) for i, config in enumerate(configs)]
    mean, sd = Surrogate(evidence(trials)).predict([at(*OPTIMUM), at(*WORST)])
    assert mean[0] < mean[1] - 1
    assert sd.max() < 0.2
