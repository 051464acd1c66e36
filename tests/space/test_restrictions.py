"""Restrictions of a space: what they say, what they leave, and who keeps to them."""

from __future__ import annotations

import contextlib
import copy
import pickle
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic.errors import SpaceError
from raymimic.space import Choice, Condition, FloatRange, IntRange, Normal, SearchSpace
from raymimic.space.restrictions import Predicate, read_restrictions

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "net/width": IntRange(8, 4096, log=True),
        "depth": IntRange(1, 64),
        "opt": Choice(("sgd", "adam", "adamw")),
        "batch": Choice((16, 32, 64)),
        "lambda": FloatRange(0.0, 1.0, step=0.1),
        "shift": Normal(0.0, 1.0),
    }
)


def under(*texts: str) -> SearchSpace:
    dimensions = SPACE.dimensions
    return SPACE.under(one for text in texts for one in read_restrictions(text, dimensions))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("lr < 0.01", {"lr": 0.0099}, {"lr": 0.01}),
        ("1e-4 <= lr <= 1e-2", {"lr": 1e-4}, {"lr": 2e-2}),
        ("opt != 'sgd'", {"opt": "adam"}, {"opt": "sgd"}),
        ("opt in ('sgd', 'adam')", {"opt": "adam"}, {"opt": "adamw"}),
        ("net/width * depth <= 99", {"net/width": 33, "depth": 3}, {"net/width": 25, "depth": 4}),
        ("lambda < 0.3 and batch > 16", {"lambda": 0.2, "batch": 32}, {"lambda": 0.3, "batch": 64}),
        ("not (opt == 'sgd' and lr > 0.1)", {"opt": "sgd", "lr": 0.1}, {"opt": "sgd", "lr": 0.2}),
        ("net/width / (depth - 1) < 100", {"net/width": 99, "depth": 2}, {"depth": 1}),
        ("2 ** depth <= net/width", {"depth": 3, "net/width": 8}, {"depth": 4, "net/width": 15}),
        ("shift > 3", {"shift": 3.1}, {"shift": 3.0}),
        ("depth != 3 and depth % 2 == 1", {"depth": 5}, {"depth": 4}),
    ],
)  # fmt: skip
def test_a_text_says_what_it_says_in_python(text: str, inside: Any, outside: Any) -> None:
    space = under(text)
    whole = SPACE.drawn({}, random.Random(0))
    assert space.refusal({**whole, **inside}) == ""
    assert space.refusal({**whole, **outside}) != ""
    read_again = under(*(one.text for one in space.restrictions))
    assert [one.text for one in read_again.restrictions] == [o.text for o in space.restrictions]


@pytest.mark.parametrize(
    "texts",
    [
        ("lr < 2e-5", "net/width * depth <= 12", "opt != 'sgd'", "lambda > 0.75", "shift > 4"),
        ("lr == 3e-4", "batch in (16, 64)", "depth != 1", "depth < 3", "lambda < 0.1"),
        ("net/width * depth <= 8",),
        ("net/width < depth",),
    ],
)
def test_draws_copies_and_neighbours_are_inside_however_little_is_left(texts: Any) -> None:
    space, rng = under(*texts), random.Random(1)
    for other in (space, pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        for _ in range(20):
            config = other.sample(rng)
            assert other.refusal(config) == ""
            assert other.check(config) == (config, ())
            near = other.nearest(SPACE.sample(rng))
            assert other.refusal(near) == ""
            assert other.check(near) == (near, ())
            assert other.nearest(config) is config


def test_the_nearest_keeps_what_is_allowed_and_moves_the_rest_inside() -> None:
    config = {**SPACE.sample(random.Random(0)), "lr": 0.3, "opt": "sgd", "depth": 7}
    near = under("lr < 0.01", "opt != 'sgd'").nearest(config)
    assert 1e-3 < near["lr"] < 0.01
    assert {**near, "lr": 0.3, "opt": "sgd"} == config


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("lr > 2",), "'lr > 2' leaves nothing of lr"),
        (("opt != 'sgd'", "opt == 'sgd'"), "leave nothing of opt"),
        (("depth > 3", "depth < 4"), "leave nothing of depth"),
        (("net/width * depth < 8",), "'net/width * depth < 8' held for 0"),
        (("depth < 3", "depth * 2 > net/width"), "within 'depth < 3'"),
        (("lrr < 3",), "did you mean lr?"),
        (("opt < 3",), "compare it with ==, != or in"),
        (("opt == 'sdg'",), 'one of "sgd", "adam", "adamw"'),
        (("lr < 1e999",), "finite"),
        (("depth < 2 ** 999",), "a power of more than 64"),
        (("lr",), "must compare something"),
        (("3 < 4",), "must name a parameter"),
        (("lr <",), "must be a comparison"),
        (("__import__('os').system('true') < depth",), "is no parameter"),
        (("depth.real < 3",), "may hold arithmetic"),
        (("(lambda: 3)() < depth",), "restriction"),
        (("depth < " + "9" * 600,), "at most 500 characters"),
        (("depth < " + "(" * 240 + "1" + ")" * 240,), "must be a comparison"),
    ],
)
def test_what_cannot_be_is_named_with_the_cure(texts: Any, said: str) -> None:
    with pytest.raises(SpaceError) as error:
        under(*texts)
    assert said in str(error.value)


def test_a_users_function_that_fails_is_named_at_once_and_later_keeps_only_its_own_out() -> None:
    def narrow(config: Any) -> bool:
        return config["width"] < 3

    with pytest.raises(SpaceError, match=r"the constraint narrow raised KeyError.*mend it"):
        SPACE.under([Predicate(narrow)])
    with pytest.raises(SpaceError, match="must return True or False"):
        SPACE.under([Predicate(lambda config: None)])
    rare = SPACE.under([Predicate(lambda config: 1 / (config["lr"] - 0.5) != 0)])
    whole = SPACE.sample(random.Random(0))
    assert "ZeroDivisionError" in rare.refusal({**whole, "lr": 0.5})
    assert rare.refusal({**whole, "lr": 0.4}) == ""


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(SpaceError):
        space = under(text)
        assert space.refusal(space.sample(random.Random(0))) == ""


def test_a_restriction_holds_where_its_parameter_does_not_exist() -> None:
    space = SearchSpace(
        {"opt": Choice(("sgd", "adam")), "momentum": FloatRange(0.0, 0.99)},
        {"momentum": Condition("opt", ("sgd",))},
    )
    texts = ("momentum > 0.9", "momentum < 0.95 or opt == 'adam'")
    space = space.under(one for t in texts for one in read_restrictions(t, space.dimensions))
    assert space.refusal({"opt": "adam"}) == ""
    assert space.refusal({"opt": "sgd", "momentum": 0.97}) != ""
    drawn = [space.sample(random.Random(seed)) for seed in range(40)]
    assert {config["opt"] for config in drawn} == {"sgd", "adam"}
    assert all(0.9 < config.get("momentum", 0.91) < 0.95 for config in drawn)
    near = space.nearest({"opt": "sgd", "momentum": 0.2})
    assert near["opt"] == "sgd"
    assert space.refusal(near) == ""
