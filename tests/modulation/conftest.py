"""The modulator keeps its own errors from a user's loop; in a test each of them counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from raymimic.modulation.harmless import Harmless


@pytest.fixture(autouse=True)
def errors_are_not_kept(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    @contextmanager
    def nothing_is_caught(_: Harmless, place: str) -> Iterator[None]:
        yield

    if "keeps_errors" not in request.fixturenames:
        monkeypatch.setattr(Harmless, "within", nothing_is_caught)


@pytest.fixture
def keeps_errors() -> None:
    """As outside of tests: an error of the modulator ends no training."""
