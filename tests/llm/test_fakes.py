"""ScriptedLLM and ReplayLLM."""

from __future__ import annotations

import pickle
import time
from dataclasses import replace

import pytest

from raymimic.errors import BadReply, LLMCallError
from raymimic.llm import LLM, ReplayLLM, Request, ScriptedLLM, request_json, request_key

ASK = Request(system="s", user="u", schema={"type": "object", "properties": {}})
OTHER = replace(ASK, user="another question")


def test_a_script_is_played_in_order_and_keeps_what_was_asked() -> None:
    llm = ScriptedLLM(["one", BadReply("no", status="x"), lambda request: request.user])
    assert isinstance(llm, LLM)
    assert llm.complete(ASK).text == "one"
    with pytest.raises(BadReply, match="no"):
        llm.complete(ASK)
    reply = llm.complete(OTHER)
    assert (reply.text, reply.model, reply.cost) == ("another question", "scripted", 0.0)
    assert llm.requests == [ASK, ASK, OTHER]
    with pytest.raises(LLMCallError, match="no reply for request 4") as raised:
        llm.complete(ASK)
    assert not raised.value.retryable


def test_a_script_takes_its_latency_within_the_deadline() -> None:
    llm = ScriptedLLM(["one", "two"], latency=0.1)
    started = time.monotonic()
    assert llm.complete(ASK).seconds == 0.1
    assert time.monotonic() - started >= 0.1
    with pytest.raises(LLMCallError) as raised:
        llm.complete(replace(ASK, deadline=0.05))
    assert raised.value.status == "timeout"


def test_a_record_answers_equal_requests_in_order() -> None:
    llm = ReplayLLM([(ASK, "one"), (request_json(ASK), "two"), (OTHER, "three")])
    assert isinstance(llm, LLM)
    assert llm.complete(replace(ASK, deadline=1.0)).text == "one"
    assert llm.complete(OTHER).text == "three"
    assert pickle.loads(pickle.dumps(llm)).complete(ASK).text == "two"
    assert llm.complete(ASK).text == "two"
    with pytest.raises(LLMCallError, match="record") as raised:
        llm.complete(ASK)
    assert raised.value.status == "not_recorded"


def test_a_request_that_was_never_recorded_is_said() -> None:
    with pytest.raises(LLMCallError, match=request_key(OTHER)[:12]):
        ReplayLLM([(ASK, "one")]).complete(OTHER)


def test_the_key_depends_on_the_question_alone() -> None:
    turned = replace(ASK, schema={"properties": {}, "type": "object"}, deadline=3.0)
    assert request_key(turned) == request_key(ASK) == request_key(request_json(ASK))
    assert len({request_key(r) for r in (ASK, OTHER, replace(ASK, max_tokens=1))}) == 3
