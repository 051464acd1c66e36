"""From a plan to a child: the model's answers, the gates, one repair. Slow; runs in the background.

A model that fails or may not be asked is replaced by the keyless mutator for that plan.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from raymimic.errors import BadReply, BudgetError, LLMCallError, LLMError
from raymimic.evolution import events
from raymimic.evolution.edits import RuleMutator
from raymimic.evolution.events import Row
from raymimic.evolution.gates import Rejection, check
from raymimic.evolution.individuals import Individual, Plan, Step
from raymimic.evolution.operators import OPERATORS, RULE, Known, Task, repair_question
from raymimic.evolution.program import Program
from raymimic.evolution.purse import Purse
from raymimic.evolution.questions import Edit, read_reply, request
from raymimic.evolution.smoke import SmokeTest
from raymimic.foreign import without_secrets
from raymimic.llm import LLM, Request, call_record

_RULE_TRIES = 50  # random edits until one is new; each takes a millisecond
_SIDE_BY_SIDE = 8


@dataclass
class Bred:
    """What became of a plan: its end ("child" or "reject"), and why the model did not serve it."""

    plan: Plan
    keyless: Row | None = None
    end: Row | None = None
    individual: Individual | None = None


@dataclass(frozen=True)
class Breeder:
    """Makes children. ``record`` puts a paid call into the ledger before anything else happens."""

    llm: LLM | None
    purse: Purse
    smoke: SmokeTest | None
    record: Callable[[Row], Row]
    timeout: float
    seed: int

    def breed(
        self, plans: Sequence[Plan], known: Known, paid: Mapping[int, Sequence[Row]]
    ) -> list[Bred]:
        """Serve plans side by side, the first few of many; the others wait for the next time.

        ``paid`` are replies that an earlier process got for them.
        In daemon threads: a model that hangs must not keep the interpreter from ending.
        """
        outcomes: list[Future[Bred]] = []
        for plan in plans[:_SIDE_BY_SIDE]:
            outcomes.append(Future())
            work = partial(self._serve, plan, known, paid)
            threading.Thread(target=_fulfil, args=(outcomes[-1], work), daemon=True).start()
        return [outcome.result() for outcome in outcomes]

    def _serve(self, plan: Plan, known: Known, paid: Mapping[int, Sequence[Row]]) -> Bred:
        bred = Bred(plan)
        if plan.steps[0].operator != RULE:
            try:
                _Asked(self, bred, known, paid.get(plan.id, ())).make()
                return bred
            except LLMError as error:
                bred.keyless = events.keyless(plan.id, f"{error.status}: {error}")
        self._by_rule(bred, known)
        return bred

    def _by_rule(self, bred: Bred, known: Known) -> None:
        plan = bred.plan
        parent = known.individuals[plan.parents[0]].program
        rejection = Rejection("nothing to edit", "the keyless mutator finds nothing to change")
        for number in range(_RULE_TRIES):
            rng = random.Random(f"{self.seed}/rule/{plan.id}/{number}")
            made = RuleMutator().mutate(parent, rng)
            if made is None:
                break
            program = made.program
            rejection_or_none = check(program, known.seed, known.identities)
            if rejection_or_none is not None and rejection_or_none.gate == "duplicate":
                rejection = rejection_or_none
                continue
            rejection_or_none = rejection_or_none or self.smoke_check(program)
            finish(bred, RULE, program, made.blocks, made.said, rejection_or_none)
            return
        finish(bred, RULE, parent, (next(iter(parent.blocks)),), "", rejection)

    def smoke_check(self, program: Program) -> Rejection | None:
        """The sandbox's verdict; None without a task to try it on."""
        return None if self.smoke is None else self.smoke.check(program.source)


