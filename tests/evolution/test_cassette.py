"""The recorded mind of the study, replayed: the same prompts, gates and repair, the same tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from minds import GOALS, next_one

from raymimic import ReplayLLM, TrainingTask, read_events
from raymimic.evolution import Evolution, Settings, seed_program
from raymimic.evolution.state import State

CASSETTE = (
    Path(__file__).parents[2] / "experiments/guided_evolution/results/minds/mnist1d_author_0.jsonl"
)


def recorded() -> State:
    state = State(seed_program("conv1d"), GOALS)
    for row in read_events(CASSETTE).rows:
        state.apply(row)
    return state


def test_the_recorded_evolution_comes_out_the_same(tmp_path, sandboxed):
    del sandboxed  # skips where no mechanism works
    known = recorded()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 1, 40)), np.arange(200) % 10
    made = Evolution(
        seed_program("conv1d"),
        GOALS,
        llm=ReplayLLM.from_ledger(CASSETTE),
        task=TrainingTask(x, y, x, y),
        settings=Settings(seed=0),
        ledger=tmp_path / "ledger.jsonl",
    )
    ended = known.of_status("done")
    assert len(ended) >= 19
    for one in ended:
        found = next_one(made, f"t{one.id}")
        assert (found.id, found.source, found.operator, found.parents, found.repaired) == (
            one.id, one.source, one.operator, one.parents, one.repaired,
        )  # fmt: skip
        made.tell(f"t{one.id}", one.values, one.curve)
    made.close()
    assert [one.id for one in made.state.front()] == [one.id for one in known.front()]


def test_every_operator_was_used_and_one_child_was_repaired():
    known = recorded()
    assert {
        "plain",
        "crossover",
        "evolution of thought",
        "role play: expert",
        "role play: mad scientist",
    } <= set(known.tally)
    assert sum(one.repaired for one in known.individuals.values()) == 1
    assert known.front()[0].values["accuracy"] > 0.97
