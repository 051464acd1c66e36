"""Trials weighed by their chance to become the best, for what that costs, against a fresh one's."""

from __future__ import annotations

import re

import pytest
from driver import Driver, falling

from raymimic.scheduling.worth import COUNTED, TIMED, Prospects

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


def test_the_reason_compares_both_chances_in_words_and_in_the_ledger() -> None:
    driver = begun(TIMED, [0.5, 0.8, 1.0, 0.6, 0.9, 0.7])
    epoch = driver.run("bad", [2.5] * LENGTH)
    text = driver.text("bad")
    found = re.search(
        r"chance (\S+)% to become the best for (\d+) epochs; a fresh trial has (\S+)% for 30", text
    )
    assert found
    assert int(found[2]) == LENGTH - epoch
    stop = driver.events("stop")[-1]
    assert stop["left"] == LENGTH - epoch
    assert stop["chance"] < stop["fresh"] == pytest.approx(float(found[3]) / 100, rel=0.1)


def test_time_that_buys_nothing_is_spent_on_more_trials() -> None:
    ends = [0.5, 0.8, 1.0, 0.6, 0.9, 0.7]
    assert given(TIMED, ends, 0.65) < given(COUNTED, ends, 0.65)


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


def after(*stubs: tuple[int, float, float]) -> Prospects:
    """A whole training of 30 epochs of 1 s, then others: epochs, pace and seconds."""
    found = Prospects()
    found.add(LENGTH, 1.0, LENGTH + 2.0)
    for epochs, pace, seconds in stubs:
        found.add(epochs, pace, seconds)
    return found


def lost(found: Prospects, chance: float, left: int, pace: float, **more: float) -> bool:
    return found.worth(chance, left, pace, length=LENGTH, price=TIMED, **more).lost


def test_as_likely_as_a_fresh_trial_it_goes_on_and_less_likely_near_its_end_too() -> None:
    found = after(*[(5, 1.0, 7.0)] * 8)
    fresh = found.worth(0.5, 20, 1.0, length=LENGTH, price=TIMED).fresh
    assert not lost(found, fresh, 20, 1.0)
    assert lost(found, fresh / 2, 20, 1.0)
    assert not lost(found, fresh / 2, 3, 1.0)


def test_a_slow_trial_must_be_likelier_than_a_quick_one() -> None:
    found = after(*[(5, 1.0, 7.0)] * 8)
    assert not lost(found, 0.09, 6, 1.0)
    assert lost(found, 0.09, 6, 4.0)


def test_where_starting_a_trial_takes_long_fewer_are_stopped_for_a_fresh_one() -> None:
    quick, slow = Prospects(), Prospects()
    for found, startup in ((quick, 0.1), (slow, 60.0)):
        for _ in range(9):
            found.add(5, 1.0, 5.0 + startup)
    assert lost(quick, 0.05, 10, 1.0)
    assert not lost(slow, 0.05, 10, 1.0)


def test_nothing_is_stopped_for_a_fresh_trial_that_cannot_finish_any_more() -> None:
    found = after(*[(5, 1.0, 7.0)] * 8)
    assert lost(found, 0.01, 20, 1.0, seconds_left=100.0)
    assert not lost(found, 0.01, 20, 1.0, seconds_left=25.0)


def test_where_nothing_can_be_told_yet_a_verdict_says_the_share_of_one_among_all() -> None:
    def late(index: int) -> list[float]:
        """At first all are alike, in another order than at the end."""
        alike = [2.0 + 0.01 * ((3 * index) % 11)] * (LENGTH // 2)
        return [*alike, *falling(0.5 + 0.1 * index, LENGTH)[LENGTH // 2 :]]

    driver = Driver(price=TIMED, max_t=LENGTH)
    finished = sum(driver.run(f"first{index}", late(index)) == LENGTH for index in range(10))
    trial = driver.add("next")
    for value in late(5)[:3]:
        driver.report(trial, value)
    reading = driver.decisions.verdict("next").reading
    assert reading.worth.chance == pytest.approx(1 / (finished + 1), abs=0.04)
    assert reading.beats > 1.5 / (finished + 1)  # by its forecast alone
    assert driver.text("next").count("chance") == 1
