"""The gateway: one budget, one pace, shared calls, and a service that is down is left alone."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from llm_settings import KEY

from raymimic.errors import (
    BadReply,
    BudgetError,
    LLMCallError,
    LLMError,
    LLMRefusal,
    LLMSetupError,
)
from raymimic.ledger import read_events
from raymimic.llm import (
    LLM,
    AnthropicLLM,
    Gateway,
    Price,
    Reply,
    Request,
    ScriptedLLM,
    describe,
    require_key,
)

ASK = Request(system="s", user="u", schema={"type": "object"}, max_tokens=100, deadline=5.0)


def question(number: int) -> Request:
    return replace(ASK, user=f"question {number:04d}")


class MeteredLLM:
    """Answers with 20 tokens in and 10 out at $1 a token; says how many asked side by side."""

    model = "metered"
    prices: ClassVar = {"metered": Price(1e6, 1e6)}

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.calls = self.running = self.most = 0
        self.lock = threading.Lock()

    def complete(self, request: Request) -> Reply:
        with self.lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.seconds)
        with self.lock:
            self.running -= 1
        return Reply(text=request.user, model=self.model, tokens_in=20, tokens_out=10, cost=30.0)


class HeldLLM(MeteredLLM):
    """Answers, or fails, only once ``gate`` is open."""

    def __init__(self, error: LLMError | None = None) -> None:
        super().__init__()
        self.error = error
        self.gate, self.entered = threading.Event(), threading.Event()

    def complete(self, request: Request) -> Reply:
        self.entered.set()
        assert self.gate.wait(5)
        reply = super().complete(request)
        if self.error is not None:
            raise self.error
        return reply


def outcome_of(gateway: Gateway, request: Request) -> Reply | LLMError:
    try:
        return gateway.complete(request)
    except LLMError as error:
        return error


def side_by_side(gateway: Gateway, requests: list[Request]) -> list[Reply | LLMError]:
    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(lambda request: outcome_of(gateway, request), requests))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def status(gateway: Gateway, request: Request = ASK) -> str:
    outcome = outcome_of(gateway, request)
    return outcome.status if isinstance(outcome, LLMError) else "ok"


# -- budget ------------------------------------------------------------------------------------


def test_a_gateway_is_a_model_and_counts_what_went_through() -> None:
    paid = BadReply("cut off", status="truncated")
    paid.tokens_in, paid.tokens_out, paid.cost = 7, 100, 0.25
    gateway = Gateway(ScriptedLLM(["reply", paid]), calls=2)
    assert isinstance(gateway, LLM)
    assert gateway.complete(ASK).text == "reply"
    assert status(gateway) == "truncated"
    with pytest.raises(BudgetError, match="at most 2 calls") as raised:
        gateway.complete(ASK)
    assert isinstance(raised.value, LLMSetupError)  # which advisers take as final
    assert (raised.value.status, raised.value.retryable) == ("budget", False)
    spent = gateway.spent
    assert (spent.calls, spent.failed, spent.refused, spent.coalesced) == (2, 1, 1, 0)
    assert (spent.tokens_out, spent.usd) == (102, 0.25)


@pytest.mark.parametrize(
    ("limits", "most"), [({"calls": 5}, 5), ({"tokens": 400}, 10), ({"usd": 400.0}, 10)]
)
def test_eight_threads_never_overspend_and_leave_nothing_unspent(
    limits: dict[str, float], most: int
) -> None:
    llm = MeteredLLM(seconds=0.002)
    gateway = Gateway(llm, in_flight=8, **limits)  # type: ignore[arg-type]
    outcomes = side_by_side(gateway, [question(n) for n in range(8)])
    for start in range(8, 40, 8):
        outcomes += side_by_side(gateway, [question(start + n) for n in range(8)])
    spent = gateway.spent
    tokens = spent.tokens_in + spent.tokens_out
    assert tokens <= limits.get("tokens", tokens)
    assert spent.usd <= limits.get("usd", spent.usd)
    # A call may take 110 tokens and takes 30: who finds all reserved waits for what is settled.
    assert spent.calls == llm.calls == most
    assert llm.most <= (8 if "calls" in limits else 3)
    assert {o.status for o in outcomes if isinstance(o, LLMError)} == {"budget"}


def test_who_waits_for_reserved_money_waits_only_until_its_deadline() -> None:
    llm = HeldLLM()
    gateway = Gateway(llm, tokens=150)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(gateway.complete, question(1))
        assert llm.entered.wait(5)
        assert status(gateway, replace(question(2), deadline=0.05)) == "busy"
        llm.gate.set()
        assert first.result().text == "question 0001"
    assert status(gateway, question(2)) == "ok"


def test_dollars_need_a_price_and_limits_must_be_limits() -> None:
    with pytest.raises(LLMSetupError, match="price of 'scripted'"):
        Gateway(ScriptedLLM([]), usd=1.0)
    for wrong in ({"calls": 0}, {"usd": -1.0}, {"tokens": float("nan")}, {"in_flight": 0}):
        with pytest.raises(ValueError, match="got"):
            Gateway(MeteredLLM(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(LLMSetupError, match="must be an object"):
        Gateway("auto")  # type: ignore[arg-type]


# -- pace --------------------------------------------------------------------------------------


def test_a_request_waits_for_its_turn_or_is_told_how_long_it_would_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = Gateway(MeteredLLM(), per_minute=2)
    assert [status(gateway, question(n)) for n in range(2)] == ["ok", "ok"]
    begun = time.monotonic()
    with pytest.raises(LLMCallError, match="2 calls a minute") as raised:
        gateway.complete(question(2))
    assert time.monotonic() - begun < 30  # waiting could not have helped
    assert raised.value.status == "rate_limit"
    assert raised.value.retry_after == pytest.approx(60, abs=30)
    monkeypatch.setattr("raymimic.llm.pace._WINDOW_S", 0.2)
    gateway = Gateway(MeteredLLM(), per_minute=2)
    begun = time.monotonic()
    assert [status(gateway, question(n)) for n in range(3)] == ["ok"] * 3
    assert time.monotonic() - begun >= 0.2


def test_no_more_calls_run_side_by_side_than_allowed() -> None:
    llm = MeteredLLM(seconds=0.02)
    outcomes = side_by_side(Gateway(llm, in_flight=2), [question(n) for n in range(8)])
    assert all(isinstance(outcome, Reply) for outcome in outcomes)
    assert llm.most == 2


# -- shared calls ------------------------------------------------------------------------------


def test_equal_questions_under_way_are_one_call_paid_once() -> None:
    llm = HeldLLM()
    gateway = Gateway(llm)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(gateway.complete, ASK)
        assert llm.entered.wait(5)
        others = [threads.submit(gateway.complete, replace(ASK, deadline=4.0)) for _ in range(3)]
        late = outcome_of(gateway, replace(ASK, deadline=0.05))
        llm.gate.set()
        replies = [first.result(), *(other.result() for other in others)]
    assert isinstance(late, LLMCallError)
    assert late.status == "timeout"
    assert {reply.text for reply in replies} == {"u"}
    assert sum(reply.tokens_in + reply.tokens_out for reply in replies) == 30
    assert sum(reply.cost or 0.0 for reply in replies) == gateway.spent.usd == 30.0
    assert (gateway.spent.calls, gateway.spent.coalesced) == (llm.calls, 3) == (1, 3)
    assert gateway.complete(ASK).tokens_in == 20  # nothing is under way: a call of its own


def test_a_shared_failure_keeps_its_type_and_is_paid_once() -> None:
    error = LLMRefusal("no", status="refusal")
    error.tokens_in, error.cost, error.failed_tries = 20, 0.5, ("503", "refusal")
    llm = HeldLLM(error)
    gateway = Gateway(llm)
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(outcome_of, gateway, ASK)]
        assert llm.entered.wait(5)
        both.append(threads.submit(outcome_of, gateway, ASK))
        time.sleep(0.05)
        llm.gate.set()
        first, second = (future.result() for future in both)
    assert first is error
    assert type(second) is LLMRefusal
    assert (str(second), second.status) == ("no", "refusal")
    assert (second.tokens_in, second.cost, second.failed_tries) == (0, 0.0, ())
    assert error.cost == 0.5


def test_who_has_more_time_than_the_one_it_shared_with_asks_again() -> None:
    llm = ScriptedLLM(["late", "in time"], latency=0.1)
    gateway = Gateway(llm)
    with ThreadPoolExecutor(2) as threads:
        hurried = threads.submit(outcome_of, gateway, replace(ASK, deadline=0.05))
        wait_until(lambda: len(llm.requests) == 1)
        patient = threads.submit(outcome_of, gateway, ASK)
        assert isinstance(hurried.result(), LLMCallError)
        reply = patient.result()
    assert isinstance(reply, Reply)
    assert reply.text == "in time"


# -- failures ----------------------------------------------------------------------------------


def test_three_failures_open_the_circuit_and_one_probe_tries_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("raymimic.llm.gateway.time.monotonic", lambda: now[0])
    down = LLMCallError("down", status="503")
    llm = ScriptedLLM([down, down, "up", down, down, down, down, "up", "up"])
    gateway = Gateway(llm)
    assert [status(gateway) for _ in range(6)] == ["503", "503", "ok", "503", "503", "503"]
    with pytest.raises(LLMCallError, match="failed several times") as raised:
        gateway.complete(ASK)
    assert raised.value.status == "circuit_open"
    assert raised.value.retry_after == pytest.approx(2.0)
    now[0] += 2.0
    assert [status(gateway), status(gateway)] == ["503", "circuit_open"]  # the probe failed
    now[0] += 2.0
    assert status(gateway) == "circuit_open"  # now for twice as long
    now[0] += 2.0
    assert [status(gateway), status(gateway)] == ["ok", "ok"]
    assert gateway.spent.refused == 3


def test_while_the_probe_is_out_nobody_else_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raymimic.llm.pace._PAUSE_S", 0.01)
    llm = HeldLLM(LLMCallError("down", status="503"))
    llm.gate.set()
    gateway = Gateway(llm)
    assert [status(gateway, question(n)) for n in range(3)] == ["503"] * 3
    llm.gate.clear()
    llm.entered.clear()
    time.sleep(0.02)
    with ThreadPoolExecutor(1) as threads:
        probe = threads.submit(outcome_of, gateway, question(3))
        assert llm.entered.wait(5)
        assert status(gateway, question(4)) == "circuit_open"
        llm.error = None
        llm.gate.set()
        assert isinstance(probe.result(), Reply)
    assert status(gateway, question(5)) == "ok"


def test_a_model_that_answers_badly_is_not_down() -> None:
    gateway = Gateway(ScriptedLLM([BadReply("x"), LLMRefusal("y"), BadReply("z"), "ok"]))
    assert [status(gateway) for _ in range(4)] == ["error"] * 3 + ["ok"]


def test_whatever_a_model_raises_is_an_llm_error_and_frees_what_was_reserved(
    tmp_path: Path,
) -> None:
    gateway = Gateway(
        ScriptedLLM([RuntimeError(f"illegal header {KEY}"), "fine"]),
        tokens=150, in_flight=1, transcript=tmp_path / "calls.jsonl",
    )  # fmt: skip
    with pytest.raises(LLMCallError, match="RuntimeError") as raised:
        gateway.complete(ASK)
    assert raised.value.status == "crash"
    assert raised.value.__cause__ is None
    assert KEY not in str(raised.value)
    assert gateway.complete(ASK).text == "fine"
    assert gateway.transcript is not None
    gateway.transcript.flush()
    assert KEY not in (tmp_path / "calls.jsonl").read_text()


# -- what is kept ------------------------------------------------------------------------------


def test_the_transcript_holds_each_call_once_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calls.jsonl"
    gateway = Gateway(ScriptedLLM(["one", LLMCallError("down", status="503")]), calls=2,
                      transcript=path)  # fmt: skip
    assert [status(gateway) for _ in range(3)] == ["ok", "503", "budget"]
    assert gateway.transcript is not None
    gateway.transcript.flush()
    rows = read_events(path).of("call")
    assert [row["status"] for row in rows] == ["ok", "503"]
    assert (rows[0]["reply"], rows[0]["request"]["user"], rows[1]["error"]) == ("one", "u", "down")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    unreachable = AnthropicLLM(base_url="http://127.0.0.1:9")
    keyed = Gateway(unreachable, transcript=path)
    assert status(keyed, replace(ASK, deadline=0.3)) in ("connection", "timeout")
    assert keyed.transcript is not None
    keyed.transcript.flush()
    assert len(read_events(path).of("call")) == 3
    assert KEY not in path.read_text()


def test_a_pickled_copy_keeps_what_is_spent_and_holds_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    keyed = Gateway(AnthropicLLM(), usd=0.01, transcript=tmp_path / "calls.jsonl")
    assert KEY.encode() not in pickle.dumps(keyed)
    gateway = Gateway(ScriptedLLM(["one", "two", "three"]), calls=2)
    gateway.complete(ASK)
    copy = pickle.loads(pickle.dumps(gateway))
    assert copy.spent == gateway.spent
    assert [status(copy), status(copy)] == ["ok", "budget"]
    assert (gateway.spent.calls, copy.spent.calls) == (1, 2)


def test_a_budget_goes_on_from_its_transcript_and_what_was_cut_off_counts_in_full(
    tmp_path: Path,
) -> None:
    path = tmp_path / "calls.jsonl"
    first = Gateway(ScriptedLLM(["one", LLMCallError("down", status="503")]), transcript=path)
    assert [status(first), status(first)] == ["ok", "503"]
    assert first.transcript is not None
    first.transcript.append("asked", tokens=500, usd=0.0)  # its process died in mid-call
    first.transcript.flush()
    again = Gateway(ScriptedLLM(["two", "three"]), calls=4, transcript=path)
    assert (again.spent.calls, again.spent.failed) == (3, 2)
    assert again.spent.tokens_in == first.spent.tokens_in + 500
    assert [status(again), status(again)] == ["ok", "budget"]


def test_a_call_is_in_the_transcript_before_the_model_hears_of_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"

    def look(request: Request) -> str:
        return str(len(read_events(path).of("asked")))

    gateway = Gateway(ScriptedLLM([look, look]), transcript=path)
    assert [gateway.complete(ASK).text, gateway.complete(ASK).text] == ["1", "2"]


def test_errors_pickle_with_their_fields() -> None:
    error = LLMCallError("down", status="503", retryable=False, retry_after=3.0)
    error.failed_tries, error.cost = ("503",), 0.5
    for raised in (error, BudgetError("spent")):
        again = pickle.loads(pickle.dumps(raised))
        assert (type(again), str(again)) == (type(raised), str(raised))
        assert again.__dict__ == raised.__dict__


def test_it_speaks_for_the_model_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(AnthropicLLM("claude-haiku-5-5"), calls=200, usd=1.0, per_minute=60)
    with pytest.raises(LLMSetupError, match="ANTHROPIC_API_KEY"):
        require_key(gateway)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    require_key(gateway)
    assert describe(gateway) == (
        "claude-haiku-5-5 through ANTHROPIC_API_KEY (at most 200 calls, $1.00, 60 a minute)"
    )
    assert describe(Gateway(ScriptedLLM([]))) == "scripted"
    assert gateway.model == "claude-haiku-5-5"
    assert json.dumps(gateway.spent.__dict__)  # plain data
