"""Both adapters, through the real SDKs over real HTTP."""

from __future__ import annotations

import json
import pickle
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import anthropic  # noqa: F401 - imported here so that no test's deadline pays for it
import openai  # noqa: F401
import pytest
from llm_settings import KEY, SCHEMA, MakeLLM

from raymimic.errors import BadReply, LLMCallError, LLMError, LLMRefusal, LLMSetupError
from raymimic.llm import LLM, AnthropicLLM, OpenAILLM, Request, read_object
from raymimic.llm.calling import contained
from raymimic.llm.prices import Price
from raymimic.testing.server import Body, Fault, Status, StubServer

USAGE = ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")
FAST = 0.6  # seconds: a deadline that tests can wait for
INSUFFICIENT = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
ENFORCED = {
    "message": "limit",
    "type": "rate_limit_error",
    "details": {"error_code": "enforced_spend_limit_reached"},
}


def test_a_reply_comes_with_its_text_usage_and_price(make_llm: MakeLLM, ask: Request) -> None:
    llm = make_llm()
    assert isinstance(llm, LLM)
    reply = llm.complete(ask)
    assert read_object(reply.text) == {"a": 1}
    assert reply.model == "stub-served"
    assert (reply.tokens_in, reply.tokens_out) == (123, 10)
    assert reply.cost == pytest.approx((123 * 0.10 + 10 * 0.50) / 1e6)
    assert (reply.tries, reply.failed_tries) == (1, ())
    assert 0 < reply.seconds < 5


def test_the_request_carries_everything_in_the_dialect(
    make_llm: MakeLLM, stub: StubServer, ask: Request
) -> None:
    make_llm().complete(ask)
    (seen,) = stub.seen
    assert "temperature" not in seen.body
    assert KEY in str(seen.headers)
    if seen.path.endswith("/messages"):
        schema = seen.body["output_config"]["format"]["schema"]
        assert seen.body["output_config"]["effort"] == "low"
        assert seen.body["system"][0]["cache_control"] == {"type": "ephemeral"}
        assert seen.body["max_tokens"] == 100
        assert schema["properties"]["a"]["description"] == "{minimum: 0, maximum: 9}"
    else:
        wanted = seen.body["response_format"]["json_schema"]
        assert (wanted["strict"], wanted["schema"]) == (True, SCHEMA)
        assert seen.body["max_completion_tokens"] == 100
        assert seen.body["messages"][0] == {"role": "system", "content": "You tune."}


@pytest.mark.parametrize("fault", ["thinking", "no_usage", "bad_text"])
def test_odd_but_whole_replies_are_read(
    make_llm: MakeLLM, stub: StubServer, ask: Request, fault: str
) -> None:
    stub.faults.append(fault)
    reply = make_llm().complete(ask)
    assert reply.text.startswith("I think" if fault == "bad_text" else '{"a"')
    assert (reply.tokens_in > 0) == (fault != "no_usage")


@pytest.mark.parametrize(
    "fault",
    [
        Status(408),
        Status(409),
        Status(429),
        Status(500),
        Status(529),
        "reset",
        "cut_body",
        "garbage",
    ],
)
def test_passing_faults_are_retried_twice(
    make_llm: MakeLLM, stub: StubServer, ask: Request, fault: Fault
) -> None:
    status = str(fault.code) if isinstance(fault, Status) else "connection"
    stub.faults.extend([fault, fault])
    reply = make_llm().complete(replace(ask, deadline=60.0))
    assert (reply.tries, reply.failed_tries) == (3, (status, status))

    stub.faults.extend([fault] * 3)
    with pytest.raises(LLMCallError) as raised:
        make_llm().complete(replace(ask, deadline=60.0))
    assert raised.value.status == status
    assert raised.value.failed_tries == (status,) * 3
    assert raised.value.retryable
    assert len(stub.seen) == 6


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        (Status(400), LLMCallError, "400"),
        (Status(401), LLMSetupError, "401"),
        (Status(402), LLMCallError, "spend_limit"),
        (Status(403), LLMSetupError, "403"),
        (Status(404), LLMSetupError, "404"),
        (Status(413), LLMCallError, "413"),
        (Status(307, {"location": "http://127.0.0.1:9/"}), LLMCallError, "307"),
        (Status(429, error=INSUFFICIENT), LLMCallError, "spend_limit"),
        (Status(429, error=ENFORCED), LLMCallError, "spend_limit"),
        ("html", LLMCallError, "bad_body"),
        ("empty_object", LLMCallError, "bad_body"),
        ("bad_body", LLMCallError, "bad_body"),
        ("gzip", LLMCallError, "bad_body"),
        ("huge", LLMCallError, "too_large"),
        ("endless", LLMCallError, "too_large"),
        (Body(b""), LLMCallError, "bad_body"),
        (Body(b"x" * 10_000_000, 500), LLMCallError, "too_large"),
        (Body(b'{"content":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), LLMCallError, "bad_body"),
        ("refusal", LLMRefusal, "refusal"),
        ("no_text", BadReply, "empty"),
    ],
)
def test_lasting_faults_are_not_retried(
    make_llm: MakeLLM,
    stub: StubServer,
    ask: Request,
    fault: Fault,
    error: type[LLMError],
    status: str,
) -> None:
    stub.faults.append(fault)
    with pytest.raises(error) as raised:
        make_llm().complete(ask)
    assert raised.value.status == status
    assert raised.value.failed_tries == (status,)
    assert not raised.value.retryable
    assert len(str(raised.value)) < 500
    assert len(stub.seen) == 1


