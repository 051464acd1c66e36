from __future__ import annotations

from typing import Any

import pytest

from raymimic.llm import PRICES, PROVIDERS, Price, cost, estimate_tokens
from raymimic.llm.prices import find_price


def test_a_call_costs_what_the_table_says() -> None:
    assert cost("claude-haiku-5-5", 2_000, 200) == pytest.approx(0.0003)
    assert cost("gpt-6.1-sol", 1_000_000, 1_000_000) == pytest.approx(12.0)


def test_long_prompts_have_their_own_price() -> None:
    assert cost("claude-haiku-5-5", 100_000, 0) == pytest.approx(0.01)
    assert cost("claude-haiku-5-5", 200_000, 1_000_000) == pytest.approx(0.10 + 2.5)
    assert cost("gpt-6-luna", 300_000, 1_000_000) == pytest.approx(0.06 + 0.75)


@pytest.mark.parametrize("end", ["", "-20261021", "-2026-10-21", "@20261021", "-latest"])
def test_a_dated_name_has_its_models_price(end: str) -> None:
    assert find_price("claude-haiku-5-5" + end) is PRICES["claude-haiku-5-5"]


@pytest.mark.parametrize(
    "name", ["", "claude", "gpt-6-luna-pro", "gpt-6", "my/gpt-6-luna", "qwen3"]
)
def test_an_unknown_model_has_no_price(name: str) -> None:
    assert cost(name, 1, 1) is None


def test_the_users_price_goes_first_and_the_longest_name_wins() -> None:
    own = {"qwen3": Price(1.0, 0.0), "qwen3-8": Price(2.0, 0.0), "gpt-6-luna": Price(3.0, 0.0)}
    assert cost("qwen3-8", 1_000_000, 5, prices=own) == 2.0
    assert cost("qwen3-7", 1_000_000, 5, prices=own) == 1.0
    assert cost("gpt-6-luna", 1_000_000, 5, prices=own) == 3.0


@pytest.mark.parametrize("made", PROVIDERS.values())
def test_what_each_provider_takes_by_itself_has_a_price(made: Any) -> None:
    assert find_price(made.provider.model)


def test_tokens_are_estimated_from_the_length() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("a") == 1
    assert estimate_tokens("a" * 3500) == 1000
