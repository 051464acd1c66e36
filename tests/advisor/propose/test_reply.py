"""From a model's reply to proposals; every way it can go wrong ends in a counted error."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic import LLMAdvisor, ReplayLLM, ScriptedLLM
from raymimic.advisor import SearchEvidence
from raymimic.advisor.propose.reply import plain, read_proposals
from raymimic.errors import AdvisorError, BadReply, LLMCallError, LLMRefusal, LLMSetupError
from raymimic.space import Choice, FloatRange, SearchSpace

EVIDENCE = SearchEvidence(SearchSpace({"x": FloatRange(0, 1)}), "loss", "min")

KINDS = SearchSpace({"x": FloatRange(0, 1), "kind": Choice(("a", "b"))})


def reply(*configs: Any) -> str:
    items = [{"config": config, "rationale": "why", "expected": 0.5} for config in configs]
    return json.dumps({"proposals": items})


def test_proposals_and_the_paid_call_come_back():
    advice = LLMAdvisor(ScriptedLLM([reply({"x": 0.1}, {"x": 0.2})])).propose(EVIDENCE, 2)
    assert [proposal.config for proposal in advice.proposals] == [{"x": 0.1}, {"x": 0.2}]
    assert {proposal.source for proposal in advice.proposals} == {"llm"}
    (call,) = advice.calls
    assert call.status == "ok"
    assert call.tokens_in > 0
    assert call.reply == reply({"x": 0.1}, {"x": 0.2})
    assert "Propose exactly 2" in call.request["user"]


def test_a_bad_item_costs_only_itself_and_surplus_is_dropped():
    text = json.dumps(
        {"proposals": [3, {"config": [1]}, {"config": {"x": 1}}, {"config": {"x": 2}}]}
    )
    advice = read_proposals(text, 1, EVIDENCE.space)
    assert [proposal.config for proposal in advice.proposals] == [{"x": 1}]
    assert len(advice.drops) == 3
    assert advice.drops[2] == "1 proposal more than the 1 asked for"


def test_a_bad_reply_is_asked_for_once_more_with_the_fault_named():
    llm = ScriptedLLM(["I think a higher learning rate would be nice.", reply({"x": 0.3})])
    advice = LLMAdvisor(llm).propose(EVIDENCE, 1)
    assert advice.proposals[0].config == {"x": 0.3}
    assert "Your last reply was refused" in llm.requests[1].user
    assert [call.status for call in advice.calls] == ["bad_json", "ok"]


@pytest.mark.parametrize(
    ("answers", "reason", "permanent"),
    [
        (["no", "no"], "bad_json", False),
        (['{"proposals": []}', "{}"], "no_proposals", False),
        ([LLMCallError("slow", status="timeout")], "timeout", False),
        ([LLMRefusal("no", status="refusal")], "refusal", False),
        ([LLMSetupError("no such model", status="404")], "404", True),
    ],
)
def test_failures_carry_reason_and_calls(answers, reason, permanent):
    with pytest.raises(AdvisorError) as caught:
        LLMAdvisor(ScriptedLLM(answers)).propose(EVIDENCE, 1)
    assert (caught.value.reason, caught.value.permanent) == (reason, permanent)
    assert [call.status for call in caught.value.calls][-1] == reason
    assert len(caught.value.calls) == len(answers)


def test_a_recorded_search_replays():
    live = LLMAdvisor(ScriptedLLM([reply({"x": 0.1})]))
    (call,) = live.propose(EVIDENCE, 1).calls
    again = LLMAdvisor(ReplayLLM([(call.request, call.reply)])).propose(EVIDENCE, 1)
    assert again.proposals[0].config == {"x": 0.1}
    with pytest.raises(AdvisorError, match="record"):
        LLMAdvisor(ReplayLLM([])).propose(EVIDENCE, 1)


NAMES = st.text(max_size=9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(
    value=JSON
    | st.fixed_dictionaries(
        {
            "proposals": JSON | st.lists(JSON, max_size=4),
            "belief": JSON
            | st.fixed_dictionaries({}, optional=dict.fromkeys(("x", "kind", "z"), JSON)),
        }
    )
)
@settings(max_examples=300, deadline=None)
def test_any_json_gives_proposals_or_a_bad_reply(value):
    try:
        advice = read_proposals(json.dumps(value), 2, KINDS)
    except BadReply:
        return
    assert advice.belief is None or set(advice.belief.places) <= {"x"}
    for proposal in advice.proposals:
        assert isinstance(proposal.config, dict)
        assert proposal.expected is None or math.isfinite(proposal.expected)


@given(text=st.text())
@settings(max_examples=200, deadline=None)
def test_a_rationale_is_one_plain_line(text):
    shown = plain(text + "\x1b[31m\u202e\n" + text)
    assert len(shown) <= 500
    assert shown.isprintable() or shown == ""
    assert "\u202e" not in shown
