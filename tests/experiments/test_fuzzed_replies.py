"""A few of the fuzzed replies of the study: none raises, none brings what is out of bounds."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")


from experiments.faults.fuzz import Fuzz


def test_every_fuzzed_reply_is_a_decision_or_a_counted_rejection() -> None:
    fuzz = Fuzz(seed=1)
    for number in range(1000):
        fuzz.one("propose", number)
        fuzz.one("adjust", number)
    assert fuzz.wrong == []
    counts = fuzz.counts
    for kind in ("propose", "adjust"):
        assert counts[f"{kind} read"] + counts[f"{kind} rejected"] == 1000
        assert min(counts[f"{kind} read"], counts[f"{kind} rejected"]) > 100
    for rest in ("as they came", "repaired", "refused"):
        assert counts[f"model's configurations, {rest}"] > 20
    assert counts["adjust applied with something changed"] > 100
