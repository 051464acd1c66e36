"""A mind as searcher and judge under one budget, offline: a scripted one stops what it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from ray import tune

from experiments.forecast import mind
from raymimic import Reply, Request, read_events


class Task:
    """Losses fall to how far x lies from 0.3, over twenty epochs; some from higher than others."""

    name, metric, mode, epochs = "bowl", "loss", "min", 20

    def param_space(self) -> dict[str, Any]:
        return {"x": tune.uniform(0.0, 1.0)}

    def value(self, config: dict[str, Any]) -> float:
        return abs(float(config["x"]) - 0.3)

    regret = test = value

    def train(self, config: dict[str, Any], seed: int, trial: int) -> Iterator[dict[str, float]]:
        del seed, trial
        height = 1.0 + 37.0 * float(config["x"]) % 1.0
        for epoch in range(1, self.epochs + 1):
            yield {"loss": self.value(config) + height * (1 - epoch / self.epochs)}

    def train_seconds(self, config: dict[str, Any], seed: int) -> list[float]:
        del config, seed
        return []


class Scripted:
    """Proposes from the right to the left; as a judge it stops whatever it may."""

    model = "scripted"

    def __init__(self) -> None:
        self.next, self.judged = 0, 0

    def complete(self, request: Request) -> Reply:
        if "judgements" in request.schema["properties"]:
            self.judged += 1
            ids = [part.split('"')[0] for part in request.user.split('trial "')[1:]]
            told = [{"trial_id": name, "action": "stop", "reason": "behind"} for name in ids]
            return Reply(json.dumps({"judgements": told}), self.model)
        configs = [(900 - 13 * (self.next + n)) % 1000 / 1000 for n in range(4)]
        self.next += 4
        told = [{"config": {"x": x}, "rationale": "left", "expected": None} for x in configs]
        return Reply(json.dumps({"proposals": told, "belief": None}), self.model)


def test_a_mind_searches_and_judges_and_each_epoch_waits_for_it(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    scripted = Scripted()
    rows = mind.search(Task(), scripted, "mind", 0, ledger)
    told = pd.DataFrame(rows)
    assert (told["source"] == "llm").any()
    found = mind.outcome(told)
    assert found["trials"] > found["whole"] >= 3
    assert found["@10"] <= found["@3"] < 1.0
    judged = read_events(ledger).of("judgement")
    assert scripted.judged > 0, "nothing was in doubt"
    assert {row["outcome"] for row in judged} <= {"applied", "outdated", "stale"}
    assert scripted.judged - 1 <= len(judged) <= scripted.judged  # the last one may end unheard


def test_the_keyless_pair_asks_nobody(tmp_path: Path) -> None:
    rows = mind.search(Task(), "none", "keyless", 0, tmp_path / "ledger.jsonl")
    assert mind.outcome(pd.DataFrame(rows))["model's"] == 0