def test_absurd_token_counts_and_an_echoed_key_do_no_harm(
    make_llm: MakeLLM, stub: StubServer, ask: Request
) -> None:
    count = "1" + "0" * 400
    usage = ", ".join(f'"{name}": {count}' for name in USAGE)
    text = json.dumps(f"your key is {KEY}")
    body = (
        f'{{"usage": {{{usage}}}, "content": [{{"type": "text", "text": {text}}}], '
        f'"choices": [{{"message": {{"content": {text}}}}}]}}'
    )
    stub.faults.append(Body(body.encode()))
    reply = make_llm().complete(ask)
    assert (reply.tokens_in, reply.tokens_out, reply.cost) == (0, 0, 0.0)
    assert reply.text == "your key is [key]"


@pytest.mark.parametrize("fault", ["refusal", "no_text"])
def test_a_useless_reply_still_says_what_it_cost(
    make_llm: MakeLLM, stub: StubServer, ask: Request, fault: str
) -> None:
    stub.faults.append(fault)
    with pytest.raises(LLMError) as raised:
        make_llm().complete(ask)
    assert (raised.value.tokens_in, raised.value.tokens_out) == (123, 10)
    assert raised.value.cost == pytest.approx(1.73e-5)


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_hang_and_a_drip_end_at_the_deadline(
    make_llm: MakeLLM, stub: StubServer, ask: Request, fault: str
) -> None:
    stub.faults.append(fault)
    started = time.monotonic()
    with pytest.raises(LLMCallError) as raised:
        make_llm().complete(replace(ask, deadline=FAST))
    assert FAST - 0.1 < time.monotonic() - started < FAST + 5
    assert raised.value.status == "timeout"
    assert raised.value.failed_tries == ("timeout",)
    for thread in threading.enumerate():
        if thread.name == "raymimic-llm-call":
            thread.join(10)
            assert not thread.is_alive()


