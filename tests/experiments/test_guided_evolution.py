"""The study of Guided Evolution: a recording replays its whole evolution, asking nobody."""

from __future__ import annotations

import json
import math
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="candidate programs are torch programs")

from experiments.guided_evolution import loop
from experiments.guided_evolution.cassette import insert, record, recorded, seed_of
from experiments.guided_evolution.confirm import chosen, report, sources_of
from experiments.guided_evolution.earned import told
from raymimic import ReplayLLM, Reply, Request
from raymimic.evolution import seed_program
from raymimic.evolution.sealed import seal


class Editing:
    """Adds a new name to the block that it is shown; its third answer does not parse."""

    model = "editing"

    def __init__(self) -> None:
        self.asked = 0

    def complete(self, request: Request) -> Reply:
        self.asked += 1
        shown = re.findall(r"~~~python\n(.*?)\n~~~", request.user, re.DOTALL)[-1]
        lines = [line for line in shown.splitlines() if line != "x = ("]
        code = [*lines, "x = (" if self.asked == 3 else f"NAME_{self.asked} = 0"]
        return Reply(json.dumps({"rationale": f"name {self.asked}", "code": code}), self.model)


class Scores:
    """Stands for the sandbox: a longer program is better, and none fails."""

    mechanism = "none"

    def __init__(self, task: object) -> None:
        del task

    def check(self, source: str) -> None:
        del source

    def close(self) -> None: ...


@pytest.fixture
def stops() -> list[int]:
    """Signals that come while the fifth program is trained."""
    return []


@pytest.fixture
def evolve(monkeypatch, tmp_path, stops):
    def train(made, runner, found, trial):
        del runner
        if stops and found.id == 4:
            os.kill(os.getpid(), stops.pop())
        size = float(len(found.source))
        return made.tell(trial, {"accuracy": 1 - 300 / size, "parameters": size}, [0.5])

    monkeypatch.setattr("raymimic.evolution.engine.SmokeTest", Scores)
    monkeypatch.setattr(loop, "Runner", Scores)
    monkeypatch.setattr(loop, "_train", train)

    def run(name: str, llm: object):
        ledger = tmp_path / f"{name}.jsonl"
        return loop.evolve(
            seed_program("conv1d"), None, ledger, 10, llm=llm, at_once=4, say=lambda _: None
        )

    return run


def lineage(made) -> list[tuple[object, ...]]:
    found = made.state.individuals.values()
    return [(one.id, one.source, one.parents, one.operator, one.status) for one in found]


def test_a_recording_replays_its_evolution_and_says_what_it_earned(evolve, tmp_path: Path) -> None:
    llm = Editing()
    first = evolve("first", llm)
    assert llm.asked == 10  # nine children and a repair: no question more than is trained
    cassette = tmp_path / "kept" / "recording.jsonl.gz"
    record(first.ledger.path, cassette)
    insert(cassette, tmp_path / "again.jsonl")
    again = evolve("again", ReplayLLM([]))
    assert lineage(again) == lineage(first)
    assert not again.state.keyless
    assert seed_of(recorded(cassette)).source == first.state.seed.source
    best = first.state.front()[0]
    assert sources_of(cassette)[f"recording/{best.id}"] == best.source
    text = told(cassette)
    assert "10 calls, 10 replies, 9 valid children (90 of 100 replies; 1 after a repair)" in text
    assert "## From the seed to program" in text


def test_a_run_that_is_stopped_keeps_what_it_has_and_goes_on(evolve, stops) -> None:
    stops.append(signal.SIGTERM)
    stopped = evolve("stopped", None)
    assert [one.status for one in stopped.state.individuals.values()] == ["done"] * 4 + ["running"]
    again = evolve("stopped", None)
    assert lineage(again)[:4] == lineage(stopped)[:4]
    assert len(again.state.of_status("done")) == 10


def trained(name: str, parameters: int, *accuracies: float) -> list[dict[str, object]]:
    sealed = seal(np.array([0, 1, 0, 1]))
    return [
        {"program": name, "seed": seed, "accuracy": accuracy, "parameters": parameters,
         "test_predictions": sealed}
        for seed, accuracy in enumerate(accuracies)
    ]  # fmt: skip


def test_validation_means_choose_and_test_is_read_for_the_chosen_alone() -> None:
    rows = [
        *trained("seed", 100, 0.5, 0.6),
        *trained("lucky", 100, 0.9, 0.5),
        *trained("steady", 90, 0.7, 0.8),
        *trained("large", 101, 0.9, 0.9),
        *trained("young", 60, 0.9),
        *trained("small", 60, 0.5, 0.5),
        *trained("failed", 50, math.nan, 0.9),
    ]
    assert chosen(rows) == {"accuracy": "steady", "size": "small"}
    lines = report(rows, np.array([0, 1, 1, 1])).splitlines()
    read = [line.split("|")[1].strip() for line in lines if "0.7500 +- 0.0000" in line]
    assert read == ["steady", "seed", "small"]
    assert sum("not read" in line for line in lines) == 4
