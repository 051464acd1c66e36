"""What the keyless proposers say is true: each reason against what it was said for."""

from __future__ import annotations

import math
import re

import pytest

from raymimic.advisor import SearchEvidence, StatisticalAdvisor
from raymimic.advisor.belief.axes import axes_of
from raymimic.advisor.belief.openings import openings
from raymimic.advisor.belief.practice import (
    ADAMW_DECAY,
    BY_FAMILY,
    OPTIMIZER_LR,
    PRACTICE,
    RULE_OF_THUMB,
    Practice,
)
from raymimic.records import Belief, Place
from raymimic.space import Choice, Dimension, FloatRange, IntRange, SearchSpace
from raymimic.testing.searches import drawn, ended, evidence, known

# What stands in each source, looked up by hand: who adds a source adds here where it says so.
STATES: dict[str, dict[str, float]] = {
    "Adam's default, Kingma & Ba 2015": {  # algorithm 1: good default settings
        "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8,
    },
    "He et al. 2016": {"weight_decay": 1e-4, "dropout": 0.0},  # 3.4: 0.0001, no dropout
    "Goyal et al. 2017": {"momentum": 0.9},  # 5.1
    "Szegedy et al. 2016": {"label_smoothing": 0.1},  # section 7: epsilon = 0.1
    "Brown et al. 2020": {"grad_clip": 1.0},  # appendix B: the global norm at 1.0
    "Simonyan & Zisserman 2015": {"kernel_size": 3},  # 2.1: 3 x 3
    "Schulman et al. 2017": {  # tables 3 and 5
        "clip_range": 0.2, "discount": 0.99, "gae_lambda": 0.95, "learning_rate": 3e-4,
        "batch_size": 64, "epochs": 10,
    },
    "Mnih et al. 2016": {"entropy": 0.01},  # section 8: beta = 0.01
    "Stable-Baselines3's default": {"value_coef": 0.5},  # vf_coef of PPO
    "LightGBM's default": {"learning_rate": 0.1, "num_leaves": 31},
    "XGBoost's default": {  # lambda, max_depth, min_child_weight, gamma
        "weight_decay": 1, "tree_depth": 6, "min_child_weight": 1, "min_split_loss": 0,
    },
    "Loshchilov & Hutter 2019": {"learning_rate": 1e-3},  # algorithm 2
    "Ruder 2016": {"learning_rate": 1e-3, "learning_rate of adagrad": 1e-2},  # 4.3 and 4.5
    "Lion's default in its authors' code": {"learning_rate": 1e-4},
    "AdamW's default in PyTorch": {"weight_decay": 1e-2},
}  # fmt: skip

USED: list[tuple[str, Practice]] = [
    *PRACTICE.items(),
    *(pair for family in BY_FAMILY.values() for pair in family.items()),
    *((f"learning_rate of {kind}", found) for kind, found in OPTIMIZER_LR.items()),
    ("weight_decay", ADAMW_DECAY),
]


@pytest.mark.parametrize(("role", "practice"), USED)
def test_a_source_is_named_only_for_a_value_that_stands_in_it(role, practice) -> None:
    if practice.source != RULE_OF_THUMB:
        states = STATES[practice.source]
        assert practice.value == states.get(role, states.get(role.partition(" of ")[0]))


def reason(**dimensions: Dimension) -> str:
    space = SearchSpace(dimensions)
    return openings(SearchEvidence(space, "loss", "min"))[0].reason


@pytest.mark.parametrize(
    ("dimensions", "said"),
    [
        ({"lr": FloatRange(1e-5, 1.0, log=True)}, "lr 0.001 (Adam's default, Kingma & Ba 2015)"),
        ({"lr": FloatRange(2e-3, 1.0, log=True)}, "moved into your range from 0.001, Adam's def"),
        ({"lr": Choice((2e-3, 1e-2))}, "lr 0.002 (your nearest to 0.001, Adam's default"),
        ({"smoothing": FloatRange(0.0, 0.32, step=0.16)}, "smoothing 0.16 (your nearest to 0.1, S"),
        ({"momentum": FloatRange(0.2, 0.95)}, "momentum 0.9 (Goyal et al. 2017)"),
        ({"batch_size": Choice((32, 64))}, "batch_size 64 (rule of thumb)"),
        ({"batch_size": Choice((128, 256))}, "batch_size 128 (your nearest to 64, rule of thumb)"),
        ({"width": IntRange(8, 512)}, "(the upper half of your range)"),
        ({"width": Choice((64, 128, 256))}, "width 128 (the middle of your range)"),
        ({"depth": IntRange(1, 9)}, "(the lower half of your range)"),
        ({"eta": FloatRange(0.01, 0.3), "max_depth": IntRange(2, 12), "subsample":
          FloatRange(0.5, 1.0)}, "eta 0.1 (LightGBM's default), max_depth 6 (XGBoost's default), "
         "subsample 0.8 (rule of thumb)"),
        ({"optimizer": Choice(("sgd", "rmsprop"))}, "optimizer sgd (Robbins & Monro 1951)"),
        ({"optimizer": Choice(("sgd", "adam")), "lr": FloatRange(1e-5, 1.0, log=True)},
         "lr 0.001 (Adam's default, Kingma & Ba 2015), optimizer adam (Kingma & Ba 2015)"),
        ({"x": FloatRange(0, 1), "kind": Choice(("a", "b"))},
         "first guess: no name tells anything, the middle of each range and the first of each"),
        ({"lr": FloatRange(1e-5, 1.0), "x": FloatRange(0, 1)}, "; the rest: the middle of each"),
    ],
)  # fmt: skip
def test_a_first_guess_says_where_each_value_comes_from(dimensions, said) -> None:
    assert said in reason(**dimensions)


