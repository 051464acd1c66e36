"""Settings and values that no search should die of, or say in another's words."""

from __future__ import annotations

import time

import pytest
from ray import tune

from raymimic import LLMSearcher
from raymimic.errors import ConfigError, LessonsError, SpaceError
from raymimic.space import Choice
from raymimic.summary import tally_of


def searcher(tmp_path, space=None, **settings):
    space = {"lr": tune.uniform(0, 1)} if space is None else space
    ledger = tmp_path / "l.jsonl"
    return LLMSearcher(space, "loss", "min", llm="none", ledger=ledger, **settings)


@pytest.mark.parametrize("path", ["/dev/zero", "huge"])
def test_lessons_are_not_read_without_end(tmp_path, path):
    if path == "huge":
        path = tmp_path / path
        with open(path, "wb") as file:
            file.truncate(10**10)
    with pytest.raises(LessonsError):
        searcher(tmp_path, lessons=path)


def test_a_huge_instruction_is_refused(tmp_path):
    with pytest.raises(ValueError, match="instruction must be text of at most"):
        searcher(tmp_path, instruction="x" * 10**6)


@pytest.mark.parametrize("value", ["abc", [1.0], 1j, object()])
def test_an_evaluated_point_of_no_number_is_refused_in_words(tmp_path, value):
    with pytest.raises(ConfigError, match="must be numbers"):
        searcher(tmp_path).add_evaluated_point({"lr": 0.5}, value)


def test_an_evaluated_point_beyond_the_largest_float_has_no_score(tmp_path):
    search = searcher(tmp_path)
    search.add_evaluated_point({"lr": 0.5}, 10**400)
    assert search.evidence().trials[0].score is None


class Hostile:
    def __repr__(self):
        raise RuntimeError("no text")

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


def test_a_choice_whose_values_raise_can_be_searched(tmp_path):
    search = searcher(tmp_path, {"a": tune.choice([Hostile(), Hostile(), 1])})
    assert set(search.suggest("a")) == {"a"}


def test_a_space_nested_hundreds_deep_is_refused_in_words(tmp_path):
    space = {"lr": tune.uniform(0, 1)}
    for _ in range(900):
        space = {"a": space}
    with pytest.raises(SpaceError, match="deep"):
        searcher(tmp_path, space)


def test_a_choice_of_very_many_values_is_no_slower_than_linear():
    begun = time.process_time()
    choice = Choice(tuple(range(50_000)))
    assert choice.shown[-1] == 49_999
    assert choice.labels[-1] == "49999"
    assert [choice.index(value) for value in range(0, 50_000, 5)] == list(range(0, 50_000, 5))
    assert time.process_time() - begun < 5  # comparing each with each takes minutes


def test_a_start_that_failed_has_words_for_its_summary():
    assert tally_of([]).text() == "raymimic: no search began, so no trial ended."


@pytest.mark.parametrize(
    "setting",
    [{"batch_size": 1.5}, {"timeout": float("nan")}, {"timeout": "5"}, {"patience": float("nan")},
     {"patience": "1"}, {"seed": "x"}, {"seed": 1.5}],
)  # fmt: skip
def test_a_setting_of_the_wrong_kind_is_named_at_once(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        LLMSearcher(llm="none", **setting)
