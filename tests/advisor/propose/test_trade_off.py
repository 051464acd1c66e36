"""Several objectives: the expected gain in volume, and what it proposes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raymimic.advisor import (
    RandomAdvisor,
    StatisticalAdvisor,
    build_request,
    closing_words,
    lessons_text,
    read_lessons,
)
from raymimic.advisor.propose.gp import GaussianProcess
from raymimic.advisor.propose.objective_values import standings, told_of_each
from raymimic.advisor.propose.trade_off import TradeOff
from raymimic.pareto import boxes, hypervolume, volumes
from raymimic.records import Belief, Objective, Place
from raymimic.testing.searches import SPACE, bowl, drawn, ended, evidence

SIZE = (Objective("size", "min"),)

FAIR = Belief({"dropout": (Place(0.2, 0.25, "linear", "the test"),)})
"""That none is best is practice, but not so in the bowl: what is tested is the trade-off."""


def size(config: Any) -> float:
    """The lower the width the better: at odds with the bowl, whose lowest point has another."""
    return float(config["width"])


def several(trials: Any, others: Any = SIZE, **more: Any) -> Any:
    return evidence(trials, others=others, **more)


def searched(advisor: Any, count: int) -> np.ndarray:
    """Bowl and size of each trial of a search of both."""
    trials: list[Any] = []
    for number in range(count):
        (proposal,) = advisor.propose(several(trials, belief=FAIR), 1).proposals
        config = proposal.config
        measured = {"size": size(config)}
        trials.append(ended(number, config, bowl(config), proposal.source, measured=measured))
    return np.array([[trial.score, trial.measured["size"]] for trial in trials])


@pytest.mark.parametrize("width", [1, 2, 3])
def test_boxes_hold_all_that_no_row_dominates_and_nothing_else(width: int) -> None:
    rng = np.random.default_rng(width)
    losses, reference = rng.random((9, width)), [0.9] * width
    lower, upper = boxes(losses, reference)
    free = np.prod(upper - np.maximum(lower, 0.0), axis=1).sum()
    assert free + hypervolume(losses, reference) == pytest.approx(0.9**width)


def test_the_gain_is_the_mean_over_draws_of_what_is_added_to_the_volume() -> None:
    rng = np.random.default_rng(0)
    points, values = rng.random((12, 2)), rng.random((12, 2))
    flags = np.zeros(2, dtype=bool)

    def fit(at: Any, column: Any) -> GaussianProcess:
        return GaussianProcess(at, column, flags)

    model, processes = TradeOff(points, values, fit), [fit(points, v) for v in values.T]
    means = np.column_stack([process.fitted for process in processes])
    asked = rng.random((4, 2))
    best = means[[not ((means <= row).all(1) & (means < row).any(1)).any() for row in means]]
    worst = best.max(0) + 0.1 * np.ptp(best, axis=0)
    box = np.prod(worst - best.min(0))
    for point, gain in zip(asked, np.exp(model.log_improvement(asked)), strict=True):
        (mean, sd) = (
            np.ravel([p.standard(point[None])[0] for p in processes]),
            np.ravel([p.standard(point[None])[1] for p in processes]),
        )
        draws = mean + sd * rng.standard_normal((4000, 2))
        before = hypervolume(best, worst)
        added = [hypervolume(np.vstack([best, draw]), worst) - before for draw in draws]
        assert gain * box == pytest.approx(np.mean(added), abs=4 * np.std(added) / 60)


def test_it_finds_more_of_the_front_than_random_draws() -> None:
    def volume(advisor: Any) -> float:
        return hypervolume(searched(advisor, 25), (0.2, 100.0))

    draws = [volume(RandomAdvisor(seed)) for seed in range(9)]
    ours = [volume(StatisticalAdvisor(seed)) for seed in range(3)]
    assert min(ours) > 1.5 * np.median(draws)


def test_who_does_not_report_an_objective_is_on_no_front_and_counts_as_its_worst_or_beyond() -> (
    None
):
    configs = drawn(4)
    measured: list[Any] = [{"size": 3.0}, {"size": 9.0}, {}, {"size": 1.0}]
    scores = [0.5, 0.4, 0.1, None]
    trials = [
        ended(i, config, score, measured=more)
        for i, (config, score, more) in enumerate(zip(configs, scores, measured, strict=True))
    ]
    seen = several(trials)
    assert [trial.trial_id for trial in seen.front()] == ["t1", "t0"]
    assert [trial.trial_id for trial in seen.ranked()] == ["t1", "t0", "t2"]
    assert told_of_each(seen).tolist() == [[0.5, 3.0], [0.4, 9.0], [0.1, 9.0], [0.9, 15.0]]
    assert np.argmax(standings(seen)) == 3


def test_an_objective_in_which_all_are_alike_says_nothing() -> None:
    alone = [ended(i, config, bowl(config)) for i, config in enumerate(drawn(12))]
    alike = [replace(trial, measured={"size": 1.0}) for trial in alone]
    (one,) = StatisticalAdvisor(0).propose(evidence(alone), 1).proposals
    for trials in (alike, alone):
        (proposal,) = StatisticalAdvisor(0).propose(several(trials), 1).proposals
        near = np.subtract(SPACE.encode(proposal.config), SPACE.encode(one.config))
        assert np.abs(near).max() < 0.3
        assert "of the volume" in proposal.rationale


@pytest.mark.parametrize("count", [2, 3, 4])
def test_proposals_come_for_any_number_of_objectives_and_either_mode(count: int) -> None:
    modes = ("max", "min", "max")
    others = tuple(Objective(f"o{i}", modes[i]) for i in range(count - 1))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    trials = [
        ended(i, c, bowl(c), measured={o.name: float(rng.normal()) for o in others})
        for i, c in enumerate(drawn(40))
    ]
    proposals = StatisticalAdvisor(0).propose(several(trials, others, mode="max"), 3).proposals
    assert len({SPACE.key(p.config) for p in proposals}) == 3


# -- in words --------------------------------------------------------------------------------------


def shown_front() -> Any:
    """Three trials on the front, one that is not."""
    values = [(0.5, 10.0), (0.2, 90.0), (0.4, 20.0), (0.6, 95.0)]
    return several(
        [
            ended(i, config, score, "llm", measured={"size": measured})
            for i, (config, (score, measured)) in enumerate(zip(drawn(4), values, strict=True))
        ],
        instruction="accuracy first, but under 50",
    )


def test_a_model_is_shown_the_objectives_and_the_front_and_asked_to_extend_it() -> None:
    asked = build_request(shown_front(), 2)
    assert "several objectives: loss (lower is better), size (lower is better)" in asked.system
    assert 'The user says: "accuracy first, but under 50"' in asked.system
    _, _, after = asked.user.partition("# The front: extend it\n")
    lines = after.partition("\n\n")[0].splitlines()
    assert [line[:9] for line in lines[:3]] == ["trial t1:", "trial t2:", "trial t0:"]
    assert lines[0].startswith("trial t1: loss 0.2, size 90: {")
    assert lines[3] == "Its widest gap lies between trials t1 and t2."
    assert "2 of your 3 ended proposals came to the front" in asked.user
    alone = build_request(evidence(shown_front().trials), 2)
    assert "several objectives" not in alone.system
    assert "front" not in alone.user


def test_summary_and_lessons_tell_the_front() -> None:
    head, *lines = closing_words(shown_front(), 0)
    assert "3 that no other trial beats" in head
    assert lines[0].startswith("  trial t1: loss 0.2, size 90")
    text = lessons_text(shown_front())
    assert "- trial t2: loss 0.4, size 20" in text
    assert len(read_lessons(text).best) == 4


def test_the_volume_grows_only_with_what_comes_to_the_front() -> None:
    rows = np.array([[1.0, 1.0], [2.0, 2.0], [np.nan, 0.0], [0.0, 2.0], [2.0, 0.0]])
    found = volumes(rows)
    assert found[0] == found[1] == found[2] < found[3] < found[4] < 1.0
    assert volumes(rows * [1000.0, 0.001] + [5.0, -3.0]) == pytest.approx(found)
    assert volumes(np.full((2, 2), np.nan)) == [0.0, 0.0]
