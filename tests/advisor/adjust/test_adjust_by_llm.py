"""From a language model's reply to an adjustment of a running training."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic import LLMAdvisor, ScriptedLLM
from raymimic.advisor import OPERATIONS, Adjuster, AdjustmentAdvice, RunEvidence
from raymimic.errors import AdvisorError, LLMCallError
from raymimic.testing.runs import evidence


def ask(reply: Any, asked: RunEvidence | None = None) -> AdjustmentAdvice:
    text = reply if isinstance(reply, str) else json.dumps(reply)
    return LLMAdvisor(ScriptedLLM([text])).adjust(asked or evidence())


def operation(kind: Any, params: Any = "fc.*", **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "params": params, "amount": None, "toward": None, "values": None} | fields


def test_an_adjustment_comes_back_with_the_paid_call():
    advice = ask(
        {
            "review": "the\nlast move helped",
            "rationale": "still improving",
            "knobs": {"lr": 0.002, "dropout": None},
            "alpha": 0.3,
            "operations": [
                operation("pull", "*", amount=0.2, toward="initial"),
                operation("freeze", "conv.*"),
                operation("delta", "fc.4.bias", values=[[1, 2], [3, 0.5]]),
            ],
        }
    )
    got = advice.adjustment
    assert (got.knobs, got.alpha, got.source) == ({"lr": 0.002}, 0.3, "llm")
    assert (got.review, got.rationale) == ("the last move helped", "still improving")
    pull, freeze, delta = got.operations
    assert (pull.kind, pull.params, pull.amount, pull.toward) == ("pull", "*", 0.2, "initial")
    assert (freeze.kind, freeze.params) == ("freeze", "conv.*")
    assert delta.values == [[1.0, 2.0], [3.0, 0.5]]
    assert advice.drops == ()
    (call,) = advice.calls
    assert (call.status, call.tokens_in > 0) == ("ok", True)
    assert isinstance(LLMAdvisor(ScriptedLLM([])), Adjuster)


@pytest.mark.parametrize("reply", [{}, {"knobs": None, "alpha": None, "operations": []}])
def test_nothing_asked_for_changes_nothing(reply):
    advice = ask(reply)
    assert advice.adjustment.empty
    assert advice.drops == ()


def test_a_knob_may_be_asked_beyond_its_reach_and_is_clipped_by_who_applies_it():
    assert ask({"knobs": {"lr": 5}}).adjustment.knobs == {"lr": 5.0}


BAD_OPERATIONS = [
    (7, "must be an object"),
    (operation("melt"), '"melt"'),
    (operation({}), "kind must be"),
    (operation("pull", params=None, amount=0.1), "params"),
    (operation("pull", params="fc\u202e", amount=0.1), "params"),
    (operation("pull", params="", amount=0.1), "params"),
    (operation("shrink"), "finite number, got null"),
    (operation("shrink", amount=True), "got true"),
    (operation("noise", amount=0.6), "0 to 0.5, got 0.6"),
    (operation("pull", amount=0.1, toward="ema"), "best, initial"),
    (operation("delta", values=3), "nested lists"),
    (operation("delta", values=[]), "1 to 255 numbers, got 0"),
    (operation("delta", values=[[0.0] * 64] * 4), "got 256"),
    (operation("delta", values=[1, [None]]), "finite number, got null"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_OPERATIONS)
def test_a_bad_operation_costs_only_itself(bad, reason):
    good = operation("shrink", amount=0.01)
    advice = ask({"knobs": {"lr": 0.002}, "operations": [bad, good]})
    assert [found.kind for found in advice.adjustment.operations] == ["shrink"]
    assert advice.adjustment.knobs == {"lr": 0.002}
    (drop,) = advice.drops
    assert drop.startswith("operation 1: ")
    assert reason in drop


def test_only_a_pull_needs_an_anchor_and_takes_the_best_where_it_names_none():
    items = [operation("pull", amount=0.1), operation("shrink", amount=0.1)]
    pull, _ = ask({"operations": items}).adjustment.operations
    assert pull.toward == "best"
    advice = ask({"operations": items}, evidence(anchors=()))
    assert [found.kind for found in advice.adjustment.operations] == ["shrink"]
    assert "there is (no anchor)" in advice.drops[0]


def test_as_many_operations_as_are_read_and_a_single_value_are_fine():
    one = operation("delta", "fc.4.bias", values=[0.5])
    advice = ask({"operations": [operation("freeze")] * 31 + [one]})
    assert len(advice.adjustment.operations) == 32
    assert advice.drops == ()


def test_bad_knobs_alpha_and_shapes_are_dropped_in_words():
    knobs = {"lr": 0.002, "dropout": True, "warp": 9}
    advice = ask({"knobs": knobs, "alpha": "0.1", "operations": {}})
    assert advice.adjustment.knobs == {"lr": 0.002}
    assert advice.adjustment.alpha == 0.0  # none would mean the largest
    assert advice.adjustment.operations == ()
    assert set(advice.drops) == {
        'knob "dropout": must be a finite number, got true',
        'knob "warp": there is no such knob',
        'alpha: must be a finite number, got "0.1"; taken as 0',
        "operations: must be a list, got {}",
    }
    assert ask({"knobs": [0.1]}).drops == ("knobs: must be an object, got [0.1]",)
    many = ask(
        {"operations": [operation("freeze")] * 40, "knobs": dict.fromkeys("abcdefgh" * 9, 1)}
    )
    assert len(many.adjustment.operations) == 32
    assert any("8 operations beyond" in drop for drop in many.drops)
    assert len(ask({"operations": [1] * 9000}).drops) <= 17


def test_a_bad_reply_is_asked_for_once_more_with_the_fault_named():
    llm = ScriptedLLM(["Lower the learning rate.", json.dumps({"knobs": {"lr": 0.0005}})])
    advice = LLMAdvisor(llm).adjust(evidence())
    assert advice.adjustment.knobs == {"lr": 0.0005}
    assert "Your last reply was refused" in llm.requests[1].user
    assert [call.status for call in advice.calls] == ["bad_json", "ok"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (["no", '{"alpha": NaN}'], "bad_json"),
        ([LLMCallError("slow", status="timeout")], "timeout"),
    ],
)
def test_failures_carry_reason_and_calls(answers, reason):
    with pytest.raises(AdvisorError) as caught:
        LLMAdvisor(ScriptedLLM(answers)).adjust(evidence())
    assert caught.value.reason == reason
    assert len(caught.value.calls) == len(answers)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
MAYBE = JSON | st.floats(-1, 11) | st.just(0.2)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(list(OPERATIONS)) | JSON,
        "params": st.sampled_from(["*", "fc.4.bias"]) | JSON,
        "amount": MAYBE,
        "toward": st.sampled_from(["best", "ema", None]) | JSON,
        "values": st.lists(MAYBE, max_size=3) | JSON,
    },
)
REPLIES = st.fixed_dictionaries(
    {},
    optional={
        "review": JSON,
        "rationale": JSON,
        "knobs": st.dictionaries(st.sampled_from(["lr", "dropout", "x"]), MAYBE) | JSON,
        "alpha": MAYBE,
        "operations": st.lists(ITEMS | JSON, max_size=4) | JSON,
    },
)
EVIDENCE = evidence()


@given(value=REPLIES | JSON)
@settings(max_examples=300, deadline=None)
def test_any_reply_gives_finite_known_changes_or_an_advisor_error(value):
    text = json.dumps(value)
    try:
        advice = LLMAdvisor(ScriptedLLM([text, text])).adjust(EVIDENCE)
    except AdvisorError:
        return
    got = advice.adjustment
    assert set(got.knobs) <= {"lr", "dropout"}
    assert all(math.isfinite(number) for number in got.knobs.values())
    assert got.alpha is None or math.isfinite(got.alpha)
    for found in got.operations:
        low, high = OPERATIONS[found.kind].bounds or (1.0, 1.0)
        assert found.params
        assert low <= found.amount <= high
        assert found.toward in EVIDENCE.anchors
        assert found.values is None or all(map(math.isfinite, flat(found.values)))
    for line in (*advice.drops, got.rationale, got.review):
        assert line.isprintable()


def flat(values: list[Any]) -> list[float]:
    return [x for item in values for x in (flat(item) if isinstance(item, list) else [item])]
