"""A model that edits the tiny program, and an evolution driven without Tune."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tiny_program import PROGRAM

from raymimic import Reply, Request, read_events
from raymimic.evolution import Evolution, Individual, Objective, Program, Settings

GOALS = [Objective("accuracy", "max"), Objective("parameters", "min")]
BODY = Program.parse(PROGRAM).blocks["body"]


def answer(code: str, rationale: str = "because") -> str:
    """A reply as a model gives it."""
    return json.dumps({"rationale": rationale, "code": code.splitlines()})


class EditingLLM:
    """Adds a comment-free change to whichever block it is shown: each answer is a new program."""

    model = "editing"

    def __init__(self, reply: Callable[[Request], str] | None = None) -> None:
        self.requests: list[Request] = []
        self._numbers = itertools.count(1)
        self._reply = reply or self.edited

    def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        return Reply(self._reply(request), self.model, tokens_in=100, tokens_out=50, cost=0.01)

    def edited(self, request: Request) -> str:
        shown = block_of(request)
        return answer(f"{shown}\nEDIT_{next(self._numbers)} = 0\n")


def block_of(request: Request) -> str:
    """The block that a request asks to edit: the last code in it."""
    return re.findall(r"~~~python\n(.*?)\n~~~", request.user, re.DOTALL)[-1]


def evolution(folder: Path, llm: Any = None, **settings: Any) -> Evolution:
    """An evolution of the tiny program without a smoke test."""
    task = settings.pop("task", None)
    return Evolution(
        Program.parse(PROGRAM),
        GOALS,
        llm=llm,
        task=task,
        settings=Settings(**{"seed": 0, **settings}),
        ledger=folder / "ledger.jsonl",
    )


def next_one(made: Evolution, trial_id: str, ahead: int = 1) -> Individual:
    """Ask until an individual comes."""
    for _ in range(50):
        found = made.ask(trial_id, ahead)
        if found is not None:
            return found
        made.wait(10)
    raise AssertionError(f"no individual; over: {made.why_over}")


def evaluate(made: Evolution, count: int, first: int = 0) -> Iterator[Individual]:
    """Ask and tell: a child is better the longer its program is."""
    for number in range(first, first + count):
        found = next_one(made, f"t{number}")
        size = float(len(found.source))
        value = 1 - 300 / (size + number % 3)
        values = {"accuracy": value, "parameters": size}
        ended = made.tell(f"t{number}", values, [value / 2, value])
        assert ended is not None
        yield ended


def rows(folder: Path, event: str) -> list[dict[str, Any]]:
    """The ledger's events of one kind; a line that is being written is not among them."""
    return [row for row in read_events(folder / "ledger.jsonl").rows if row["event"] == event]
