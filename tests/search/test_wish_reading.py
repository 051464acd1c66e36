"""What the rules read in a wish, and what they leave to a model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic.search.wish_reading import WishReader
from raymimic.space import Choice, FloatRange, IntRange, SearchSpace

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "width": IntRange(8, 4096, log=True),
        "depth": IntRange(1, 64),
        "optimizer": Choice(("sgd", "adam", "adamw")),
        "model/act": Choice(("tanh", "relu")),
        "batch_size": Choice((16, 32, 64)),
        "bn": Choice((True, False)),
    }
)
READER = WishReader(SPACE)


def read(text: str) -> Any:
    ((_, reading),) = READER.clauses(text)
    return reading


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("lr below 0.01", ["lr < 0.01"]),
        ("Please keep the learning rate at most 1e-2.", ["lr <= 0.01"]),
        ("learning rate < 0.01", ["lr < 0.01"]),
        ("lr = 3e-4", ["lr == 0.0003"]),
        ("width between 512 and 64", ["width >= 64", "width <= 512"]),
        ("width * depth <= 2048", ["width * depth <= 2048"]),
        ("activation is not tanh", ["model/act != 'tanh'"]),
        ("stop trying sgd", ["optimizer != 'sgd'"]),
        ("avoid SGD and adam", ["optimizer not in ('sgd', 'adam')"]),
        ("no sgd optimizer", ["optimizer != 'sgd'"]),
        ("use only adam or adamw", ["optimizer in ('adam', 'adamw')"]),
        ("fix lr at 3e-4", ["lr == 0.0003"]),
        ("batch size is not 16", ["batch_size != 16"]),
        ("bn is true", ["bn == True"]),
    ],
)
def test_limits(text: str, meant: Any) -> None:
    assert list(read(text).restrictions) == meant


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("prefer small models", {"width": 28, "depth": 14}),
        ("deeper networks", {"depth": 51}),
        ("I prefer a lower learning rate", {"lr": 1e-4}),
        ("lr is probably around 3e-4", {"lr": 3e-4}),
    ],
)
def test_leanings(text: str, places: Any) -> None:
    found = {name: place[0].centre for name, place in read(text).belief.places.items()}
    assert found == pytest.approx(places)


def test_a_favourite_category_a_configuration_and_orders() -> None:
    weights = read("prefer adam").belief.leanings["optimizer"].weights
    assert max(weights, key=lambda label: weights[label]) == "adam"
    assert read("enqueue lr=3e-4, width=128 and optimizer=adam").config == {
        "lr": 3e-4, "width": 128, "optimizer": "adam",
    }  # fmt: skip
    assert read("stop after the running trials").order == "end"
    assert (read("stop trial AB_1").order, read("stop trial AB_1").target) == ("stop trial", "AB_1")
    assert (read("take back 2").kind, read("take back 2").target) == ("take back", "2")
    assert (read("more trials 10").kind, read("5 more trials").target) == ("more trials", "5")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lrate below 0.1", "did you mean lr?"),
        ("lerning_rate below 0.1", "did you mean lr?"),
        ("val_loss below 0.1", "'val_loss' is no parameter of this search"),
        ("stop trying sdg", "did you mean 'sgd' of optimizer?"),
        ("enqueue lrr=3", "did you mean lr?"),
        ("enqueue lr=3", "must be number from 1e-05 to 1.0, log scale, got 3"),
        ("optimizer is not 7", "must be one of"),
    ],
)
def test_what_nearly_is_one_is_named(text: str, said: str) -> None:
    assert read(text).kind == "fault"
    assert said in read(text).fault


@pytest.mark.parametrize(
    "text", ["lr below 0.01 diverged", "avoid overfitting", "tanh", "make it good", "I like cats"]
)
def test_prose_is_left_to_a_model(text: str) -> None:
    assert read(text).kind == "words"


def test_a_message_is_split_where_its_parts_can_be_read() -> None:
    kinds = [one.kind for _, one in READER.clauses("prefer small models, stop trying sgd; pause")]
    assert kinds == ["preference", "restriction", "order"]
    assert len(READER.clauses("I care about speed, cost and fairness")) == 1


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("lr widthsgd<>=0.19;,()'\"ëon#/"), max_size=40))
def test_any_text_is_read_without_a_word_of_complaint(text: str) -> None:
    for _, reading in READER.clauses(text):
        assert reading.kind
