"""Ray's domains through `RaySpace`; the bounds are those of Ray's own search-space tests."""

from __future__ import annotations

import copy
import pickle
import random
import re
from typing import Any

import numpy as np
import pytest
from ray import cloudpickle, tune
from ray.tune.impl.placeholder import (
    create_resolvers_map,
    inject_placeholders,
    resolve_placeholders,
)
from ray.tune.search.sample import Categorical, Domain, Float, Integer, Sampler
from ray.tune.utils.util import merge_dicts

from raymimic.errors import ConfigError, SpaceError
from raymimic.tune.domains import RaySpace


def on_grid(value: float, quantum: float) -> bool:
    return bool(np.isclose(value / quantum, round(value / quantum)))


# name: the domain, the type of its values, and Ray's bounds
DOMAINS: dict[str, tuple[Domain, type, Any]] = {
    "uniform": (tune.uniform(-5, -1), float, lambda x: -5 <= x <= -1),
    "quniform": (
        tune.quniform(3.2, 5.4, 0.2),
        float,
        lambda x: 3.2 <= x <= 5.4 and on_grid(x, 0.2),
    ),
    "loguniform": (tune.loguniform(1e-4, 1e-2), float, lambda x: 1e-4 <= x <= 1e-2),
    "qloguniform": (
        tune.qloguniform(1e-4, 1e-1, 5e-5),
        float,
        lambda x: 1e-4 <= x <= 1e-1 and on_grid(x, 5e-5),
    ),
    "randn": (tune.randn(10, 2), float, lambda x: -10 < x < 30),
    "qrandn": (tune.qrandn(10, 2, 0.2), float, lambda x: -10 < x < 30 and on_grid(x, 0.2)),
    "randint": (tune.randint(-9, 15), int, lambda x: -9 <= x < 15),
    "lograndint": (tune.lograndint(1, 10), int, lambda x: 1 <= x < 10),
    "qrandint": (tune.qrandint(-21, 12, 3), int, lambda x: -21 <= x <= 12 and x % 3 == 0),
    "qrandint q=1": (tune.qrandint(0, 3, 1), int, lambda x: 0 <= x < 3),
    "qrandint inwards": (tune.qrandint(5, 99, 10), int, lambda x: 10 <= x <= 90 and x % 10 == 0),
    "qlograndint": (tune.qlograndint(2, 20, 2), int, lambda x: 2 <= x <= 20 and x % 2 == 0),
    "qlograndint q=1": (tune.qlograndint(1, 4, 1), int, lambda x: 1 <= x < 4),
    "choice": (tune.choice([2, 3, 4]), int, lambda x: x in (2, 3, 4)),
    "default sampler": (Float(0, 1), float, lambda x: 0 <= x <= 1),
    "default integer": (Integer(0, 2), int, lambda x: 0 <= x < 2),
    "rounded bound": (tune.quniform(0.3, 0.7, 0.1), float, lambda x: 0.3 <= x <= 0.7),
}
FINITE = ("randint", "lograndint", "qrandint", "qrandint q=1", "qrandint inwards", "qlograndint")


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_keeps_rays_bounds_and_types(name):
    domain, kind, holds = DOMAINS[name]
    ray_space = RaySpace.from_ray({"x": domain})
    rng = random.Random(0)
    for _ in range(1000):
        value = ray_space.nest(ray_space.space.sample(rng))["x"]
        assert type(value) is kind
        assert holds(value)


@pytest.mark.parametrize("name", DOMAINS)
def test_what_ray_draws_needs_no_repair(name):
    domain, kind, _ = DOMAINS[name]
    ray_space = RaySpace.from_ray({"x": domain})
    state = np.random.RandomState(0)
    for _ in range(1000):
        drawn = domain.sample(random_state=state)
        config, repairs = ray_space.space.check({"x": drawn})
        assert repairs == ()
        assert type(config["x"]) is kind
        assert config["x"] == pytest.approx(drawn, rel=1e-12)


@pytest.mark.parametrize("name", FINITE)
def test_ends_of_integer_ranges_are_rays(name):
    domain, _, _ = DOMAINS[name]
    space = RaySpace.from_ray({"x": domain}).space
    state = np.random.RandomState(0)
    drawn = {domain.sample(random_state=state) for _ in range(3000)}
    assert {space.sample(random.Random(seed))["x"] for seed in range(3000)} == drawn
    assert space.size == len(drawn)


