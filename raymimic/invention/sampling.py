"""From a sample's number to a program or a refusal. Slow; runs in the background."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from raymimic import events as all_events
from raymimic.errors import BadReply, LLMCallError, LLMError
from raymimic.evolution.events import Row
from raymimic.evolution.gates import check
from raymimic.evolution.purse import Purse
from raymimic.foreign import error_text
from raymimic.invention.questions import read_reply, request
from raymimic.invention.random_programs import random_program
from raymimic.invention.state import State
from raymimic.invention.template import SEED, program_of
from raymimic.llm import LLM, Request, call_record

_RANDOM_TRIES = 50  # until a random program is new


@dataclass(frozen=True)
class Sampler:
    """Makes the samples of one iteration. ``record`` puts a paid call into the ledger at once.

    ``elites`` is how many programs a model is shown, 0 for the published fixed prompt.
    """

    llm: LLM | None
    purse: Purse
    record: Callable[[Row], Row]
    timeout: float
    seed: int
    models: int
    elites: int

    def sample(self, state: State, numbers: Sequence[int], iteration: int) -> list[Row]:
        """An event "program" or "reject" for each number, side by side in daemon threads."""
        outcomes: list[Future[Row]] = []
        for number in numbers:
            outcomes.append(Future())
            work = partial(self._one, state, number, iteration)
            threading.Thread(target=_fulfil, args=(outcomes[-1], work), daemon=True).start()
        return [outcome.result() for outcome in outcomes]

    def _one(self, state: State, number: int, iteration: int) -> Row:
        if self.llm is None:
            return self._random(state, number, iteration, "")
        try:
            text = state.replies.get(number) or self._ask(state, number)
        except LLMError as error:
            return self._random(state, number, iteration, f"{error.status}: {error}")
        try:
            edit = read_reply(text)
        except BadReply as error:
            return _reject(number, iteration, "reply", str(error))
        return _gated(state, number, iteration, edit.text, edit.rationale, "llm")

    def _ask(self, state: State, number: int) -> str:
        assert self.llm is not None
        elites = state.best(self.elites) if self.elites else []
        question = request(elites, list(state.failures) if self.elites else [], self.timeout)
        self.purse.take()
        begun, failure, text = time.monotonic(), None, ""
        try:
            reply = self.llm.complete(question)
            text = reply.text
            self._settle(question, number, reply, begun, None)
        except LLMError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a model may be the user's own code
            failure = LLMCallError(error_text(error), status="crash")
        if failure is not None:
            self._settle(question, number, failure, begun, failure)
            raise failure
        return text

    def _settle(
        self, question: Request, number: int, outcome: object, begun: float, error: LLMError | None
    ) -> None:
        assert self.llm is not None
        made = call_record(self.llm.model, question, outcome, time.monotonic() - begun)  # type: ignore[arg-type]
        row: Row = {}

        def write(event: str, /, **fields: object) -> None:
            row.update(fields, event=event, sample=number)

        all_events.call(write, made)
        self.purse.settle(self.record(row), error)

    def _random(self, state: State, number: int, iteration: int, why: str) -> Row:
        row = _reject(number, iteration, "duplicate", "no random program is new")
        for tries in range(_RANDOM_TRIES):
            rng = random.Random(f"{self.seed}/{number}/{tries}")
            code, said = random_program(rng, self.models)
            row = _gated(state, number, iteration, code, said, "random")
            if row["event"] == "program":
                break
        return {**row, "instead": why} if why else row


def _fulfil(outcome: Future[Row], work: Callable[[], Row]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the outcome
        outcome.set_exception(error)


def _gated(
    state: State, number: int, iteration: int, code: str, rationale: str, origin: str
) -> Row:
    program = program_of(code)
    refused = check(program, SEED, state.identities)
    if refused is not None:
        return _reject(number, iteration, refused.gate, refused.reason)
    return program_event(
        program.source, program.identity, origin, rationale, iteration=iteration, sample=number
    )


def program_event(
    source: str, identity: str, origin: str, rationale: str, *, iteration: int, sample: int | None
) -> Row:
    """The event of a program that may be tried."""
    return {
        "event": "program",
        "sample": sample,
        "iteration": iteration,
        "source": source,
        "identity": identity,
        "origin": origin,
        "rationale": rationale,
    }


def _reject(number: int, iteration: int, gate: str, reason: str) -> Row:
    return {
        "event": "reject",
        "sample": number,
        "iteration": iteration,
        "gate": gate,
        "reason": reason,
    }
