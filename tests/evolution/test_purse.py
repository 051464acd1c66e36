"""The pause after failed calls to a model."""

from __future__ import annotations

import pytest

from raymimic.errors import LLMCallError
from raymimic.evolution import purse
from raymimic.evolution.state import Spent


def test_calls_that_fail_side_by_side_are_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight calls in one outage of a second once paused the model for a minute."""
    now = [100.0]
    monkeypatch.setattr(purse.time, "monotonic", lambda: now[0])
    made = purse.Purse(purse.Budget(), Spent())
    row, down = {"tokens_in": 1, "tokens_out": 0, "cost": None}, LLMCallError("down", status="500")
    for pause in (2.0, 4.0):  # a series of outages lengthens it
        for _ in range(8):
            made.settle(row, down)
        now[0] += pause - 0.1
        assert made.open() == "paused: the model's last calls failed"
        now[0] += 0.2
        assert made.open() is None
    made.settle(row, None)
    made.settle(row, down)
    now[0] += 2.1
    assert made.open() is None
