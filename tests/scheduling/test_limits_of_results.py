"""Trials beyond a limit: nobody's bar, never stopped for that alone, told in the reason."""

from __future__ import annotations

from driver import Driver, falling

from raymimic.feasibility import Limit

LENGTH = 30


def limited(**settings) -> Driver:
    driver = Driver(**settings)
    driver.decisions.begin("loss", "min", 2.0, limits=[Limit("memory_gb", "<=", 16.0)])
    return driver


def run(driver: Driver, name: str, losses: list[float], memory: list[float]) -> int:
    """Train with these reports of memory; returns the epochs it was given."""
    trial = driver.add(name)
    for loss, gb in zip(losses, memory, strict=True):
        if driver.report(trial, loss, memory_gb=gb):
            return trial.epoch
    driver.end(trial, losses[-1])
    return trial.epoch


def test_what_is_beyond_a_limit_is_no_bar_for_what_is_within():
    driver = limited()
    for number in range(6):
        run(driver, f"large{number}", falling(0.1, LENGTH), [20.0] * LENGTH)
    within = [run(driver, f"small{n}", falling(0.8, LENGTH), [8.0] * LENGTH) for n in range(3)]
    assert within == [LENGTH] * 3
    assert driver.decisions.text().endswith("3 finished")


def test_a_trial_beyond_counts_as_the_worst_until_it_is_back_and_the_reason_says_so():
    driver = limited()
    for number in range(6):
        run(driver, f"small{number}", falling(0.5, LENGTH), [8.0] * LENGTH)
    assert run(driver, "large", falling(0.1, LENGTH), [21.3] * LENGTH) < LENGTH
    assert "beyond its limits (memory_gb <= 16: 21.3, over)" in driver.text("large")
    assert run(driver, "warms up", falling(0.1, LENGTH), [21.3] * 2 + [8.0] * 28) == LENGTH


def test_with_all_beyond_none_is_stopped_for_it():
    driver = limited()
    given = [run(driver, f"large{n}", falling(0.5, LENGTH), [20.0] * LENGTH) for n in range(6)]
    assert given == [LENGTH] * 6
