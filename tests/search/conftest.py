"""An engine whose ledger lies in the test's folder, and a clock that a test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engine import Engine

from raymimic.advisor import Advisor


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Engine]:
    """Build a begun search."""

    def build(advisor: Advisor, **settings: Any) -> Engine:
        return Engine(advisor, tmp_path / "ledger.jsonl", **settings)

    return build


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no trial running, whoever answers at all is waited for, however busy the machine."""
    monkeypatch.setattr("raymimic.search.queue._MODEL_WAIT_S", 60.0)
    monkeypatch.setattr("raymimic.search.queue._IDLE_WAIT_S", 60.0)


@pytest.fixture
def hangs(answers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model does not answer: nobody waits for it."""
    monkeypatch.setattr("raymimic.search.queue._MODEL_WAIT_S", 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time since a question was asked is what a test says: ``clock.now``."""
    moved = SimpleNamespace(now=1000.0)
    stub = SimpleNamespace(monotonic=lambda: moved.now, sleep=time.sleep)
    monkeypatch.setattr("raymimic.inquiry.time", stub)
    return moved
