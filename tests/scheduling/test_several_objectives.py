"""Several objectives: a trial that may still be on the front goes on."""

from __future__ import annotations

import pytest
from driver import Driver, falling

from raymimic.records import Objective

LATENCY = (Objective("latency", "min"),)
LENGTH = 30


@pytest.fixture(params=["min", "max"])
def driver(request):
    made = Driver(request.param, max_t=LENGTH)
    mode = "max" if request.param == "max" else "min"
    made.decisions.begin("loss", mode, others=LATENCY)
    for number in range(8):
        run(made, f"good{number}", 0.2 + number / 100, latency=5.0)
    return made


def run(driver, name, end, **measured):
    """Train one trial, which says its latency with every epoch; the epochs it was given."""
    trial = driver.add(name)
    for loss in falling(end, LENGTH):
        if driver.report(trial, loss, **measured):
            break
    return trial.epoch


def test_one_that_is_no_better_in_any_other_is_stopped_and_who_leaves_no_place_is_named(driver):
    assert run(driver, "poor", 1.5, latency=5.0) < LENGTH
    (stop, *_) = [row for row in driver.events("stop") if row["trial_id"] == "poor"]
    assert "is no worse in latency" in stop["text"]


def test_one_that_is_better_in_another_objective_goes_on_to_its_end(driver):
    assert run(driver, "quick", 1.5, latency=1.0) == LENGTH
    assert run(driver, "as quick and better", 1.0, latency=1.0) == LENGTH
    assert run(driver, "as quick and worse", 1.9, latency=1.0) < LENGTH


def test_while_another_objective_was_not_reported_nothing_is_hopeless(driver):
    assert run(driver, "silent", 1.5) == LENGTH


def test_a_failed_trial_leaves_everybody_a_place(driver):
    driver.report(driver.add("failed"), 0.1, latency=0.5)
    driver.decisions.fail("failed")
    assert run(driver, "quick", 1.5, latency=1.0) == LENGTH


def test_what_diverged_is_stopped_whatever_else_it_reached(driver):
    trial = driver.add("broken")
    driver.report(trial, 1.0, latency=0.1)
    assert driver.report(trial, float("nan"), latency=0.1)


def test_what_was_known_before_a_restore_counts(driver):
    later = Driver("max" if driver.sign < 0 else "min", max_t=LENGTH)
    later.decisions.begin("loss", driver.decisions._run.mode, others=LATENCY)
    later.kept.history = driver.kept.history
    for number in range(8):
        later.decisions.remember(f"good{number}", driver.kept.curve(f"good{number}"), True)
    assert run(later, "poor", 1.5, latency=5.0) < LENGTH
    assert run(later, "quick", 1.5, latency=1.0) == LENGTH
