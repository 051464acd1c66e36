"""Model servers as they are: each quirk costs a try at most, is learnt, and shows in the record."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic  # noqa: F401 - imported here so that no test's deadline pays for it
import openai  # noqa: F401
import pytest
from llm_settings import MakeLLM

from raymimic.errors import BadReply, LLMCallError, LLMError, LLMRefusal, LLMSetupError
from raymimic.llm import OpenAILLM, Request, call_record
from raymimic.llm.context import fitted, read_reply_limit, read_room
from raymimic.testing.server import Body, Fault, Status, StubServer

ANSWER = '{"a": 1}'


@pytest.fixture
def llm(stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> OpenAILLM:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return OpenAILLM("m", base_url=f"http://{stub.host}/v1")


def chat(content: Any, finish: str = "stop", tokens: int = 10, **message: Any) -> Body:
    choice = {"finish_reason": finish, "message": {"content": content, **message}}
    usage = {"prompt_tokens": 100, "completion_tokens": tokens}
    return Body(json.dumps({"choices": [choice], "usage": usage}).encode())


def says(code: int, words: str) -> Status:
    return Status(code, error={"message": words})


def cap_of(body: Mapping[str, Any]) -> int:
    return int(body.get("max_completion_tokens") or body["max_tokens"])


# -- where the answer stands -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "mended"),
    [
        (chat([{"type": "text", "text": ANSWER}]), False),
        (chat([{"type": "thinking", "thinking": [{"type": "text", "text": "{"}]},
               {"type": "text", "text": ANSWER}]), False),
        (chat({"a": 1}), False),
        (chat("", reasoning_content=ANSWER), True),
        (chat(None, reasoning=f"so {ANSWER}"), True),
        (chat(None, tool_calls=[{"function": {"name": "reply", "arguments": ANSWER}}]), True),
        (chat(None, function_call={"name": "reply", "arguments": {"a": 1}}), True),
        (chat(ANSWER + "\n" * 99, "length"), True),
    ],
)  # fmt: skip
def test_an_answer_is_read_where_it_stands(
    llm: OpenAILLM, stub: StubServer, ask: Request, reply: Body, mended: bool
) -> None:
    stub.faults.append(reply)
    got = llm.complete(ask)
    assert ANSWER in got.text
    assert bool(got.repairs) == mended
    assert call_record("m", ask, got, 0.0).repairs == got.repairs


# -- reasoning that eats the cap -------------------------------------------------------------------


@pytest.mark.parametrize(
    "cut", [chat("", "length", 100), chat("<think>so", "length", 100), chat("", "stop", 100)]
)
def test_a_reply_that_reasoning_cut_off_is_allowed_much_more_and_that_is_remembered(
    llm: OpenAILLM, stub: StubServer, ask: Request, cut: Body
) -> None:
    stub.rule = lambda body: "none" if cap_of(body) >= 4400 else cut
    reply = llm.complete(ask)
    assert reply.failed_tries == ("truncated",)
    assert reply.tokens_in == 123 + 100  # both were paid
    assert reply.server == {"reply_tokens": 8192}
    assert pickle.loads(pickle.dumps(llm)).complete(ask).tries == 1
    assert [cap_of(seen.body) for seen in stub.seen] == [100, 8192, 8192]


def test_a_model_that_never_ends_is_asked_three_times_and_then_once(
    make_llm: MakeLLM, stub: StubServer, ask: Request
) -> None:
    stub.rule = lambda body: "truncated"
    llm = make_llm()
    with pytest.raises(BadReply) as raised:
        llm.complete(ask)
    assert raised.value.failed_tries == ("truncated",) * 3
    assert raised.value.tokens_in == 3 * 123
    with pytest.raises(BadReply):
        llm.complete(ask)
    assert len(stub.seen) == 4


def test_the_users_own_cap_is_kept(make_llm: MakeLLM, stub: StubServer, ask: Request) -> None:
    stub.faults.append("truncated")
    with pytest.raises(BadReply, match="raise max_tokens"):
        make_llm(max_tokens=700).complete(ask)
    assert stub.seen[0].body.get("max_tokens") or cap_of(stub.seen[0].body) == 700
    with pytest.raises(LLMSetupError, match="max_tokens"):
        make_llm(max_tokens=0)


# -- what the server does not take -----------------------------------------------------------------


@pytest.mark.parametrize("code", [400, 422, 500])
@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "messages.0.role: Input should be 'user' or 'assistant'",
    ],
)
def test_a_system_role_that_is_refused_is_merged_and_that_is_remembered(
    make_llm: MakeLLM, stub: StubServer, ask: Request, code: int, words: str
) -> None:
    def rule(body: Mapping[str, Any]) -> Fault:
        has_system = "system" in body or body["messages"][0]["role"] == "system"
        return says(code, words) if has_system else "none"

    stub.rule, llm = rule, make_llm()
    reply = llm.complete(ask)
    assert reply.failed_tries == (str(code),)
    assert reply.server == {"without": ["system"]}
    assert llm.complete(ask).tries == 1
    assert stub.seen[-1].body["messages"] == [{"role": "user", "content": "You tune.\n\nNext?"}]


CONTEXT = (
    "This model's maximum context length is 8192 tokens. However, you requested {total} tokens "
    "({prompt} in the messages, {cap} in the completion). 'max_completion_tokens' is too large."
)


def refuses_beyond(window: int, characters: float, words: str) -> Any:
    def rule(body: Mapping[str, Any]) -> Fault:
        prompt = int(sum(len(turn["content"]) for turn in body["messages"]) / characters)
        total = prompt + cap_of(body)
        text = words.format(total=total, prompt=prompt, cap=cap_of(body))
        return says(400, text) if total > window else "none"

    return rule


@pytest.mark.parametrize("words", [CONTEXT, "the request exceeds the available context size (8192)",
                                   "prompt is too long"])  # fmt: skip
@pytest.mark.parametrize("lines", [900, 3000])
def test_a_context_that_is_too_small_gets_a_smaller_cap_and_then_a_shorter_prompt(
    llm: OpenAILLM, stub: StubServer, ask: Request, words: str, lines: int
) -> None:
    stub.rule = refuses_beyond(8192, 3.5, words)
    user = "\n".join(["first", *(f"trial {i} lr=0.001 loss=0.5" for i in range(lines)), "last"])
    question = replace(ask, user=user, max_tokens=2048)
    llm.complete(question)
    sent = stub.seen[-1].body
    text = sent["messages"][1]["content"]
    assert text.startswith("first\n")
    assert text.endswith("\nlast")
    assert (text == user) == (lines == 900)
    assert cap_of(sent) >= 256
    assert llm.learnt.without == frozenset()  # nothing false is learnt from the wording
    if words == CONTEXT:
        assert llm.learnt.context == 8192
        assert llm.complete(question).tries == 1


@pytest.mark.parametrize(
    ("words", "cap", "window", "prompt"),
    [
        (CONTEXT.format(total=9048, prompt=7000, cap=2048), 2048, 8192, 7000),
        ("'max_tokens' or 'max_completion_tokens' is too large: 2048. This model's maximum context "
         "length is 8192 tokens and your request has 7000 input tokens (2048 > 8192 - 7000).",
         2048, 8192, 7000),
        ("request (7000 tokens) exceeds the available context size (8,192 tokens)", 99, 8192, 7000),
        ("This model's maximum context length is 512 tokens, however you requested 3000 tokens "
         "(2952 in your prompt; 48 for the completion).", 48, 512, 2952),
        ("prompt is too long: 215000 tokens > 200000 maximum", 99, 200000, 215000),
        ("input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000", 8192,
         200000, 195000),
        ("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 3000 `inputs` tokens and 2048 "
         "`max_new_tokens`", 2048, 4096, 3000),
    ],
)  # fmt: skip
def test_what_servers_say_of_their_context_is_read(
    words: str, cap: int, window: int, prompt: int, ask: Request
) -> None:
    room = read_room(words, cap)
    assert room is not None
    assert (room.window, room.prompt) == (window, prompt)
    question = replace(ask, user="a line\n" * 9999, max_tokens=cap)
    small = fitted(question, window, prompt)
    assert small.max_tokens + prompt * len(small.user) / len(question.user) <= window


@pytest.mark.parametrize("words", ["System role not supported", "strict: extra inputs", "no"])
def test_other_words_say_nothing_of_a_context(words: str) -> None:
    assert read_room(words, 2048) is None
    assert read_reply_limit(words, 2048) is None


def test_a_servers_limit_on_a_reply_is_kept(llm: OpenAILLM, stub: StubServer, ask: Request) -> None:
    words = "max_tokens is too large: {0}. This model supports at most 4096 completion tokens"
    stub.rule = lambda body: (
        says(400, words.format(cap_of(body))) if cap_of(body) > 4096 else "none"
    )
    question = replace(ask, max_tokens=6000)
    assert llm.complete(question).server == {"reply_limit": 4096}
    assert llm.complete(question).tries == 1


def test_a_passing_fault_teaches_nothing(llm: OpenAILLM, stub: StubServer, ask: Request) -> None:
    stub.faults.extend([says(500, "the schema service is down"), says(400, "restricted region")])
    with pytest.raises(LLMError):
        llm.complete(ask)
    assert llm.learnt.to_json() == {}


# -- errors inside HTTP 200 ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "kind", "status"),
    [
        ({"error": {"code": 429, "message": "Rate limit exceeded"}}, LLMCallError, "429"),
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, LLMCallError, "503"),
        ({"error": "model is overloaded, try again later"}, LLMCallError, "503"),
        ({"error": {"code": "content_filter", "message": "x"}}, LLMRefusal, "refusal"),
        ({"error": {"code": "insufficient_quota", "message": "x"}}, LLMCallError, "spend_limit"),
        ({"error": {"code": "401", "message": "bad key"}}, LLMSetupError, "401"),
        ({"object": "error", "message": "no", "code": 404}, LLMSetupError, "404"),
        ({"choices": [{"error": {"code": 502, "message": "upstream"}, "finish_reason": "error",
                       "message": {"content": ""}}]}, LLMCallError, "502"),
    ],
)  # fmt: skip
def test_an_error_inside_200_is_what_it_says(
    llm: OpenAILLM, stub: StubServer, ask: Request, inside: dict[str, Any], kind: type, status: str
) -> None:
    stub.rule = lambda body: Body(json.dumps(inside).encode())
    with pytest.raises(kind) as raised:
        llm.complete(ask)
    assert raised.value.status == status
    assert len(stub.seen) == (3 if raised.value.retryable else 1)


def test_an_error_inside_200_in_the_other_dialect(
    make_llm: MakeLLM, stub: StubServer, ask: Request
) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    stub.faults.append(Body(json.dumps(error).encode()))
    assert make_llm().complete(ask).failed_tries == ("503",)


# -- prompts cut without a word --------------------------------------------------------------------


def test_a_prompt_that_the_server_cut_is_said_once(
    llm: OpenAILLM, stub: StubServer, ask: Request, caplog: pytest.LogCaptureFixture
) -> None:
    long = replace(ask, user="a line of the prompt\n" * 500)
    with caplog.at_level(logging.WARNING, "raymimic"):
        assert llm.complete(long).server == {"prompt_cut": True}
        llm.complete(long)
    assert [record.message for record in caplog.records if "cut" in record.message] != []
    assert sum("larger context" in record.message for record in caplog.records) == 1


# -- what real servers sent ------------------------------------------------------------------------


def test_a_cap_that_was_not_heard_is_said_by_its_older_name(
    llm: OpenAILLM, stub: StubServer, ask: Request
) -> None:
    """`transformers serve` hears max_tokens alone and ends at its own default."""
    cut = chat("{", "length", 20)
    stub.rule = lambda body: "none" if "max_tokens" in body else cut
    assert llm.complete(ask).failed_tries == ("truncated",)
    assert "max_completion_tokens" in llm.learnt.without
    assert llm.complete(ask).tries == 1


def test_a_context_that_a_reply_filled_gets_a_shorter_prompt(
    llm: OpenAILLM, stub: StubServer, ask: Request
) -> None:
    """llama.cpp takes any cap and ends the reply where the context does."""

    def rule(body: Mapping[str, Any]) -> Fault:
        prompt = sum(len(turn["content"]) for turn in body["messages"]) // 3
        if prompt + 600 <= 4096:
            return "none"
        usage = {"prompt_tokens": prompt, "completion_tokens": 4096 - prompt}
        choice = {"finish_reason": "length", "message": {"content": "{"}}
        return Body(json.dumps({"choices": [choice], "usage": usage}).encode())

    stub.rule = rule
    user = "\n".join(["first", *(f"trial {i} lr=0.001" for i in range(600)), "last"])
    question = replace(ask, user=user, max_tokens=1800)
    assert llm.complete(question).failed_tries == ("truncated", "truncated")
    assert llm.learnt.context == 4096
    assert llm.complete(question).tries == 1


_FILE = Path(__file__).with_name("recorded_servers.jsonl")
RECORDED = [json.loads(line) for line in _FILE.read_text().splitlines()]


@pytest.mark.parametrize("sent", RECORDED, ids=lambda sent: f"{sent['server']}: {sent['probe']}")
def test_what_a_real_server_sent_is_understood(
    llm: OpenAILLM, stub: StubServer, ask: Request, sent: dict[str, Any]
) -> None:
    """Recorded by experiments.servers.record; ``then`` is what must come of it."""
    stub.faults.append(Body(json.dumps(sent["body"]).encode(), code=sent["status"]))
    question = replace(ask, user="a line of the prompt\n" * 9999, max_tokens=2048)
    then = sent["then"]
    if "error" in then:
        with pytest.raises(LLMError) as raised:
            llm.complete(question)
        assert raised.value.status == then["error"]
        return
    reply = llm.complete(question)
    assert len(reply.failed_tries) == then["tries"] - 1
    learnt = reply.server
    learnt.pop("prompt_cut", None)  # the stub counts few tokens
    assert learnt == then["learnt"]
