"""Domains inside a choice: a trainable gets exactly what Tune's own random search would give."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import RandomState
from ray import cloudpickle, tune
from ray.tune.impl.placeholder import (
    create_resolvers_map,
    inject_placeholders,
    resolve_placeholders,
)
from ray.tune.search.variant_generator import generate_variants, parse_spec_vars
from ray.tune.utils.util import flatten_dict, merge_dicts

from raymimic.errors import ConfigError, SpaceError
from raymimic.tune.domains import RaySpace

OPTIMIZERS = {
    "epochs": 10,
    "opt": tune.choice(
        [
            {"name": "sgd", "momentum": tune.uniform(0, 0.99), "lr": tune.loguniform(1e-3, 1.0)},
            {"name": "adam", "beta2": tune.uniform(0.9, 0.9999), "lr": tune.loguniform(1e-5, 0.1)},
            {
                "name": "adamw",
                "beta2": tune.uniform(0.9, 0.9999),
                "decay": {"at": tune.randn(0, 1)},
            },
        ]
    ),
}


@st.composite
def nodes(draw: Any, levels: int = 3) -> Any:
    """A constant, a range, a choice, or a dict or list of them; choices may hold any of these."""
    kinds = ["constant", "float", "int", *(["choice", "dict", "list"] if levels else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "constant":
        return draw(st.sampled_from(("a", "b", 1, 2.5, None, True)))
    if kind == "float":
        return tune.uniform(0, draw(st.integers(1, 3)))
    if kind == "int":
        return tune.randint(0, draw(st.integers(1, 3)))
    inner = nodes(levels - 1)
    if kind == "choice":
        return tune.choice(draw(st.lists(inner, min_size=1, max_size=3)))
    if kind == "dict":
        return draw(st.dictionaries(st.sampled_from("uvw"), inner, max_size=3))
    return draw(st.lists(inner, max_size=2))


param_spaces = st.dictionaries(st.sampled_from("xyz"), nodes(), min_size=1, max_size=3)


@settings(max_examples=80, deadline=None)
@given(param_spaces, st.integers(0, 2**32 - 1))
def test_whatever_tune_draws_is_read_and_given_back(param_space, seed):
    spec = {"config": copy.deepcopy(param_space)}
    ((_, drawn),) = generate_variants(spec, random_state=RandomState(seed))
    ray_space = RaySpace.from_ray(param_space, whole=True)
    config, repairs = ray_space.space.check(ray_space.flatten(drawn["config"]))
    assert repairs == ()
    assert ray_space.nest(config) == drawn["config"]


@settings(max_examples=80, deadline=None)
@given(param_spaces, st.integers(0, 2**32))
def test_what_we_draw_is_whole_and_tune_merges_it(param_space, seed):
    offered = inject_placeholders(copy.deepcopy(param_space), create_resolvers_map())
    ray_space = RaySpace.from_ray(offered)
    config = ray_space.space.sample(random.Random(seed))
    trial = merge_dicts(copy.deepcopy(offered), copy.deepcopy(ray_space.nest(config)))
    assert parse_spec_vars(trial)[1:] == ([], [])  # nothing is left to draw
    again = ray_space.flatten(dict(reversed(trial.items())))
    assert ray_space.nest(ray_space.space.check(again)[0]) == ray_space.nest(config)


def test_parameters_of_branches_have_names_and_conditions():
    assert RaySpace.from_ray(OPTIMIZERS).space.describe().splitlines() == [
        '- opt: one of "sgd", "adam", "adamw"',
        '- opt/momentum: number from 0.0 to 0.99; exists only with opt "sgd"',
        '- opt[sgd]/lr: number from 0.001 to 1.0, log scale; exists only with opt "sgd"',
        '- opt[adam]/lr: number from 1e-05 to 0.1, log scale; exists only with opt "adam"',
        '- opt/beta2: number from 0.9 to 0.9999; exists only with opt "adam" or "adamw"',
        "- opt/decay/at: number around 0.0, standard deviation 1.0, no bounds; exists only with "
        'opt "adamw"',
    ]


@pytest.mark.parametrize(
    ("choice", "labels"),
    [
        (
            [{"name": "a", "x": tune.uniform(0, 1)}, {"name": "b"}, {}, "c", 3],
            ["a", "b", "{}", "c", 3],
        ),
        ([{"name": "a", "x": tune.uniform(0, 1)}, "a"], ["name=a", "a"]),
        (
            [
                {"n": "a", "k": 1, "x": tune.uniform(0, 1)},
                {"n": "a", "k": 2, "x": tune.uniform(0, 1)},
            ],
            ["n=a, k=1", "n=a, k=2"],
        ),
        ([{"v": "a", "x": tune.uniform(0, 1)}, tune.choice(["a", 2])], ["v=a", "one of ['a', 2]"]),
        ([{"x": tune.uniform(0, 1)}, {"y": tune.uniform(0, 1)}], ["x", "y"]),
        ([{"x": tune.uniform(0, 1)}, {"x": tune.uniform(5, 9)}], ["x #1", "x #2"]),
        ([0.0, tune.uniform(0.1, 0.5)], [0.0, "float (0.1, 0.5)"]),
        ([[tune.randint(1, 9)], [1, 2]], ["list of 1", [1, 2]]),
        ([tune.choice([1, tune.uniform(2, 3)]), None], ["one of [1, <ray", None]),
    ],
)
def test_a_branch_is_told_by_what_is_its_own(choice, labels):
    values = RaySpace.from_ray({"c": tune.choice(choice)}).space.dimensions["c"].values
    for value, label in zip(values, labels, strict=True):
        assert value == label or str(value).startswith(str(label))


def test_a_slash_in_a_branchs_name_makes_no_level_of_its_own():
    branches = [{"name": "a/b", "x": tune.uniform(0, 1)}, {"name": "c", "x": tune.uniform(5, 9)}]
    space = RaySpace.from_ray({"c": tune.choice(branches)}).space
    assert list(space.dimensions) == ["c", "c[a_b]/x", "c[c]/x"]


@pytest.mark.parametrize(
    "point",
    [
        {"opt": {"name": "adam", "beta2": 0.99, "lr": 0.01}},
        {"opt": {"lr": 0.01, "beta2": 0.99}},  # constants may be left out
        {"opt": "adam", "opt/beta2": 0.99, "opt[adam]/lr": 0.01},  # as the ledger shows it
        {"opt/name": "adam", "opt/beta2": 0.99, "opt/lr": 0.01, "epochs": 10},  # as Tune reports it
    ],
)
def test_a_point_says_its_branch_in_any_form(point):
    ray_space = RaySpace.from_ray(OPTIMIZERS)
    config = ray_space.flatten(point)
    assert config == {"opt": "adam", "opt/beta2": 0.99, "opt[adam]/lr": 0.01}
    assert ray_space.nest(config) == {"opt": {"name": "adam", "beta2": 0.99, "lr": 0.01}}


def test_a_branch_with_all_its_constants_is_meant_before_one_that_lacks_some():
    ray_space = RaySpace.from_ray(
        {"c": tune.choice([{"u": tune.uniform(0, 1), "v": "a"}, {"u": 1}])}
    )
    assert ray_space.flatten({"c": {"u": 1}}) == {"c": "u=1"}
    assert ray_space.flatten({"c": {"u": 0.5}}) == {"c": "a", "c/u": 0.5}


def test_of_branches_that_look_alike_the_one_whose_range_holds_the_value_is_meant():
    ray_space = RaySpace.from_ray(
        {"c": tune.choice([{"x": tune.uniform(0, 1)}, {"x": tune.uniform(5, 9)}])}
    )
    assert ray_space.flatten({"c": {"x": 7}}) == {"c": "x #2", "c[x #2]/x": 7}
    assert ray_space.flatten({"c": {"x": 3}}) == {"c": "x #1", "c[x #1]/x": 3}


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({}, "opt: missing, must be one of"),
        ({"opt": {"name": "adam"}}, r"opt: must be one of sgd \(name, momentum, lr\); adam"),
        ({"opt": {"name": "lion", "lr": 0.1}}, "opt: must be one of sgd"),
        ({"opt": {"name": "sgd", "beta2": 0.9, "lr": 0.1}}, "opt: must be one of sgd"),
        ({"opt": 3}, "opt: must be one of sgd"),
        ({"opt": "sgd"}, "opt/momentum: missing"),
    ],
)
def test_a_point_of_no_branch_is_refused_with_the_branches(point, message):
    with pytest.raises(ConfigError, match=message):
        RaySpace.from_ray(OPTIMIZERS).flatten(point)


def test_functions_and_objects_in_branches_come_as_under_tunes_own_search():
    class Sgd: ...

    class Adam: ...

    param_space = {
        "opt": tune.choice(
            [
                {"cls": Sgd, "lr": tune.uniform(1, 2), "twice": tune.sample_from(_twice)},
                {"cls": Adam, "k": tune.choice([{"data": Adam, "n": tune.randint(3, 4)}])},
            ]
        ),
        "beside": tune.sample_from(lambda config: config["opt"]["cls"].__name__),
    }
    direct = RaySpace.from_ray(param_space, whole=True)
    resolvers = create_resolvers_map()
    injected = inject_placeholders(copy.deepcopy(param_space), resolvers)
    under_tune = RaySpace.from_ray(injected)
    for seed in range(6):
        config = under_tune.space.sample(random.Random(seed))
        trial = merge_dicts(copy.deepcopy(injected), copy.deepcopy(under_tune.nest(config)))
        resolve_placeholders(trial, resolvers)
        if trial["opt"]["cls"] is Sgd:
            lr = config["opt/lr"]
            assert trial == {"opt": {"cls": Sgd, "lr": lr, "twice": 2 * lr}, "beside": "Sgd"}
        else:
            inner = {"data": Adam, "n": 3}
            assert trial == {"opt": {"cls": Adam, "k": inner}, "beside": "Adam"}
        assert under_tune.flatten(trial) == config  # Tune reports what it put in the place
        assert direct.nest(direct.flatten(trial)) == trial


def _twice(config: dict[str, Any]) -> float:
    return 2 * config["opt"]["lr"]


def test_the_ledgers_form_and_a_pickle_keep_branches():
    ray_space = RaySpace.from_ray(OPTIMIZERS)
    for twin in (cloudpickle.loads(cloudpickle.dumps(ray_space)), copy.deepcopy(ray_space)):
        config = twin.space.sample(random.Random(0))
        assert twin.nest(config) == ray_space.nest(config)
        assert twin.flatten(flatten_dict(twin.nest(config))) == config


def _deep(levels: int) -> Any:
    node: Any = tune.uniform(0, 1)
    for _ in range(levels):
        node = tune.choice([{"a": node}, 1])
    return {"a": node}


@pytest.mark.parametrize(
    ("param_space", "message"),
    [
        (
            {"c": tune.choice([{"x": tune.grid_search([1, 2])}, 1])},
            "c/x: must not be a grid_search",
        ),
        ({"c": tune.choice([{"x": tune.choice([])}, 1])}, "c/x: a choice needs at least one value"),
        ({"c": tune.choice([{"x": tune.randint(3, 3)}, 1])}, "c/x: must leave at least one value"),
        ({"c": tune.choice([{"x/y": tune.uniform(0, 1)}])}, "x/y: a key must not contain"),
        ({"c": tune.choice([{1: tune.uniform(0, 1), "1": tune.uniform(0, 1)}])}, "c/1: two param"),
        (_deep(900), "must not be nested more than 100 levels deep"),
    ],
)
def test_a_branch_that_cannot_be_searched_is_refused_with_the_cure(param_space, message):
    with pytest.raises(SpaceError, match=re.compile(message)):
        RaySpace.from_ray(param_space)


def test_a_key_beside_and_in_a_branch_are_two_parameters():
    ray_space = RaySpace.from_ray(
        {
            "lr": tune.uniform(0, 1),
            "opt": tune.choice([{"lr": tune.uniform(5, 6)}, "none"]),
        }
    )
    point = {"lr": 0.5, "opt": {"lr": 5.5}}
    assert ray_space.flatten(point) == {"lr": 0.5, "opt": "lr", "opt/lr": 5.5}
    assert ray_space.nest(ray_space.flatten(point)) == point


def test_many_levels_are_read_and_given_back():
    ray_space = RaySpace.from_ray(_deep(40))
    config = ray_space.space.sample(random.Random(1))
    assert ray_space.flatten(ray_space.nest(config)) == config
