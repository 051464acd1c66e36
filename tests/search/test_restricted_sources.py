"""No proposal of any source breaks a restriction."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from engine import Engine

from raymimic import HeuristicAdvisor, LLMAdvisor, MixtureAdvisor, RandomAdvisor, ScriptedLLM
from raymimic.advisor import Advisor
from raymimic.records import Config, Proposal
from raymimic.space import Choice, FloatRange, IntRange, SearchSpace

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "width": IntRange(8, 4096, log=True),
        "depth": IntRange(1, 16),
        "opt": Choice(("sgd", "adam", "adamw")),
    }
)
OUTSIDE = {"lr": 0.5, "width": 4096, "depth": 16, "opt": "sgd"}


def even(config: Config) -> bool:
    return config["depth"] % 2 == 0


def reply(*configs: Config) -> str:
    return json.dumps({"proposals": [{"config": one, "rationale": "r"} for one in configs]})


def scripted() -> Advisor:
    inside = {"lr": 1e-4, "width": 16, "depth": 2, "opt": "adam"}
    return MixtureAdvisor(LLMAdvisor(ScriptedLLM([reply(OUTSIDE, inside)] * 20)), seed=0)


ADVISORS: dict[str, Callable[[], Advisor]] = {
    "model": scripted,
    "model alone": lambda: LLMAdvisor(ScriptedLLM([reply(OUTSIDE)] * 20)),
    "keyless": lambda: HeuristicAdvisor(0),
    "random": lambda: RandomAdvisor(0),
    "dead": lambda: LLMAdvisor(ScriptedLLM([])),
}


@pytest.mark.parametrize(
    "constraints",
    [
        ("lr < 2e-4", "opt != 'sgd'", "width * depth <= 64"),
        ("opt == 'adamw'", even, "width < 9"),
        ("lr * width > 3000",),
    ],
)
@pytest.mark.parametrize("source", ADVISORS)
def test_no_source_leaves_what_is_allowed(
    source: str, constraints: Any, make: Callable[..., Engine]
) -> None:
    engine = make(ADVISORS[source](), space=SPACE, constraints=constraints, slots=2)
    space = engine.session.state.space
    engine.session.enqueue(Proposal(OUTSIDE, "a user's point", "user"), 0)
    for number in range(12):
        config = engine.suggest(f"t{number}")
        assert space.refusal(config) == "", engine.session.state.trial(f"t{number}")
        engine.end(f"t{number}", abs(config["lr"] - 0.1) + config["width"] / 4096)
    assert engine.tally.drops["restricted"] >= 1 + 2 * source.startswith("model")
    assert any("is outside what you allow" in row["text"] for row in engine.events("drop"))


def test_a_model_is_told_what_was_set_aside(make: Callable[..., Engine]) -> None:
    engine = make(scripted(), space=SPACE, constraints=("width * depth <= 64",))
    engine.suggest("t0")
    assert any("width * depth <= 64" in text for text in engine.session.evidence().drops)
