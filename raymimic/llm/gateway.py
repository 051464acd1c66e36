"""`Gateway`: one door to a language model for many askers, with one budget and one pace."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from typing import Any

from raymimic import events
from raymimic.errors import BudgetError, LLMCallError, LLMError, LLMSetupError
from raymimic.ledger import Ledger, read_events
from raymimic.llm.allowance import Allowance, Need, Spent
from raymimic.llm.auto import describe, require_key
from raymimic.llm.base import LLM, Reply, Request
from raymimic.llm.calls import call_record
from raymimic.llm.pace import Breaker, Pace
from raymimic.llm.replay import request_key

Outcome = Reply | LLMError

_WRITTEN_S = 1.0  # for the announcement of a call: a slow disk must not eat its deadline

# Failures of an asker that ran out of time; one that shares its call may have more.
_OUT_OF_TIME = {"timeout", "rate_limit", "busy"}


class Gateway:
    """A language model behind a budget, a pace and a circuit breaker. Itself an `LLM`.

    Safe to use from any thread. Before a call its prompt and longest reply are reserved, afterwards
    what it took is settled, so calls that run side by side spend no more than one after the other.
    Equal requests under way share one call; only the asker that made it sees tokens and cost.

    >>> from raymimic import Gateway, ScriptedLLM
    >>> Gateway(ScriptedLLM([]), calls=100, tokens=500_000).spent.calls
    0

    Args:
        llm: Who answers.
        calls, tokens, usd: The budget: number of calls, tokens in and out, US dollars. Spent, every
            request raises `BudgetError`.
        per_minute: Calls that may start within a minute. A request waits for its turn, or raises
            `LLMCallError` (status "rate_limit") where its deadline comes first.
        in_flight: Calls that may run side by side.
        transcript: A ledger file that gets an event "asked" before each call and "call" after it.
            What a file that is there already says was spent counts: a guide started again, or a
            restored search, goes on with the budget that is left. Of calls that were under way
            when a process died the most they can have taken is counted.

    After three calls in a row that failed on their way, requests raise at once (status
    "circuit_open") for 2, 4, ... 60 s. A pickled copy keeps what is spent and spends on its own
    from there; to share a budget between processes use `raymimic.Guide`.

    Raises ValueError for a limit that is none, `LLMSetupError` for no `LLM` and for ``usd`` with a
    model whose price is not known.
    """

    def __init__(
        self,
        llm: LLM,
        *,
        calls: int | None = None,
        tokens: int | None = None,
        usd: float | None = None,
        per_minute: int | None = None,
        in_flight: int = 4,
        transcript: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(llm, str) or not isinstance(llm, LLM):
            raise LLMSetupError(f"llm must be an object with complete(request), got {llm!r}")
        if in_flight < 1 or (per_minute is not None and per_minute < 1):
            raise ValueError(
                f"in_flight and per_minute must be at least 1, got {in_flight=}, {per_minute=}"
            )
        self.llm = llm
        self.per_minute = per_minute
        self.in_flight = in_flight
        self.transcript = None if transcript is None else Ledger(transcript)
        self._allowance = Allowance(llm, calls=calls, tokens=tokens, usd=usd)
        self._open()

    def _open(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._asked: dict[str, Future[Outcome]] = {}
        self._pace = Pace(self.per_minute)
        self._breaker = Breaker()
        if self.transcript is not None and self.transcript.path.exists():
            self._allowance.take_up(read_events(self.transcript.path).rows)

    def __getstate__(self) -> dict[str, Any]:
        """Settings and what is spent; locks, calls under way, pace and breaker begin anew."""
        kept = ("llm", "per_minute", "in_flight", "transcript", "_allowance")
        with self._changed:
            return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def model(self) -> str:
        """The name of the model behind it."""
        return self.llm.model

    @property
    def spent(self) -> Spent:
        """What went through so far."""
        with self._changed:
            return self._allowance.spent

    def describe(self) -> str:
        """Say in one line which model answers, and within which limits."""
        limits = [str(self._allowance)] if str(self._allowance) else []
        if self.per_minute is not None:
            limits.append(f"{self.per_minute:,} a minute")
        return f"{describe(self.llm)} ({', '.join(limits)})" if limits else describe(self.llm)

    def require_key(self) -> None:
        """Raise `LLMSetupError` if the model needs a key that the environment does not hold."""
        require_key(self.llm)

    def complete(self, request: Request) -> Reply:
        """Answer within ``request.deadline`` seconds or raise an `LLMError`, nothing else."""
        end = time.monotonic() + request.deadline
        outcome = self._answer(request, request_key(request), end)
        if isinstance(outcome, LLMError):
            raise outcome
        return outcome

    def _answer(self, request: Request, key: str, end: float) -> Outcome:
        """Share the call of an equal request under way, or make one that others may share."""
        while True:
            with self._changed:
                ahead = self._asked.get(key)
                if ahead is None:
                    mine = self._asked[key] = Future()
                    break
            shared = self._share(ahead, end)
            if shared is not None:
                return shared
        outcome: Outcome = _interrupted()
        try:
            outcome = self._ask(request, end)
        finally:  # even a Ctrl-C must not leave the others waiting
            with self._changed:
                del self._asked[key]
            mine.set_result(outcome)
        return outcome

    def _share(self, ahead: Future[Outcome], end: float) -> Outcome | None:
        """Wait for another's call; None if that ran out of time and there is time to ask again."""
        begun = time.monotonic()
        try:
            outcome = ahead.result(max(0.0, end - begun))
        except FutureTimeout:
            return LLMCallError("no reply came before the deadline", status="timeout")
        now = time.monotonic()
        if isinstance(outcome, LLMError) and outcome.status in _OUT_OF_TIME and now < end:
            return None
        with self._changed:
            self._allowance.count(coalesced=1)
        return _free_copy(outcome, now - begun)

    def _ask(self, request: Request, end: float) -> Outcome:
        """Make the call once it may be made."""
        need = self._allowance.need(request)
        try:
            probe = self._admit(need, end)
        except LLMError as refusal:
            return refusal
        begun, asked = time.monotonic(), None
        outcome: Outcome = _interrupted()
        try:
            asked = self._announce(need)
            outcome = self._call(replace(request, deadline=max(0.0, end - begun)))
        finally:
            with self._changed:
                self._running -= 1
                self._allowance.settle(need, outcome)
                if isinstance(outcome, (LLMCallError, LLMSetupError)):
                    self._breaker.failed(time.monotonic(), probe=probe)
                else:  # a model that declines or writes no JSON is up
                    self._breaker.succeeded()
                self._changed.notify_all()
        if self.transcript is not None:
            call = call_record(self.model, request, outcome, time.monotonic() - begun)
            events.call(self.transcript.append, call, asked=asked)
        return outcome

    def _announce(self, need: Need) -> int | None:
        """Write that a call starts, and wait until it is written: a kill must not hide it."""
        if self.transcript is None:
            return None
        number = events.asked(self.transcript, tokens=need.tokens, usd=need.usd)
        self.transcript.flush(_WRITTEN_S)
        return number

    def _call(self, request: Request) -> Outcome:
        try:
            return self.llm.complete(request)
        except LLMError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a model may be the user's own code
            # Its text is not passed on: it may quote a key.
            return LLMCallError(
                f"complete of {type(self.llm).__name__} must raise an LLMError or nothing, it "
                f"raised {type(error).__name__}; mend it",
                status="crash",
                retryable=False,
            )

    def _admit(self, need: Need, end: float) -> bool:
        """Wait until a call may start, and start it; returns whether it is the breaker's probe."""
        with self._changed:
            while True:
                now = time.monotonic()
                obstacle = self._obstacle(need, now)
                if obstacle is None:
                    break
                refusal, pause = obstacle
                if pause is None or now + pause >= end:
                    self._allowance.count(refused=1)
                    raise refusal
                self._changed.wait(pause or end - now)
            self._allowance.reserve(need)
            self._pace.start(now)
            self._running += 1
            return self._breaker.start()

    def _obstacle(self, need: Need, now: float) -> tuple[LLMError, float | None] | None:
        """What stands in the way of a call, and for how many seconds at least; None: for good."""
        closed = self._breaker.wait(now)
        if closed > 0:
            text = f"{self.model} failed several times in a row: not asked for {closed:.0f} s more"
            return LLMCallError(text, status="circuit_open", retry_after=closed), None
        try:
            self._allowance.check(need)
        except BudgetError as error:
            return error, None
        pause = self._pace.wait(now)
        if pause > 0:
            text = f"{self.per_minute} calls a minute are allowed: the next may be in {pause:.0f} s"
            return LLMCallError(text, status="rate_limit", retry_after=pause), pause
        if self._running >= self.in_flight or not self._allowance.fits(need):
            text = f"{self._running} calls to {self.model} were under way until the deadline"
            return LLMCallError(text, status="busy"), 0.0
        return None


def _interrupted() -> LLMCallError:
    return LLMCallError("the call was interrupted in this process", status="interrupted")


def _free_copy(outcome: Outcome, seconds: float) -> Outcome:
    """Return it for one that shared the call: paid and retried by another."""
    if isinstance(outcome, Reply):
        nothing: dict[str, Any] = {"tokens_in": 0, "tokens_out": 0, "cost": 0.0, "failed_tries": ()}
        return replace(outcome, seconds=seconds, tries=1, **nothing)
    # Each raises its own: a traceback belongs to one thread. Not by copy, which calls __init__.
    copy = type(outcome).__new__(type(outcome), *outcome.args)
    copy.__dict__.update(outcome.__dict__)
    copy.tokens_in = copy.tokens_out = 0
    copy.cost, copy.failed_tries = 0.0, ()
    return copy