@pytest.mark.parametrize("high", [1e-4, 3e-4, 1e-3, 0.4])
@pytest.mark.parametrize("low", [1e-6, 2e-5])
def test_whoever_states_another_value_is_not_named_for_this_one(low, high) -> None:
    space = SearchSpace({"lr": FloatRange(low, high, log=True)})
    (guess,) = openings(SearchEvidence(space, "loss", "min"))
    at_default = math.isclose(guess.config["lr"], 1e-3)
    assert ("(Adam's default" in guess.reason) == at_default
    assert at_default == (high >= 1e-3)
    assert low <= guess.config["lr"] <= high


def test_what_you_contradict_in_practice_is_tried_second() -> None:
    space = SearchSpace({"lr": FloatRange(1e-5, 1.0, log=True), "x": FloatRange(0.0, 1.0)})
    mine = Belief({"lr": (Place(0.1, 0.5, "log", "you"),)})
    first, second = openings(SearchEvidence(space, "loss", "min", belief=mine))
    assert (first.config["lr"], second.config["lr"]) == (0.1, 1e-3)
    assert "lr 0.1 (you)" in first.reason
    assert "lr 0.001 (Adam's default" in second.reason
    other = Belief({"x": (Place(0.2, 0.1, "linear", "you"),)})  # of which practice says nothing
    (only,) = openings(SearchEvidence(space, "loss", "min", belief=other))
    assert only.config == {"lr": 1e-3, "x": 0.2}


def test_a_statistical_reason_names_what_changes_what_is_expected_and_whose_belief_it_is() -> None:
    seen = known(12)
    best = seen.ranked()[0]
    (proposal,) = StatisticalAdvisor(0).propose(seen, 1).proposals
    text = proposal.rationale
    assert f"from the best, trial {best.trial_id} ({best.score:.4g}); expected improve" in text
    axes = {axis.name: axis for axis in axes_of(seen.space)}
    changes = re.findall(r"(\S+) (\S+) -> (\S+?)[, ]", text)
    assert changes
    for name, before, after in changes:
        assert before == axes[name].show(best.config[name])
        assert after == axes[name].show(proposal.config[name])
    assert re.search(r"; belief from common practice, to the power [\d.]+$", text)


def test_where_nothing_is_believed_no_belief_is_named_and_the_users_is() -> None:
    space = SearchSpace({"x": FloatRange(0.0, 1.0), "y": FloatRange(0.0, 1.0)})
    trials = [ended(i, c, c["x"] + c["y"]) for i, c in enumerate(drawn(12, space=space))]
    (proposal,) = StatisticalAdvisor(0).propose(evidence(trials, space), 1).proposals
    assert "belief" not in proposal.rationale
    mine = evidence(trials, space, belief=Belief({"x": (Place(0.2, 0.1, "linear", "you"),)}))
    (proposal,) = StatisticalAdvisor(0).propose(mine, 1).proposals
    assert "; belief from you, to the power" in proposal.rationale
    net = SearchSpace({"lr": FloatRange(1e-5, 1.0, log=True), "x": FloatRange(0.0, 1.0)})
    trials = [ended(i, c, c["lr"] + c["x"]) for i, c in enumerate(drawn(12, space=net))]
    mine = evidence(trials, net, belief=Belief({"lr": (Place(0.1, 0.5, "log", "you"),)}))
    (proposal,) = StatisticalAdvisor(0).propose(mine, 1).proposals
    assert "; belief from you and common practice, to the power" in proposal.rationale


@pytest.mark.parametrize(
    ("scores", "why"), [([0.5], "fewer than 2 results"), ([0.5, 0.5], "all results are alike")]
)
def test_without_a_model_of_the_scores_it_says_why_and_claims_no_improvement(scores, why) -> None:
    space = SearchSpace({"x": FloatRange(0.0, 1.0), "y": FloatRange(0.0, 1.0)})
    configs = [{"x": 0.5, "y": 0.5}, {"x": 0.1, "y": 0.9}]
    trials = [ended(i, configs[i], score) for i, score in enumerate(scores)]
    (proposal,) = StatisticalAdvisor(0).propose(evidence(trials, space), 1).proposals
    assert f"{why}, so distance from what is known counts" in proposal.rationale
    assert "expected improvement" not in proposal.rationale
