"""Constraints as a user gives them to the searcher."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from ray import tune

from raymimic.advisor import build_request
from raymimic.errors import SpaceError
from raymimic.testing.advisors import run_trial, suggest

SPACE = {
    "lr": tune.loguniform(1e-5, 1.0),
    "net": {"width": tune.randint(8, 1024), "depth": tune.randint(1, 17)},
}
NARROW = ["net/width * net/depth <= 512", lambda config: config["net"]["depth"] != 3]


def inside(config: Any) -> bool:
    net = config["net"]
    return bool(net["width"] * net["depth"] <= 512 and net["depth"] != 3)


def test_texts_and_functions_of_the_nested_configuration_hold_after_a_restore(make, tmp_path):
    first = make(space=SPACE, constraints=NARROW)
    for number in range(4):
        assert inside(suggest(first, f"t{number}"))
        run_trial(first, f"t{number}", [1.0 / (number + 1)])
    first.save(str(tmp_path / "state"))
    again = make(space=SPACE, constraints=NARROW)
    again.restore(str(tmp_path / "state"))
    assert all(inside(suggest(again, f"u{number}")) for number in range(4))
    assert '"net/width * net/depth <= 512"' in _prompt(again)


def test_a_restored_search_refuses_other_constraints_than_it_has(make, tmp_path):
    first = make(space=SPACE, constraints=NARROW)
    suggest(first, "t0")
    first.save(str(tmp_path / "state"))
    again = make(space=SPACE, constraints=[*NARROW, {"memory": "<= 3"}])
    with pytest.raises(SpaceError, match=r"keeps the constraints .* got .*'memory <= 3'\]: give"):
        again.restore(str(tmp_path / "state"))
    make(space=SPACE).restore(str(tmp_path / "state"))


def _prompt(searcher: Any) -> str:
    return build_request(*searcher.next_question()).user


def test_a_point_of_the_users_that_is_outside_is_set_aside_with_a_word(make, events, caplog):
    good = {"lr": 0.1, "net": {"width": 9, "depth": 2}}
    bad = {"lr": 0.1, "net/width": 1000, "net/depth": 9}
    searcher = make(space=SPACE, constraints=NARROW, points_to_evaluate=[bad, good])
    with caplog.at_level(logging.WARNING, "raymimic"):
        assert suggest(searcher, "t0") == good
    assert "net/width * net/depth <= 512, so it is not tried" in caplog.text
    assert [row["reason"] for row in events("drop")] == ["restricted"]


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        (["net/width * net/depth < 8"], "nothing seems to be left"),
        ([lambda config: config["width"] > 3], "raised KeyError: 'width', for .*'net': {'width':"),
        (["net/widht < 8"], "did you mean net/width"),
        ([3], "constraints must be a list"),
        (7, "constraints must be a list"),
    ],
)
def test_what_cannot_hold_is_said_before_the_first_trial(make, constraints, said):
    def start():
        searcher = make(space=None, metric=None, mode=None, constraints=constraints)
        searcher.set_search_properties("loss", "min", SPACE)

    with pytest.raises(SpaceError, match=said):
        start()
