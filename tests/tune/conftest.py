"""Fakes for the tests of the Tune room."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raymimic import LLMSearcher


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LLMSearcher]:
    """Build a searcher over x in [0, 1] whose ledger lies in the test's folder."""
    from ray import tune

    made: list[LLMSearcher] = []

    def build(**settings: Any) -> LLMSearcher:
        given: dict[str, Any] = {
            "space": {"x": tune.uniform(0.0, 1.0)},
            "metric": "loss",
            "mode": "min",
            "llm": "none",
            "seed": 0,
            "ledger": str(tmp_path / "ledger.jsonl"),
        }
        made.append(LLMSearcher(**{**given, **settings}))
        return made[-1]

    build.made = made
    return build


@pytest.fixture
def events(tmp_path: Path, make: Any) -> Callable[[str], list[dict[str, Any]]]:
    """Read the events of one kind from the test's ledger."""

    def read(event: str) -> list[dict[str, Any]]:
        for searcher in make.made:
            searcher.ledger.flush()
        lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
        return [row for row in map(json.loads, lines) if row["event"] == event]

    return read


@pytest.fixture(autouse=True)
def _quiet(quiet_ray: None) -> None:
    """Every test of this room keeps Ray quiet."""
