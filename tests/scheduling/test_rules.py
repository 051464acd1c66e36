"""The rules alone: who is stopped, who is not, and the reason in numbers."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from driver import Driver, falling

from raymimic.curves import Curve
from raymimic.scheduling import rules
from raymimic.scheduling.rank_rule import EAGER
from raymimic.scheduling.verdict import Verdict

LENGTH = 30


@pytest.fixture(params=["min", "max"])
def driver(request: pytest.FixtureRequest) -> Driver:
    return Driver(request.param)


def warm(driver: Driver, ends: list[float]) -> None:
    for index, end in enumerate(ends):
        driver.run(f"warm{index}", falling(end, LENGTH))


def test_hopeless_trials_stop_early_and_good_ones_run_to_the_end(driver):
    warm(driver, [0.7, 0.6, 0.5])
    assert driver.run("bad", [1.9 + 0.001 * epoch for epoch in range(LENGTH)]) < LENGTH / 2
    assert driver.run("best", falling(0.2, LENGTH)) == LENGTH
    assert driver.decisions.verdict("bad").kind == "hopeless"
    assert driver.decisions.text() == "1 trial stopped (hopeless 1), 4 finished"


def test_the_two_best_so_far_run_to_the_end(driver):
    given = [driver.run(f"{end}", falling(end, LENGTH)) for end in (0.1, 1.0, 1.9, 0.5)]
    assert given[:2] == [LENGTH] * 2
    assert given[2] < LENGTH
    assert given[3] == LENGTH


def test_chance_and_late_bloomers_are_not_taken_for_failures():
    driver, random = Driver(), np.random.default_rng(0)
    for index in range(20):  # all stand close for long
        driver.run(f"flat{index}", [0.7 + 0.01 * random.normal() for _ in range(LENGTH)])
    noisy = [0.72 + 0.02 * random.normal() for _ in range(15)]
    assert driver.run("noisy", [*noisy, *np.linspace(0.7, 0.4, LENGTH - 15)]) == LENGTH
    assert driver.run("steep", [3.0 * 0.85**epoch for epoch in range(LENGTH)]) == LENGTH
    assert driver.run("flat and behind", [0.9] * LENGTH) < LENGTH / 2


def test_the_reason_has_numbers_and_stands_in_the_ledger(driver):
    warm(driver, [0.7, 0.6, 0.55, 0.5, 0.45])
    stopped_at = driver.run("bad", [2.5] * LENGTH)
    text = driver.text("bad")
    assert text.startswith("hopeless: loss")
    for word in ("place", "forecast", "%"):
        assert word in text
    (stop,) = [row for row in driver.events("stop") if row["trial_id"] == "bad"]
    assert (stop["kind"], stop["epoch"], stop["text"]) == ("hopeless", stopped_at, text)
    assert stop["place"] == stop["rivals"] == 6


@pytest.mark.parametrize("patience", [2.0, EAGER])
def test_nobody_is_stopped_on_its_very_first_value(driver, patience):
    driver.decisions._run.ranks.patience = patience
    warm(driver, [0.1, 0.2])
    late = driver.add("late")  # its metric comes every third epoch
    stopped = [driver.report(late, 3.0 if epoch % 3 == 0 else None) for epoch in range(1, 7)]
    assert stopped == [False] * 5 + [True]
    assert not driver.report(driver.add("first"), 9.0)


def test_a_metric_that_becomes_nan_ends_the_trial_at_once(driver):
    assert driver.run("broken", [1.0, 0.9, math.nan, 0.8]) == 3
    assert driver.text("broken").startswith("diverged: loss is nan at epoch 3 (was")
    # A reward before the first episode's end is no divergence.
    assert driver.run("late", [math.nan, math.nan, 1.0, *falling(0.5, LENGTH)]) == LENGTH + 3


def train_beside(driver: Driver, name: str, ends: float, onset: int, slope: float) -> int:
    """Validation rises from ``onset`` on while training goes on improving."""
    trial = driver.add(name)
    for epoch in range(1, LENGTH + 1):
        rising = ends + slope * max(0, epoch - onset) + (0.5 / epoch if epoch <= onset else 0.0)
        if driver.report(trial, rising, train_loss=1.0 / epoch):
            return epoch
    driver.end(trial, rising)
    return LENGTH


def test_persistent_overfitting_ends_a_trial_that_does_not_lead():
    driver = Driver(patience=LENGTH)
    warm(driver, [0.45, 0.4, 0.35, 0.3])
    stopped = train_beside(driver, "over", 0.9, 8, 0.3)
    assert 8 + 5 <= stopped < LENGTH  # it must have lasted for five epochs
    assert driver.text("over").startswith("overfitting since epoch")


def test_overfitting_ends_nobody_who_leads():
    driver = Driver(patience=LENGTH)
    for index in range(4):
        driver.run(f"poor{index}", falling(2.0 + index, LENGTH))
    assert train_beside(driver, "leads", 0.5, 6, 0.02) == LENGTH


def test_a_leader_among_many_is_not_ended_for_an_explosion_of_another_loss():
    driver = Driver(patience=LENGTH)
    for index in range(8):
        driver.run(f"t{index}", falling(0.5 + 0.1 * index, LENGTH))
    lead, behind = driver.add("lead"), driver.add("behind")
    for epoch in range(1, 13):
        exploding = {"train_loss": 1.0 if epoch < 8 else math.inf}
        assert not driver.report(lead, falling(0.1, LENGTH)[epoch - 1], **exploding)
        if driver.report(behind, falling(1.5, LENGTH)[epoch - 1], **exploding):
            break
    assert driver.text("behind").startswith("diverged: diverged at epoch 8: train_loss is inf")


def test_max_t_ends_a_training_as_a_whole_one():
    driver = Driver(max_t=5)
    assert driver.run("long", falling(0.5, LENGTH)) == 5
    assert driver.decisions.verdict("long").kind == "whole"
    assert driver.decisions.text() == "0 trials stopped (none), 1 finished"
    assert not driver.events("stop")


def test_side_by_side_without_a_known_length_the_better_half_goes_on(driver):
    trials = [driver.add(f"t{index}") for index in range(12)]
    curves = [falling(0.1 * (index + 1), LENGTH) for index in range(12)]
    length = dict.fromkeys(range(12), LENGTH)
    for epoch in range(1, LENGTH + 1):
        for index in [index for index in range(12) if length[index] >= epoch]:
            if driver.report(trials[index], curves[index][epoch - 1]):
                length[index] = epoch
    assert sum(epochs == LENGTH for epochs in length.values()) >= 3
    assert length[0] == LENGTH
    assert sum(length.values()) < 12 * LENGTH


def test_a_retry_takes_back_what_comes_again():
    driver = Driver()
    trial = driver.add("retried")
    for loss in falling(0.5, LENGTH)[:10]:
        driver.report(trial, loss)
    driver.decisions.fail("retried")
    assert driver.run("retried", falling(0.5, LENGTH)) == LENGTH
    assert driver.decisions.text().endswith("1 finished")
    assert driver.run("other", falling(0.6, LENGTH)) == LENGTH
    assert "place 2 of 2" in driver.text("other")


def test_a_trial_that_ends_without_a_last_result_has_finished_with_what_it_reported(driver):
    warm(driver, [0.7, 0.6])
    trial = driver.add("silent")
    driver.report(trial, 0.5)
    driver.decisions.complete("silent", None)
    driver.decisions.fail("unknown")
    assert driver.decisions.text() == "0 trials stopped (none), 3 finished"


def test_what_was_before_a_restore_is_known_again(driver):
    ends = {"done": (0.5, True), "cut": (0.9, False), "runs on": (0.7, None)}
    for name, (end, whole) in ends.items():
        losses = driver.sign * np.array(falling(end, LENGTH))
        driver.decisions.remember(name, Curve(np.arange(1, LENGTH + 1), {"loss": losses}), whole)
    assert driver.decisions.knows("cut")
    assert not driver.decisions.knows("new")
    assert driver.decisions.text().endswith("1 finished")
    driver.run("new", [3.0] * LENGTH)
    assert "place 4 of 4" in driver.text("new")


def test_it_pickles_with_its_knowledge(driver):
    warm(driver, [0.7, 0.6, 0.5, 0.4])
    before = driver.decisions.text()
    again = pickle.loads(pickle.dumps(driver))
    assert again.decisions.text() == before
    assert again.run("bad", [3.0] * LENGTH) < LENGTH


def test_a_newcomers_rule_is_one_function_in_the_list(monkeypatch):
    def impatient(look: rules.Look) -> Verdict | None:
        return Verdict("hopeless", look.epoch, "too slow") if look.epoch == 3 else None

    monkeypatch.setattr(rules, "RULES", (*rules.RULES, impatient))
    driver = Driver()
    assert driver.run("any", falling(0.5, LENGTH)) == 3
    assert driver.text("any") == "too slow"
