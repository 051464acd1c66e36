"""What is believed of the optimum: by published practice, by the user, by a model."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from raymimic.advisor.belief.axes import axes_of
from raymimic.advisor.belief.belief import belief_from_practice, belief_to_json, describe_belief
from raymimic.advisor.belief.prior import Prior, Priors
from raymimic.advisor.belief.reading import (
    belief_schema,
    read_belief,
    read_model_belief,
)
from raymimic.errors import ConfigError
from raymimic.records import Belief, Place
from raymimic.space import Choice, Condition, Dimension, FloatRange, IntRange, Normal, SearchSpace

NET = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "beta1": FloatRange(0.0, 0.999),
        "dropout": FloatRange(0.0, 0.6),
        "model/width": IntRange(8, 512),
        "batch_size": Choice((16, 32, 64, 128, 256)),
        "optimizer": Choice(("sgd", "adam", "adamw")),
        "batch_norm": Choice((False, True)),
        "knob": FloatRange(0.0, 1.0),
    }
)


def default(dimensions: dict[str, Dimension]) -> dict:
    space = SearchSpace(dimensions)
    return Prior(axes_of(space), belief_from_practice(space)).likeliest()


# -- published practice --------------------------------------------------------------------------


def test_a_net_starts_from_published_defaults() -> None:
    config = default(dict(NET.dimensions))
    assert config["optimizer"] == "adamw"
    assert config["lr"] == 1e-3
    assert config["beta1"] == 0.9
    assert config["batch_size"] == 64
    assert config["batch_norm"] is True
    assert 64 <= config["model/width"] <= 256
    assert config["knob"] == 0.5


@pytest.mark.parametrize(
    ("dimensions", "name", "low", "high"),
    [
        ({"lr": FloatRange(1e-8, 10.0, log=True)}, "lr", 1e-3, 1e-3),
        ({"lr": FloatRange(1e-4, 1.0), "optimizer": Choice(("sgd",))}, "lr", 0.01, 0.1),
        ({"lr": FloatRange(0.05, 0.5)}, "lr", 0.05, 0.15),
        ({"lr": FloatRange(1e-5, 5e-4, log=True)}, "lr", 1e-4, 5e-4),
        ({"log_lr": FloatRange(-5.0, -1.0)}, "log_lr", -3.0, -3.0),
        ({"opt/beta1": FloatRange(0.0, 0.999)}, "opt/beta1", 0.9, 0.9),
        ({"epsilon": FloatRange(0.2, 0.4)}, "epsilon", 0.3, 0.3),  # of a bandit, not of Adam
        ({"adam_eps": FloatRange(1e-10, 1.0, log=True)}, "adam_eps", 1e-8, 1e-8),
        ({"max_depth": IntRange(2, 12), "subsample": FloatRange(0.4, 1.0)}, "max_depth", 6, 6),
        ({"lr": Normal(0.0, 1.0)}, "lr", 0.0, 0.0),
        ({"units": Choice((8, 64, 512))}, "units", 64, 64),
    ],
)
def test_defaults_fit_the_users_range(dimensions, name, low, high) -> None:
    assert low - 1e-9 <= default(dimensions)[name] <= high + 1e-9


def test_the_learning_rate_depends_on_the_optimizer() -> None:
    axes = axes_of(NET)
    prior = Prior(axes, belief_from_practice(NET))
    base = prior.likeliest()

    def density(**changes) -> float:
        config = {**base, **changes}
        units = np.array([[axis.unit(config[axis.name]) for axis in axes]])
        return float(prior.log_density(units)[0])

    assert density(optimizer="sgd", lr=0.03) > density(optimizer="sgd", lr=1e-3)
    assert density(optimizer="adamw", lr=1e-3) > density(optimizer="adamw", lr=0.03)
    assert prior.likeliest({"optimizer": "sgd"})["lr"] == 0.03


def test_it_is_told_in_words_and_kept_as_plain_data() -> None:
    belief = belief_from_practice(NET)
    text = describe_belief(belief)
    assert "lr 0.03 (0.00548 to 0.164) with sgd or 0.001 (0.0001 to 0.01) with adam" in text
    assert "optimizer adamw" in text
    assert "knob" not in text
    assert describe_belief(Belief()) == "nothing is known of where the optimum lies"
    data = json.loads(json.dumps(belief_to_json(belief)))
    assert data["beta1"][0]["scale"] == "log distance to 1"
    assert data["optimizer"]["weights"] == {"sgd": 1.0, "adam": 1.0, "adamw": 2.0}


# -- coordinates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(NET.dimensions))
def test_a_coordinate_leads_back_to_its_value(name) -> None:
    axis = next(axis for axis in axes_of(NET) if axis.name == name)
    rng = random.Random(0)
    for _ in range(20):
        value = axis.dimension.sample(rng)
        again = axis.at(axis.unit(value))
        assert again == value or math.isclose(again, value, rel_tol=1e-6, abs_tol=1e-9)


def test_steps_matter_alike_along_an_axis() -> None:
    (beta, width) = (axis for axis in axes_of(NET) if axis.name in ("beta1", "model/width"))
    assert beta.unit(0.99) - beta.unit(0.9) == pytest.approx(beta.unit(0.9) - beta.unit(0.0))
    assert width.unit(64) - width.unit(32) == pytest.approx(width.unit(32) - width.unit(16))


# -- the density ---------------------------------------------------------------------------------


def test_draws_follow_the_density_and_no_place_is_ruled_out() -> None:
    axes = axes_of(NET)
    narrow = read_belief({"lr": (3e-4, 0.2), "optimizer": {"adam": 1.0}}, NET)
    prior = Prior(axes, narrow.over(belief_from_practice(NET)))
    units = prior.drawn(np.random.default_rng(0), 2000)
    places = np.log10([axes[0].at(u) for u in units[:, 0]])
    assert np.mean(np.abs(places - math.log10(3e-4)) < 0.4) == pytest.approx(0.91, abs=0.03)
    assert np.mean(units[:, 5] == 0.5) == pytest.approx(0.97, abs=0.02)
    assert np.isfinite(prior.log_density(np.random.default_rng(1).random((500, len(axes))))).all()


def test_one_of_several_beliefs_is_right_or_none_and_results_say_which() -> None:
    axes = axes_of(SearchSpace({"x": FloatRange(0, 1), "y": FloatRange(0, 1)}))

    def there(place: float) -> Belief:
        return Belief({n: (Place(place, 0.05, "linear"),) for n in "xy"})

    places = np.array([[0.2, 0.2], [0.8, 0.8], [0.2, 0.8], [0.5, 0.5]])
    both = Priors(axes, [there(0.2), there(0.8)])
    before = both.log_density(places)
    assert before[0] == pytest.approx(before[1])
    assert before[2] < before[1] - 2
    assert before[3] == pytest.approx(math.log(0.25), abs=0.1)
    both.learn(places, np.array([1.0, 3.0, 2.0, 2.0]))
    after = both.log_density(places)
    assert after[0] > before[0] > after[1] + 2
    both = Priors(axes, [there(0.2), there(0.8)])
    both.learn(places, np.array([3.0, 3.0, 2.0, 1.0]))
    assert both.log_density(places)[0] < before[0] - 2
    drawn = both.drawn(np.random.default_rng(0), 400)
    assert np.mean(np.abs(drawn - 0.2).max(axis=1) < 0.2) < 0.2


# -- what users and models write -----------------------------------------------------------------


def test_a_width_is_in_decades_on_a_logarithmic_scale_else_in_the_parameters_unit() -> None:
    belief = read_belief({"lr": (3e-4, 1.0), "beta1": (0.9, 0.5), "dropout": [0.1, 0.05]}, NET)
    assert describe_belief(belief) == (
        "lr 0.0003 (3e-05 to 0.003), beta1 0.9 (0.684 to 0.968), dropout 0.1 (0.05 to 0.15)"
    )


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({"depth": (3, 1)}, "is no parameter of the space; there are lr, beta1"),
        ({"lr": 3e-4}, "must be (centre, width), got 0.0003"),
        ({"lr": (3.0, 1.0)}, "the centre must lie from 1e-05 to 1"),
        ({"lr": (1e-3, 0.0)}, "the width must be above 0"),
        ({"optimizer": {"lion": 1}}, 'must be one of "sgd", "adam", "adamw"'),
        ({"optimizer": {"sgd": -1}}, "must not be below 0"),
        ({"optimizer": {"sgd": 0}}, "one weight at least must be above 0"),
    ],
)
def test_what_cannot_be_believed_is_said_at_once(raw, fault) -> None:
    with pytest.raises(ConfigError) as caught:
        read_belief(raw, NET)
    assert fault in str(caught.value)


def test_a_models_entries_are_read_one_by_one_and_moved_into_the_range() -> None:
    said = {
        "lr": {"best": 5.0, "low": 0.1, "high": 100.0},
        "dropout": {"best": "much", "low": 0, "high": 1},
        "optimizer": {"adamw": 0.8, "sgd": 0.2},
        "batch_size": {"best": 64, "low": 32, "high": 128},
        "depth": {"best": 1, "low": 1, "high": 1},
    }
    belief, faults = read_model_belief(said, NET)
    assert belief is not None
    assert belief.places["lr"][0] == Place(1.0, pytest.approx(0.5), "log", "the model")
    assert belief.places["batch_size"][0].width == pytest.approx(math.log10(2))
    assert belief.leanings["optimizer"].weights == {"sgd": 0.2, "adam": 0.0, "adamw": 0.8}
    assert len(faults) == 2
    assert read_model_belief(None, NET) == (None, ())
    assert read_model_belief([], NET)[0] is None
    assert set(belief_schema(NET)["properties"]) == set(NET.dimensions)


def test_a_model_says_a_learning_rate_for_each_optimizer() -> None:
    """What is best for SGD and for Adam is a factor of a hundred apart: one entry is wrong."""
    asked = belief_schema(NET)["properties"]
    assert set(asked["lr"]["properties"]) == {"sgd", "adam", "adamw"}
    assert set(asked["beta1"]["properties"]) == {"best", "low", "high"}
    sgd, adam = ({"best": best, "low": best / 10, "high": best * 10} for best in (0.1, 1e-3))
    belief, faults = read_model_belief({"lr": {"sgd": sgd, "adam": adam, "adamw": "?"}}, NET)
    assert belief is not None
    assert [(place.centre, place.given) for place in belief.places["lr"]] == [
        (0.1, ("optimizer", "sgd")),
        (1e-3, ("optimizer", "adam")),
    ]
    assert len(faults) == 1
    one, _ = read_model_belief({"lr": adam}, NET)
    assert one is not None
    assert one.places["lr"][0].given is None


def test_words_end_where_the_range_ends_and_leave_out_what_lies_outside() -> None:
    space = SearchSpace({"lr": FloatRange(2e-4, 0.02, log=True), "width": IntRange(8, 16)})
    belief = Belief(
        {
            "lr": (Place(1e-3, 1.0, "log"), Place(1e-6, 1.0, "log", "", ("optimizer", "sgd"))),
            "width": (Place(200.0, 0.5, "log"),),
        }
    )
    assert describe_belief(belief, space=space) == "lr 0.001 (0.0002 to 0.01)"


def test_words_of_a_branchs_own_parameter_leave_out_the_other_branch() -> None:
    rate = FloatRange(1e-5, 1.0, log=True)
    dimensions = {"opt": Choice(("sgd", "adam")), "opt[sgd]/lr": rate, "opt[adam]/lr": rate}
    conditions = {f"opt[{name}]/lr": Condition("opt", (name,)) for name in ("sgd", "adam")}
    space = SearchSpace(dimensions, conditions)
    said = describe_belief(belief_from_practice(space), space=space)
    assert said == (
        "opt[sgd]/lr 0.03 (0.00548 to 0.164), opt[adam]/lr 0.001 (0.0001 to 0.01), opt adam"
    )


@pytest.mark.filterwarnings("error")
def test_a_belief_as_wide_as_one_likes_is_none() -> None:
    belief = read_belief({"lr": (1e-3, 1e6), "beta1": (0.9, 1e6), "dropout": (0.3, 1e6)}, NET)
    assert describe_belief(belief)
    axes = axes_of(NET)
    units = np.random.default_rng(0).random((20, len(axes)))
    assert np.ptp(Prior(axes, belief).log_density(units)) < 0.01