def test_log_and_normal_keep_their_shape():
    space = RaySpace.from_ray({name: domain for name, (domain, _, _) in DOMAINS.items()}).space
    logs = {name for name, dim in space.dimensions.items() if getattr(dim, "log", False)}
    assert logs == {"loguniform", "qloguniform", "lograndint", "qlograndint", "qlograndint q=1"}
    normal = space.dimensions["qrandn"]
    assert (normal.mean, normal.sd, normal.step) == (10, 2, 0.2)


# --- categories ---------------------------------------------------------------------------------


def test_choices_give_back_the_users_own_objects():
    values = [0, "1", 1, True, None, [32, 64], {"kind": "cosine"}, (1, 2), object(), np.int64(3)]
    ray_space = RaySpace.from_ray({"x": tune.choice(values)})
    for value in values:
        config, _ = ray_space.space.check(ray_space.space.show({"x": value}))
        assert ray_space.nest(config)["x"] is value


def test_a_value_listed_twice_is_offered_once():
    assert RaySpace.from_ray({"x": tune.choice(["a", "a", "b", 1, True])}).space.size == 4


# --- nesting ------------------------------------------------------------------------------------

NESTED = {
    "lr": tune.loguniform(1e-4, 1e-1),
    "epochs": 10,
    "data": {"path": "there", "sizes": [1, 2, 3]},
    "model": {
        "name": "cnn",
        "layers": [16, tune.randint(1, 64), {"dropout": tune.uniform(0, 1), "bias": True}],
        "heads": (tune.choice(["a", "b"]), 4),
    },
}
FLAT = {
    "lr": 0.01,
    "model/layers/1": 32,
    "model/layers/2/dropout": 0.5,
    "model/heads/0": "b",
}


def test_nested_parameters_are_named_by_path():
    assert list(RaySpace.from_ray(NESTED).space.dimensions) == list(FLAT)


def test_nest_gives_what_tune_must_merge_with_lists_whole():
    suggestion = RaySpace.from_ray(NESTED).nest(FLAT)
    layers = [16, 32, {"dropout": 0.5, "bias": True}]
    assert suggestion == {"lr": 0.01, "model": {"layers": layers, "heads": ("b", 4)}}
    assert merge_dicts(NESTED, suggestion) == {
        "lr": 0.01,
        "epochs": 10,
        "data": {"path": "there", "sizes": [1, 2, 3]},
        "model": {"name": "cnn", "layers": layers, "heads": ("b", 4)},
    }


def test_flatten_undoes_nest_and_reads_flat_keys():
    ray_space = RaySpace.from_ray(NESTED)
    assert ray_space.flatten(merge_dicts(NESTED, ray_space.nest(FLAT))) == FLAT
    assert ray_space.flatten({**FLAT, "epochs": 3, "more": {}}) == FLAT
    assert list(ray_space.flatten(dict(reversed(FLAT.items())))) == list(FLAT)


@pytest.mark.parametrize("layers", [None, "relu", [], [16], {"1": 32}])
def test_a_point_without_a_key_is_refused_by_name(layers):
    ray_space = RaySpace.from_ray(NESTED)
    point = {"lr": 0.01, "model": {"layers": layers, "heads": ("a", 4)}}
    with pytest.raises(
        ConfigError, match=r"model/layers/1: missing.*integer from 1 to 63"
    ) as caught:
        ray_space.flatten(point)
    assert len(caught.value.faults) == 2
    with pytest.raises(ConfigError, match="must be a dict"):
        ray_space.flatten([1])


def test_nest_leaves_the_param_space_as_it_was():
    before = copy.deepcopy(NESTED["data"])
    suggestion = RaySpace.from_ray(NESTED).nest(FLAT)
    suggestion["model"]["layers"].append("more")
    assert NESTED["data"] == before
    assert isinstance(NESTED["model"]["layers"][1], Domain)
    assert len(NESTED["model"]["layers"]) == 3


def test_a_space_without_domains_is_empty():
    ray_space = RaySpace.from_ray({"epochs": 10, "list": [1, 2]})
    assert ray_space.nest({}) == {}
    assert ray_space.flatten({"epochs": 10}) == {}
    assert ray_space.space.size == 1


# --- sample_from and placeholders ---------------------------------------------------------------


