"""Real trainings on a simulated clock: what the study counts, with trainings made up."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.forecast import live

EPOCHS = 5


class MadeUp:
    """An epoch takes .1 s; the loss falls to the dropout rate, and deep nets cannot be built."""

    task = SimpleNamespace(settings=SimpleNamespace(epochs=EPOCHS))

    def epoch(self, config: dict[str, Any], number: int) -> tuple[float, float]:
        loss = math.nan if config["n_blocks"] > 6 else config["dropout"] + 1.0 / number
        return loss, 0.1


@pytest.mark.parametrize("arm", live.ARMS)
def test_time_ends_a_run_and_only_whole_trainings_count(arm: str) -> None:
    search = live.search_of(arm, MadeUp(), 0, 6.0)
    found = search.run()
    assert 5.0 < search.now <= 6.0
    assert found["epochs"] <= live.SLOTS * 6.0 / 0.1
    assert found["quarter"] >= found["half"] >= found["all"] >= 1.0 / EPOCHS
    assert found["wholes"] == sum(whole for _, whole, _ in search.rows)
    assert arm == "alone" or found["wholes"] < found["trials"]
