"""Which programs make a pair of better and worse."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from raymimic.invention import Invented, Pairing
from raymimic.invention.template import SEED


def scored(scores: list[float], iteration: int = 1, error: float = 0.0) -> list[Invented]:
    return [
        replace(
            Invented(100 * iteration + number, iteration, SEED.source, "llm", status="done"),
            score=score,
            error_of_score=error,
        )
        for number, score in enumerate(scores)
    ]


def test_the_published_shares_of_three_thousand() -> None:
    pairs = Pairing().pairs(scored([float(n) for n in range(300)]), 1)
    assert len({good.number for good, _ in pairs}) == 9
    assert len({bad.number for _, bad in pairs}) == 30


def test_few_programs_give_at_least_a_few_pairs_and_no_program_on_both_sides() -> None:
    pairs = Pairing().pairs(scored([float(n) for n in range(24)]), 1)
    assert len(pairs) == 4 * 8


def test_the_best_of_earlier_iterations_stay_chosen() -> None:
    programs = scored([10.0, 9.0, 8.0, 7.0]) + scored([1.0, 2.0, 3.0], iteration=2)
    chosen = {good.score for good, _ in Pairing().pairs(programs, 2)}
    assert chosen == {3.0, 10.0, 9.0, 8.0}


@given(st.lists(st.floats(0, 1), min_size=0, max_size=40), st.floats(0, 0.3))
def test_no_pair_is_closer_than_one_standard_error(scores: list[float], error: float) -> None:
    for good, bad in Pairing().pairs(scored(scores, error=error), 1):
        assert good.score - bad.score > error


def test_where_less_is_better_the_smaller_score_is_chosen() -> None:
    programs = [replace(one, better=-1) for one in scored([1.0, 2.0, 3.0])]
    assert [(good.score, bad.score) for good, bad in Pairing().pairs(programs, 1)] == [(1.0, 3.0)]
