"""Parameters that exist only beside certain values of a choice."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic.errors import ConfigError, SpaceError
from raymimic.space import Choice, Condition, FloatRange, IntRange, SearchSpace

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-4, 1.0, log=True),
        "opt": Choice(("sgd", "adam", "lion")),
        "opt/momentum": FloatRange(0.0, 0.99),
        "opt/kind": Choice(("plain", "decayed")),
        "opt/kind/decay": FloatRange(0.0, 1.0),
        "opt/beta": FloatRange(0.9, 0.999),
    },
    {
        "opt/momentum": Condition("opt", ("sgd",)),
        "opt/kind": Condition("opt", ("adam",)),
        "opt/kind/decay": Condition("opt/kind", ("decayed",)),
        "opt/beta": Condition("opt", ("adam", "lion")),
    },
)
DECAYED = {"lr": 0.1, "opt": "adam", "opt/kind": "decayed", "opt/kind/decay": 0.5, "opt/beta": 0.99}


@st.composite
def trees(draw: Any) -> SearchSpace:
    """Spaces of up to nine parameters, each free or beside some values of an earlier choice."""
    dimensions: dict[str, Any] = {}
    conditions: dict[str, Condition] = {}
    for number in range(draw(st.integers(1, 9))):
        choices = [name for name, found in dimensions.items() if isinstance(found, Choice)]
        if choices and draw(st.booleans()):
            parent = draw(st.sampled_from(choices))
            beside = draw(st.sets(st.sampled_from(dimensions[parent].values), min_size=1))
            conditions[f"p{number}"] = Condition(parent, tuple(sorted(beside)))
        kind = draw(st.sampled_from(("choice", "float", "int")))
        dimensions[f"p{number}"] = {
            "choice": Choice(("a", "b", "c")),
            "float": FloatRange(0.0, 1.0),
            "int": IntRange(1, 3),
        }[kind]
    return SearchSpace(dimensions, conditions)


def expected(space: SearchSpace, config: dict[str, Any]) -> set[str]:
    """The parameters that must exist, by the definition alone."""
    found: set[str] = set()
    for name in space.dimensions:
        condition = space.conditions.get(name)
        if condition is None or (
            condition.parent in found and config[condition.parent] in condition.values
        ):
            found.add(name)
    return found


def nested(space: SearchSpace, shown: dict[str, Any]) -> dict[str, Any]:
    """The configuration as the schema asks for it: what hangs on a choice lies in its object."""
    objects: dict[str, dict[str, Any]] = {"": {}}
    for name in shown:
        condition = space.conditions.get(name)
        home = objects["" if condition is None else condition.parent]
        if any(condition.parent == name for condition in space.conditions.values()):
            objects[name] = {name: shown[name]}
            home[name] = objects[name]
        else:
            home[name] = shown[name]
    return objects[""]


def fits(schema: dict[str, Any], value: Any) -> bool:
    """A small JSON schema validator for what `SearchSpace.schema` uses."""
    if "anyOf" in schema:
        return sum(fits(one, value) for one in schema["anyOf"]) == 1
    if "enum" in schema:
        return value in schema["enum"]
    if schema["type"] == "object":
        same = isinstance(value, dict) and set(value) == set(schema["required"])
        return same and all(fits(schema["properties"][key], value[key]) for key in value)
    return schema["minimum"] <= value <= schema["maximum"]


@settings(max_examples=60, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_a_configuration_holds_what_exists_and_nothing_else(space, rng):
    config = space.sample(random.Random(rng.random()))
    assert set(config) == expected(space, config)
    shown = json.loads(json.dumps(space.show(config)))
    forms = [shown, nested(space, shown)]
    for form in forms:
        keys = list(form)
        rng.shuffle(keys)  # the order of keys means nothing
        assert space.check({key: form[key] for key in keys}) == (config, ())
    assert fits(space.schema(), forms[1])
    assert [u is not None for u in space.encode(config)] == [n in config for n in space.dimensions]
    assert space.distance(config, config) == 0.0


@settings(max_examples=60, deadline=None)
@given(trees(), st.integers(0, 2**32))
def test_what_does_not_exist_is_dropped_with_a_word_and_what_is_missing_is_named(space, seed):
    config = space.sample(random.Random(seed))
    whole = {name: dim.sample(random.Random(seed)) for name, dim in space.dimensions.items()}
    mended, repairs = space.check({**whole, **config})
    assert mended == config
    assert len(repairs) == len(space.dimensions) - len(config)
    for name in config:
        less = {key: value for key, value in config.items() if key != name}
        with pytest.raises(ConfigError, match=f"{name}: missing"):
            space.check(less)


@settings(max_examples=60, deadline=None)
@given(trees())
def test_json_brings_the_space_back(space):
    loaded = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert loaded.conditions == space.conditions
    assert loaded.describe() == space.describe()
    assert loaded.size == space.size


def test_size_counts_each_branch_by_itself():
    space = SearchSpace(
        {
            "a": Choice(("x", "y", "z")),
            "b": IntRange(1, 5),
            "c": Choice((1, 2)),
            "d": IntRange(1, 4),
        },
        {"b": Condition("a", ("x",)), "c": Condition("a", ("y",)), "d": Condition("c", (2,))},
    )
    assert space.size == 5 + (1 + 4) + 1
    keys = {space.key(space.sample(random.Random(seed))) for seed in range(500)}
    assert len(keys) == space.size


def test_a_parameter_is_told_with_its_condition():
    assert SPACE.describe_one("opt/beta") == (
        'number from 0.9 to 0.999; exists only with opt "adam" or "lion"'
    )


def test_a_null_says_that_there_is_none_and_a_value_is_dropped():
    flat = {"lr": 0.1, "opt": "sgd", "opt/momentum": 0.9}
    assert SPACE.check({**flat, "opt/kind": None}) == (flat, ())
    assert SPACE.check({**flat, "opt/kind": "plain"}) == (
        flat,
        ('opt/kind: dropped; exists only with opt "adam"',),
    )


def test_a_branch_as_a_user_would_write_it_is_read():
    raw = {
        "lr": 0.1,
        "opt": {"name": "adam", "beta": 0.99, "kind": {"kind": "decayed", "decay": 0.5}},
    }
    config, repairs = SPACE.check(raw)
    assert config == DECAYED
    assert [repair.partition(":")[0] for repair in repairs] == ["opt", "opt/kind"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"opt": {}}, "opt: missing"),
        ({"opt": {"name": "adagrad"}}, "opt: missing"),
        ({"opt": {"opt": "sgd"}}, "opt/momentum: missing"),
        ({"opt": {"opt": {"opt": "sgd"}}}, "opt: must be one of"),
        ({"opt": [1]}, "opt: must be one of"),
    ],
)
def test_a_branch_that_says_too_little_is_refused(raw, message):
    with pytest.raises(ConfigError, match=message):
        SPACE.check({"lr": 0.1, **raw})


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"z": Condition("c", ("x",))}, "'z': a condition needs a parameter of this name"),
        ({"a": Condition("c", ("x",))}, "a: must hang on a choice that is listed before it"),
        ({"c": Condition("c", ("x",))}, "c: must hang on a choice that is listed before it"),
        ({"b": Condition("a", (0.5,))}, "b: must hang on a choice"),
        ({"b": Condition("c", ())}, "b: must exist beside one value of c at least"),
        ({"b": Condition("c", ("z",))}, 'b: c must be one of "x", "y", got '),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(conditions, message):
    dimensions = {"a": FloatRange(0, 1), "c": Choice(("x", "y")), "b": FloatRange(0, 1)}
    with pytest.raises(SpaceError, match=message):
        SearchSpace(dimensions, conditions)
