"""Trials weighed by what they may still gain against what a fresh one gains for as many epochs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from driver import Driver, falling

from raymimic.curves import Forecast
from raymimic.scheduling.worth import COUNTED, TIMED, expected_gain

LENGTH = 30


def begun(price: float, ends: list[float], mode: str = "min") -> Driver:
    driver = Driver(mode, price=price, max_t=LENGTH)
    for index, end in enumerate(ends):
        epochs = driver.run(f"first{index}", falling(end, LENGTH))
        assert index >= 3 or epochs == LENGTH
    return driver


def given(price: float, ends: list[float], end: float) -> int:
    """The epochs that a trial with that end is given after trials with the others."""
    return begun(price, ends).run("next", falling(end, LENGTH))


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_first_trials_run_whole_a_bad_one_stops_and_a_better_one_does_not(mode) -> None:
    driver = begun(TIMED, [0.5, 1.5, 1.0], mode)
    assert driver.run("bad", [2.5] * LENGTH) < LENGTH / 2
    assert driver.run("better", falling(0.2, LENGTH)) == LENGTH
    assert driver.decisions.verdict("bad").kind == "hopeless"


def test_the_reason_compares_both_gains_in_words_and_in_the_ledger() -> None:
    driver = begun(TIMED, [0.5, 0.8, 1.0, 0.6, 0.9, 0.7])
    epoch = driver.run("bad", [2.5] * LENGTH)
    text = driver.text("bad")
    found = re.search(
        r"may still gain (\S+) in (\d+) epochs; a fresh trial gains (\S+) for as many", text
    )
    assert found
    assert int(found[2]) == LENGTH - epoch
    assert float(found[1]) < TIMED * float(found[3])
    stop = driver.events("stop")[-1]
    assert stop["gain"] == pytest.approx(float(found[1]), rel=1e-3, abs=1e-12)
    assert stop["fresh"] == pytest.approx(float(found[3]), rel=1e-3)


def test_a_leader_that_is_not_worth_its_epochs_says_that_it_goes_on_for_leading() -> None:
    driver = begun(TIMED, [0.5, 1.5, 1.0])
    assert driver.run("leader", [0.55] * (LENGTH - 1)) == LENGTH - 1
    verdict = driver.decisions.verdict("leader")
    assert verdict.reading.worth.lost
    assert verdict.text.startswith("continue: may still gain")
    assert "place 1 of 4, and the leader goes on" in verdict.text


def test_an_epoch_that_buys_nothing_is_spent_on_more_trials() -> None:
    ends = [0.5, 0.8, 1.0, 0.6, 0.9, 0.7]
    assert given(TIMED, ends, 0.65) < given(COUNTED, ends, 0.65)


def test_a_searcher_whose_trials_no_longer_differ_is_left_to_finish_what_runs() -> None:
    apart = [0.5, 1.7, 1.3, 0.9, 1.5, 1.1]
    alike = [0.5, 0.506, 0.504, 0.502, 0.505, 0.503]
    fresh = {}
    for name, ends in (("apart", apart), ("alike", alike)):
        run = begun(TIMED, ends)
        trial = run.add("next")
        for loss in falling(0.5, LENGTH)[:3]:
            run.report(trial, loss)
        fresh[name] = run.decisions.verdict("next").reading.worth.fresh
    assert fresh["alike"] < 0.05 * fresh["apart"]


def test_many_at_once_without_a_finished_one_are_judged_by_rank() -> None:
    driver = Driver(price=TIMED, max_t=LENGTH)
    trials = [driver.add(f"t{index}") for index in range(20)]
    alive = set(range(20))
    for epoch in range(1, LENGTH):
        for index in sorted(alive):
            if driver.report(trials[index], falling(0.1 * (index + 1), LENGTH)[epoch - 1]):
                alive.remove(index)
    assert {0, 1, 2} <= alive
    assert len(alive) < 10


@pytest.mark.parametrize("bar", [-1.0, 0.0, 2.0])
def test_the_expected_gain_is_that_of_the_forecasts_distribution(bar: float) -> None:
    forecast = Forecast(0.5, 0.3, 1.2, 5, 9)
    levels = (np.arange(20000) + 0.5) / 20000
    drawn = np.array([forecast.quantile(q) for q in levels])
    assert expected_gain(forecast, bar) == pytest.approx(
        np.maximum(bar - drawn, 0).mean(), rel=0.02
    )
