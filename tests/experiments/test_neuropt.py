"""neuropt's loop as the study runs it: what it asks, what it accepts, when it gives up."""

from __future__ import annotations

import json
import math

import pytest
from ray import tune

from experiments.head_to_head.neuropt import NeuroptSearcher
from experiments.head_to_head.neuropt_text import Trial, signal
from raymimic.errors import LLMCallError
from raymimic.llm import ScriptedLLM

SPACE = {
    "lr": tune.loguniform(1e-4, 1e-1),
    "width": tune.randint(8, 65),
    "norm": tune.choice([True, False]),
    "pool": tune.choice(["max", "avg"]),
}


def config(lr=0.01, **changes):
    return {"lr": lr, "width": 32, "norm": True, "pool": "max", **changes}


def batch(*configs):
    return json.dumps({"configs": list(configs)})


def searcher(*replies, space=SPACE, mode="min"):
    llm = ScriptedLLM(replies)
    made = NeuroptSearcher(llm, seed=0)
    assert made.set_search_properties("val_loss", mode, space)
    return made, llm


def run(made, trial_id, train=(2.0, 1.0), val=(2.1, 1.1)):
    suggested = made.suggest(trial_id)
    for epoch, (a, b) in enumerate(zip(train, val, strict=True), start=1):
        result = {"train_loss": a, "val_loss": b, "training_iteration": epoch}
        if epoch < len(train):
            made.on_trial_result(trial_id, result)
        else:
            made.on_trial_complete(trial_id, result)
    return suggested


GOOD = (config(0.01), config(0.02), config(0.03))


def test_a_batch_of_three_is_one_call_and_the_next_one_sees_its_results():
    made, llm = searcher(batch(*GOOD), batch(config(0.04), config(0.05), config(0.06)))
    assert [run(made, f"t{i}") for i in range(3)] == list(GOOD)
    assert len(llm.requests) == 1
    assert "lower is better" in llm.requests[0].user
    assert "Recent experiments" not in llm.requests[0].user
    assert run(made, "t3") == config(0.04)
    text = llm.requests[1].user
    assert "| 3 | 0.03 | 32 | True | max | 1.1000 | ok |" in text
    assert "  ep2: train_loss=1.0000 val_loss=1.1000" in text
    assert "Score: 1.1000" in text
    assert made.trial("t3").source == "llm"
    assert made.tally.tokens_in > 0


def test_numbers_are_clamped_and_rounded_and_other_keys_ignored():
    odd = {**config(5.0, width=20.4), "extra": 1}
    made, _ = searcher("Sure! " + json.dumps([odd, config(1e-9, width=1000), config()]))
    assert [made.suggest(f"t{i}") for i in range(3)] == [
        config(0.1, width=20), config(1e-4, width=64), config(),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "reply",
    [
        batch(config(0.01), config(0.02), config(0.03, pool="median")),
        batch(config(0.01), config(0.02), {"lr": 0.03}),
        batch(config(0.01), config(0.02), config(-1.0)),
        batch(config(0.01), config(0.02), config(width=1e999)),
        batch(config(0.01), config(0.02), config(width="wide")),
        batch(config(0.01), config(0.02)),
        batch(config(0.01), config(0.02), config(0.03), config(0.04)),
        "Ideas [one]: " + batch(*GOOD),
        "no idea",
        LLMCallError("down", status="503"),
    ],
    ids=["choice", "missing", "log", "infinite", "text", "two", "four", "prose", "none", "down"],
)
def test_anything_wrong_makes_the_whole_batch_random(reply):
    made, llm = searcher(reply, batch(*GOOD))
    proposals = [made.suggest(f"t{i}") for i in range(3)]
    assert config(0.01) not in proposals
    for i in range(3):
        assert made.trial(f"t{i}").source == "random"
        assert made.trial(f"t{i}").rationale.startswith("random fallback")
    assert made.suggest("t3") == config(0.01)
    assert len(llm.requests) == 2


def test_duplicates_are_asked_for_again_and_then_random():
    twice = batch(config(0.05), config(0.01), config(0.05))
    made, llm = searcher(batch(*GOOD), twice, twice, twice)
    for i in range(3):
        run(made, f"t{i}")
    proposals = [made.suggest(f"t{i}") for i in range(3, 6)]
    assert len(llm.requests) == 4
    assert '"lr": 0.01' in llm.requests[2].user
    assert "Score: 1.1000" in llm.requests[2].user
    assert "is better" not in llm.requests[2].user  # the repeated question forgets the direction
    assert proposals[0] == config(0.05)
    assert [made.trial(f"t{i}").source for i in range(3, 6)] == ["llm", "random", "random"]


def test_a_failed_trial_is_a_row_without_reason_or_curve():
    made, llm = searcher(batch(*GOOD), batch(*GOOD))
    run(made, "t0")
    made.suggest("t1")
    made.on_trial_result("t1", {"train_loss": 7.7, "val_loss": math.nan})
    made.on_trial_complete("t1", error=True)
    run(made, "t2", val=(2.0, math.nan))
    made.suggest("t3")
    text = llm.requests[1].user
    assert "| 2 | 0.02 | 32 | True | max | inf | error |" in text
    assert "7.7" not in text
    assert "| 3 | 0.03 | 32 | True | max | inf | ok |" in text


def test_only_the_last_twenty_trials_and_eight_curves_are_shown():
    replies = [batch(*(config(0.001 + i / 1e4 + j / 1e5) for j in range(3))) for i in range(9)]
    made, llm = searcher(*replies)
    for i in range(25):
        run(made, f"t{i}")
    text = llm.requests[-1].user  # asked before trial 25
    assert "\n| 4 |" not in text
    assert "\n| 5 |" in text
    assert "\n| 24 |" in text
    assert text.count("  ep1:") == 8


@pytest.mark.parametrize(
    ("train", "val", "said"),
    [
        ((2.30, 0.09), (1.52, 1.89), "OVERFITTING"),
        ((0.69, 0.05), (0.30, 0.34), ""),  # a binary overfit: the gap is .29
        ((0.693, 0.693), (0.693, 0.693), ""),  # stuck at chance
        ((100.0, 20.0), (100.0, 20.0), "UNDERFITTING"),  # a healthy regression
        ((2.0, 1e9), (2.0, 1e9), "UNDERFITTING"),  # diverged
        ((0.023, 0.0009), (0.0152, 0.0189), ""),  # the first one in other units
    ],
)
def test_the_two_signals_have_absolute_thresholds(train, val, said):
    curves = {"train_loss": list(train), "val_loss": list(val)}
    (line,) = signal(Trial(config(), val[-1], "ok", curves)) or [""]
    assert line.startswith(f"- {said}") if said else not line


def test_without_a_model_it_is_random_search():
    first, second = (NeuroptSearcher(None, seed=3) for _ in range(2))
    for made in (first, second):
        made.set_search_properties("val_loss", "min", SPACE)
    assert [first.suggest(f"t{i}") for i in range(4)] == [second.suggest(f"t{i}") for i in range(4)]