def _fulfil(outcome: Future[Bred], work: Callable[[], Bred]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the outcome
        outcome.set_exception(error)


def finish(
    bred: Bred,
    operator: str,
    program: Program,
    blocks: tuple[str, ...],
    rationale: str,
    rejection: Rejection | None,
    *,
    repaired: bool = False,
) -> None:
    """Note the end of a plan."""
    plan = bred.plan
    if rejection is not None:
        bred.end = events.reject(
            plan.id, operator, rejection.gate, rejection.reason, block=blocks[-1], repaired=repaired
        )
        return
    parents = plan.parents if operator == plan.operator else plan.parents[:1]
    bred.individual = Individual(
        -1, program.source, operator, parents, blocks, rationale, repaired, plan.generation
    )
    bred.end = events.child(bred.individual, plan.id)


class _Asked:
    """One plan served by the model."""

    def __init__(self, breeder: Breeder, bred: Bred, known: Known, paid: Sequence[Row]) -> None:
        self._breeder, self._bred, self._known = breeder, bred, known
        self._paid = {(row["step"], row["repair"]): row["reply"] for row in paid}

    def make(self) -> None:
        """Take each step, then the gates, then at most one repair; raises `LLMError`."""
        plan, known = self._bred.plan, self._known
        program = known.individuals[plan.parents[0]].program
        blocks = tuple(step.block for step in plan.steps)
        reasons: list[str] = []
        for number, step in enumerate(plan.steps):
            task = Task(known, program, step.block, plan.parents, step.detail)
            wish = OPERATORS[step.operator].question(task)
            edit, rejection = self._edit(task, wish, number, repair=False)
            if edit is None:
                finish(self._bred, plan.operator, program, blocks, "", rejection)
                return
            program = program.with_block(step.block, edit.text)
            reasons.append(edit.rationale)
        rejection = self._gates(program)
        repaired = rejection is not None and rejection.gate != "duplicate"
        if rejection is not None and repaired:
            program, rejection = self._repair(program, plan.steps[-1], rejection)
        finish(
            self._bred, plan.operator, program, blocks, " ".join(reasons), rejection,
            repaired=repaired,
        )  # fmt: skip

    def _repair(
        self, program: Program, step: Step, rejection: Rejection
    ) -> tuple[Program, Rejection | None]:
        plan = self._bred.plan
        task = Task(self._known, program, step.block, plan.parents, step.detail)
        try:
            edit, refused = self._edit(
                task, repair_question(rejection), len(plan.steps) - 1, repair=True
            )
        except LLMError:
            return program, rejection  # what is left is the child that failed
        if edit is None:
            return program, refused
        mended = program.with_block(step.block, edit.text)
        return mended, self._gates(mended)

    def _gates(self, program: Program) -> Rejection | None:
        known = self._known
        return check(program, known.seed, known.identities) or self._breeder.smoke_check(program)

    def _edit(
        self, task: Task, wish: str, step: int, *, repair: bool
    ) -> tuple[Edit | None, Rejection | None]:
        reply = self._paid.get((step, repair))
        if reply is None:
            reply = self._ask(request(task, wish, self._breeder.timeout), step, repair=repair)
        try:
            return read_reply(reply), None
        except BadReply as error:
            return None, Rejection("reply", str(error))

    def _ask(self, question: Request, step: int, *, repair: bool) -> str:
        breeder, begun = self._breeder, time.monotonic()
        if breeder.llm is None:
            raise BudgetError("no model is set", status="no_model")
        breeder.purse.take()
        failure: LLMError | None = None
        text = ""
        try:
            reply = breeder.llm.complete(question)
            text = reply.text
            made = call_record(breeder.llm.model, question, reply, time.monotonic() - begun)
        except LLMError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a model may be the user's own code
            said = without_secrets(f"{type(error).__name__}: {error}")
            failure = LLMCallError(said, status="crash")
        if failure is not None:
            made = call_record(breeder.llm.model, question, failure, time.monotonic() - begun)
        row = breeder.record(events.call(made, self._bred.plan.id, step, repair=repair))
        breeder.purse.settle(row, failure)
        if failure is not None:
            raise failure
        return text