def test_sample_from_met_directly_is_drawn_last_and_sees_everything():
    ray_space = RaySpace.from_ray(
        {
            "double": tune.sample_from(lambda config: 2 * config["n"] + config["constant"]),
            "more": {"chained": tune.sample_from(lambda config: config["double"] + 1)},
            "old": tune.sample_from(lambda spec: spec.config.n),
            "plain": tune.sample_from(lambda: "drawn"),
            "n": tune.randint(1, 10),
            "constant": 100,
        }
    )
    assert list(ray_space.space.dimensions) == ["n"]
    assert ray_space.nest({"n": 4}) == {
        "n": 4,
        "double": 108,
        "more": {"chained": 109},
        "old": 4,
        "plain": "drawn",
    }


def test_under_tune_functions_and_objects_are_placeholders_that_tune_resolves():
    class Relu: ...

    param_space = {
        "n": tune.randint(4, 5),
        "double": tune.sample_from(lambda config: 2 * config["n"]),
        "act": tune.choice([Relu, None, {"inner": Relu}]),
        "dataset": object(),
    }
    resolvers = create_resolvers_map()
    injected = inject_placeholders(param_space, resolvers)
    ray_space = RaySpace.from_ray(injected)
    assert list(ray_space.space.dimensions) == ["n", "act"]

    first = ray_space.space.dimensions["act"].values[0]
    assert first[0] == "__ref_ph"
    config, repairs = ray_space.space.check(ray_space.space.show({"n": 4, "act": first}))
    assert repairs == ()
    trial = merge_dicts(injected, copy.deepcopy(ray_space.nest(config)))
    resolve_placeholders(trial, resolvers)
    assert trial == {"n": 4, "double": 8, "act": Relu, "dataset": param_space["dataset"]}


# --- what is refused ----------------------------------------------------------------------------


class Odd(Sampler):
    """A sampler of the user's own."""


def _with_odd_sampler(domain: Domain) -> Domain:
    domain.set_sampler(Odd(), allow_override=True)
    return domain


@pytest.mark.parametrize(
    ("param_space", "message"),
    [
        ({"x": tune.grid_search([1, 2])}, r"x: must not be a grid_search, got \[1, 2\].*choice"),
        ({"x": Categorical([1, 2]).grid()}, "x: must not be a grid_search.*use tune.choice"),
        ({"a": {"b": [{"grid_search": [1]}]}}, "a/b/0: must not be a grid_search"),
        ({"a/b": tune.uniform(0, 1)}, "a/b: a key must not contain"),
        ({"a": {"b/c": tune.uniform(0, 1)}}, "b/c: a key must not contain.*rename"),
        ({"a": {0: tune.uniform(0, 1), "0": tune.uniform(0, 1)}}, "a/0: two parameters"),
        ({"x": _with_odd_sampler(Float(0, 1))}, "x: must be one of Ray's own.*Float with Odd"),
        ({"x": _with_odd_sampler(Integer(0, 1))}, "x: must be.*Integer with Odd"),
        ({"x": _with_odd_sampler(tune.choice([1]))}, "x: must be.*Categorical with Odd"),
        ({"x": Domain()}, "x: must be one of Ray's own domains.*Domain"),
        ({"x": Float(None, 1)}, "x: low must be finite.*-inf"),
        ({"x": tune.randint(3, 3)}, "x: must leave at least one value.*low=3, high=2"),
        ({"x": tune.qrandint(11, 19, 10)}, "x: must leave at least one value"),
        ({"x": tune.choice([])}, "x: a choice needs at least one value"),
        ([tune.uniform(0, 1)], "param_space must be a dict, got list"),
        (lambda trial: {}, "param_space must be a dict, got a function.*as branches"),
    ],
)
def test_refuses_with_the_parameter_and_the_cure(param_space, message):
    with pytest.raises(SpaceError, match=re.compile(message, re.DOTALL)):
        RaySpace.from_ray(param_space)


# --- state --------------------------------------------------------------------------------------


def test_pickle_and_deepcopy_keep_the_space_working():
    ray_space = RaySpace.from_ray(NESTED)
    for twin in (pickle.loads(pickle.dumps(ray_space)), copy.deepcopy(ray_space)):
        assert twin.nest(FLAT) == ray_space.nest(FLAT)
        assert twin.space.describe() == ray_space.space.describe()
    direct = RaySpace.from_ray({"n": tune.randint(1, 9), "m": tune.sample_from(lambda c: c["n"])})
    assert cloudpickle.loads(cloudpickle.dumps(direct)).nest({"n": 4}) == {"n": 4, "m": 4}