def test_the_wish_of_the_server_is_kept(make_llm: MakeLLM, stub: StubServer, ask: Request) -> None:
    stub.faults.append(Status(429, {"retry-after": "0.4"}))
    started = time.monotonic()
    assert make_llm().complete(ask).tries == 2
    assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize("wish", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_wish_beyond_the_deadline_gives_up_at_once(
    make_llm: MakeLLM, stub: StubServer, ask: Request, wish: str
) -> None:
    stub.faults.append(Status(429, {"retry-after": wish}))
    started = time.monotonic()
    with pytest.raises(LLMCallError) as raised:
        make_llm().complete(ask)
    assert time.monotonic() - started < 30
    assert raised.value.retry_after is not None
    assert raised.value.retry_after >= 3600
    assert len(stub.seen) == 1


def test_nothing_listening_is_a_connection_error(make_llm: MakeLLM, ask: Request) -> None:
    with pytest.raises(LLMCallError, match=r"127\.0\.0\.1:9") as raised:
        make_llm(base_url="http://127.0.0.1:9").complete(ask)
    assert raised.value.failed_tries == ("connection",) * 3


FIELDS = {
    "anthropic": ["effort", "cache_control", "output_config"],
    "openai": ["strict", "max_completion_tokens", "response_format"],
}


@pytest.mark.parametrize("index", range(3))
def test_a_field_the_server_does_not_know_is_dropped_and_remembered(
    make_llm: MakeLLM, stub: StubServer, ask: Request, index: int
) -> None:
    llm = make_llm()
    field = FIELDS[llm.provider.name][index]
    stub.unknown_fields = {field}
    assert llm.complete(ask).failed_tries == ("400",)
    again = pickle.loads(pickle.dumps(llm)).complete(ask)
    assert again.tries == 1
    assert len(stub.seen) == 3
    last = str(stub.seen[-1].body)
    if field == "max_completion_tokens":
        assert stub.seen[-1].body["max_tokens"] == 100
    assert ("'additionalProperties'" in last) == (field not in ("output_config", "response_format"))


def test_a_server_that_knows_nothing_gets_plain_text(
    make_llm: MakeLLM, stub: StubServer, ask: Request
) -> None:
    llm = make_llm()
    stub.unknown_fields = set(FIELDS[llm.provider.name])
    reply = llm.complete(ask)
    assert set(reply.failed_tries) == {"400"}
    assert reply.tries <= 4
    text = stub.seen[-1].body["messages"][-1]["content"]
    assert text.startswith("Next?")
    assert '"additionalProperties": false' in text


@pytest.mark.parametrize(
    "fault",
    [
        Status(401, error={"message": f"Incorrect API key provided: {KEY}"}),
        Status(400, error={"message": f"bad header x-api-key: {KEY} " + "x" * 10_000}),
        Status(500, error={"message": f"Bearer {KEY}"}),
        "reset",
        "html",
        "refusal",
        "hang",
    ],
)
def test_no_error_carries_the_key(
    make_llm: MakeLLM, stub: StubServer, ask: Request, fault: Fault
) -> None:
    stub.faults.extend([fault] * 3)
    with pytest.raises(LLMError) as raised:
        make_llm().complete(replace(ask, deadline=FAST))
    error = raised.value
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    assert KEY not in shown
    assert KEY.encode() not in pickle.dumps(error)
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_keys_of_any_shape_are_blotted_out_of_the_servers_words(
    make_llm: MakeLLM, stub: StubServer, ask: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = make_llm(api_key_env="MY_KEY")
    monkeypatch.setenv("MY_KEY", "swordfish-1234")
    message = "no good: swordfish-1234, Bearer tok3n, sk-other-key; too long a prompt"
    stub.faults.append(Status(400, error={"message": message}))
    with pytest.raises(LLMCallError) as raised:
        llm.complete(ask)
    assert "no good: [key], [key], [key] too long a prompt" in str(raised.value).replace(";", "")
    assert not any(secret in str(vars(raised.value)) for secret in ("sword", "tok3n", "other"))


def test_an_error_of_ours_loses_what_it_was_raised_from() -> None:
    def work() -> None:
        try:
            raise ValueError(KEY)
        except ValueError:
            raise LLMCallError("ours")  # noqa: B904 - the fault under test

    failure = contained(work, lambda error: error)
    assert isinstance(failure, LLMCallError)
    assert failure.__context__ is None


@pytest.mark.parametrize(
    ("make", "name"), [(AnthropicLLM, "ANTHROPIC_API_KEY"), (OpenAILLM, "OPENAI_API_KEY")]
)
def test_no_key_and_a_broken_key_are_said_with_the_variable(
    make: Any, name: str, ask: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LLMSetupError, match=name) as raised:
        make().complete(ask)
    assert raised.value.status == "no_key"
    monkeypatch.setenv(name, "sk-secret\nkey")
    with pytest.raises(LLMSetupError, match=name) as raised:
        make().complete(ask)
    assert "secret" not in str(raised.value)


def test_a_local_server_needs_no_key(
    make_llm: MakeLLM, stub: StubServer, ask: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = make_llm(api_key_env="NO_SUCH_KEY")
    assert llm.complete(ask).tries == 1
    assert "unused" in str(stub.seen[-1].headers)


def test_an_address_in_the_environment_counts(
    stub: StubServer, ask: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{stub.host}/v1")
    assert OpenAILLM("qwen3").complete(ask).cost is None
    own = OpenAILLM("qwen3", prices={"qwen3": Price(1.0, 0.0)})
    assert own.complete(ask).cost == pytest.approx(123e-6)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://a/b", "http://", "", "http://[x", "http://me:pw@host"]
)
def test_a_base_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(LLMSetupError, match="base_url") as raised:
        OpenAILLM("m", base_url=url)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"), [("OPENAI_BASE_URL", "http://[nonsense"), ("HTTPS_PROXY", "nonsense://x:y")]
)
def test_a_broken_setting_in_the_environment_is_our_error(
    ask: Request, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv(name, value)
    with pytest.raises(LLMError) as raised:
        OpenAILLM("m").complete(ask)
    assert raised.value.__context__ is None


def test_threads_share_an_adapter(make_llm: MakeLLM, stub: StubServer, ask: Request) -> None:
    llm = make_llm()
    stub.unknown_fields = {FIELDS[llm.provider.name][0]}
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: llm.complete(ask), range(8)))
    assert {reply.text for reply in replies} == {'{"a": 1}'}


def test_a_missing_sdk_is_said_with_the_pip_line(
    make_llm: MakeLLM, ask: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = make_llm()
    monkeypatch.setitem(sys.modules, llm.provider.name, None)
    with pytest.raises(LLMSetupError, match=rf'pip install "raymimic\[{llm.provider.name}\]"'):
        llm.complete(ask)
