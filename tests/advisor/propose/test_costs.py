"""Seconds: learnt from trials, saved where time limits the search, told in reason and prompt."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import pytest

from raymimic.advisor import SearchEvidence, StatisticalAdvisor, TrialRecord, build_request
from raymimic.advisor.belief.axes import axes_of, units_of
from raymimic.advisor.propose.costs import Costs
from raymimic.curves import Curve
from raymimic.records import Budget, Config
from raymimic.testing.searches import SPACE, at, drawn, ended, evidence

EPOCHS = 10
LIMITLESS = Budget()
COUNTED = Budget(trials_total=50, trials_started=12)


def pace(config: Config) -> float:
    """Seconds an epoch: in proportion to the width."""
    return float(config["width"]) / 100


def loss(config: Config) -> float:
    """It depends on the learning rate alone, so that a narrow net is as good as a wide one."""
    return (SPACE.encode(config)[0] - 0.7) ** 2


def trained(name: object, config: Config, startup: float = 1.0) -> TrialRecord:
    curve = Curve(list(range(1, EPOCHS + 1)), {"loss": [loss(config)] * EPOCHS})
    seconds = startup + EPOCHS * pace(config)
    return ended(name, config, loss(config), pace=pace(config), seconds=seconds, curve=curve)


def after(budget: Budget, startup: float = 1.0) -> SearchEvidence:
    return evidence([trained(i, c, startup) for i, c in enumerate(drawn(12))], budget=budget)


def proposed(budget: Budget, startup: float = 1.0) -> list[float]:
    """Seconds an epoch of what six seeds propose."""
    seen = after(budget, startup)
    return [pace(StatisticalAdvisor(seed).propose(seen, 1).proposals[0].config)
            for seed in range(6)]  # fmt: skip


def test_where_time_limits_the_search_quicker_configurations_come_first() -> None:
    assert mean(proposed(LIMITLESS)) < 0.5 * mean(proposed(COUNTED))


def test_at_the_end_of_the_time_nothing_is_saved_for_later() -> None:
    over = Budget(seconds_total=1e6, seconds_used=0.999e6)  # enough for many trainings
    assert mean(proposed(LIMITLESS)) < 0.5 * mean(proposed(over))


def test_a_wider_net_is_expected_to_take_longer_until_results_overrule_that() -> None:
    def said(*known: TrialRecord) -> float:
        costs = Costs(evidence(list(known)), axes_of(SPACE))
        narrow, wide = costs.pace(units_of(axes_of(SPACE), [at(0.5, 0.1, 0.5), at(0.5, 0.9, 0.5)]))
        return float(wide / narrow)

    usual = trained(0, at(0.5, 0.5, 0.5))
    same = [replace(trained(i, at(0.5, i / 9, 0.5)), pace=1.0) for i in range(10)]
    assert said(usual) > 1.5
    assert said(*same) < 1.3


def test_where_starting_a_trial_takes_long_epochs_count_for_less() -> None:
    assert mean(proposed(LIMITLESS)) < 0.5 * mean(proposed(LIMITLESS, startup=1000.0))


def test_what_cannot_finish_in_the_time_left_is_not_started() -> None:
    left = 1.0 + EPOCHS * 0.5
    late = Budget(seconds_total=1000.0, seconds_used=1000.0 - left)
    assert max(proposed(late)) < 0.55  # the model of the seconds is not exact


def test_a_reason_says_what_it_costs_and_for_how_many_epochs_time_is_left() -> None:
    over = Budget(seconds_total=100.0, seconds_used=98.7)
    (proposal,) = StatisticalAdvisor(0).propose(after(over), 1).proposals
    assert "s an epoch" in proposal.rationale
    assert "x the time of the best" in proposal.rationale
    assert f"of {EPOCHS} epochs" in proposal.rationale


@pytest.mark.parametrize(("budget", "said"), [(LIMITLESS, True), (COUNTED, False)])
def test_a_model_is_told_what_epochs_take_and_what_limits_the_search(budget, said) -> None:
    text = build_request(after(budget), 2).user
    assert "an epoch takes" in text
    assert ("Time is what is spent" in text) is said


def test_a_model_is_told_that_what_comes_must_be_shorter() -> None:
    over = Budget(seconds_total=100.0, seconds_used=97.0)
    assert f"of {EPOCHS} epochs: propose what trains faster" in build_request(after(over), 2).user
