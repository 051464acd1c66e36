"""What a model's reply had to be mended by, and what its server is like, reaches the record."""

from __future__ import annotations

import json

import pytest

from raymimic.advisor.llm import LLMAdvisor
from raymimic.errors import AdvisorError, BadReply
from raymimic.llm import Reply, Request, ScriptedLLM
from raymimic.testing.searches import evidence

PROPOSAL = {"config": {"lr": 0.1}, "rationale": "r"}


class Server:
    model = "m"

    def complete(self, request: Request) -> Reply:
        del request
        return Reply(json.dumps([PROPOSAL]), "m", repairs=("there",), server={"context": 4096})


def test_the_call_says_what_was_mended_and_what_the_server_is_like() -> None:
    advice = LLMAdvisor(Server()).propose(evidence(), 1)
    (call,) = advice.calls
    assert call.repairs == ("there", "a bare list read as proposals")
    assert call.server == {"context": 4096}
    assert advice.proposals[0].repairs


def test_the_second_try_after_a_reply_that_was_cut_off_may_be_longer() -> None:
    llm = ScriptedLLM([BadReply("cut off", status="truncated"), "{}"])
    with pytest.raises(AdvisorError):
        LLMAdvisor(llm).propose(evidence(), 2)
    first, second = llm.requests
    assert second.max_tokens > 2 * first.max_tokens
