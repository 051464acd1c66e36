"""The server matrix asks as a search does, and counts what arrives."""

from __future__ import annotations

import pytest

from experiments.servers import matrix
from experiments.servers.quirks import QUIRKS


@pytest.mark.parametrize("name", ["a bare list", "context of 8192", "context full in the reply"])
def test_a_quirk_costs_a_try_or_two_and_no_proposal(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "QUIRKS", {name: QUIRKS[name]})
    (row,) = matrix.rows_of_quirks()
    assert (row.answers, row.used) == (2, 18)
    assert row.tries[1] == 1  # what the first question taught is remembered
    assert row.tries[0] <= 3
