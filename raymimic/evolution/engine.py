"""`Evolution`: ask for the next program to evaluate, tell what came of it. Knows nothing of Ray.

`ask` never waits: children are made in the background, `ask` hands out those that are ready.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from raymimic.errors import AdvisorError, LedgerError, ProgramError
from raymimic.evolution import events
from raymimic.evolution.breeding import Bred, Breeder
from raymimic.evolution.events import Row
from raymimic.evolution.gates import Rejection
from raymimic.evolution.generational import Generational
from raymimic.evolution.individuals import Individual
from raymimic.evolution.journal import Journal
from raymimic.evolution.planning import Shares, SteadyState, snapshot
from raymimic.evolution.program import Program
from raymimic.evolution.purse import Budget, Purse
from raymimic.evolution.smoke import SmokeTest
from raymimic.evolution.state import State
from raymimic.evolution.task import TrainingTask
from raymimic.inquiry import Inquiry
from raymimic.ledger import Ledger, read_events
from raymimic.llm import LLM, describe
from raymimic.records import Objective

logger = logging.getLogger(__name__)

# A child may take two calls for each of two steps, and its smoke test.
_BREEDING_S = 300.0
_HOPELESS_REJECTIONS = 300  # in a row: nothing that is made passes the gates
_HOPELESS_FAILURES = 8  # evaluations, all of which failed
_TEXT_CHARS = 2000


@dataclass(frozen=True)
class Settings:
    """How an evolution goes; as in `GuidedEvolutionSearch`."""

    population: int = 20
    shares: Shares = field(default_factory=Shares)
    paper: bool = False
    budget: Budget = field(default_factory=Budget)
    timeout: float = 60.0
    seed: int = 0

    def planner(self) -> SteadyState | Generational:
        """Who plans the children."""
        if self.paper:
            return Generational(self.shares, self.seed)
        return SteadyState(self.shares, self.population, self.seed)


class Evolution(Journal):
    """A population of programs that grows by one child for each evaluation.

    With a ledger that holds an evolution of the same program it goes on from there: nothing that
    was paid for or evaluated is done again. Pickles without its live handles.

    Raises `ProgramError` where the ledger holds another program's evolution, `SandboxError` where
    a ``task`` is given and this machine cannot confine candidates.
    """

    state: State

    def __init__(
        self,
        program: Program,
        objectives: Sequence[Objective],
        *,
        llm: LLM | None = None,
        task: TrainingTask | None = None,
        settings: Settings | None = None,
        ledger: str | os.PathLike[str] | None,
    ) -> None:
        self.settings = settings or Settings()
        if llm is not None:
            self.settings.budget.check_price(llm)
        self.llm = llm
        self.ledger = Ledger.at(ledger)
        self.state = State(program, objectives)
        self._smoke = None if task is None else SmokeTest(task)
        self._setting = "" if task is None else task.said()
        self._begun = False
        self.take_up(self.ledger.path)
        self._open()

    def _open(self) -> None:
        self._planner = self.settings.planner()
        self._purse = Purse(self.settings.budget, self.state.spent)
        self._inquiry: Inquiry[list[Bred]] = Inquiry(2 * self.settings.timeout + _BREEDING_S)
        self._open_journal()
        self._said_keyless = False

    def __getstate__(self) -> dict[str, Any]:
        self._take_recorded()
        live = ("_planner", "_purse", "_inquiry", *self.LIVE, "_said_keyless")
        return {name: value for name, value in self.__dict__.items() if name not in live}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    # -- ask -----------------------------------------------------------------------------------

    def ask(self, trial_id: str, ahead: int = 1) -> Individual | None:
        """The next individual to evaluate, or None while none is ready; never waits.

        ``ahead`` is how many should be ready: as many as are evaluated at once.
        """
        self.begin()
        self._collect()
        waiting = self.state.of_status("waiting")
        started = None
        if waiting and self.why_over is None:
            self.note(events.individual_start(waiting[0].id, trial_id))
            started = self.state.individuals[waiting[0].id]
        self._breed(ahead)
        return started

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the children that are being made."""
        self._inquiry.wait(seconds)

    @property
    def why_over(self) -> str | None:
        """Why no further child can be expected; None while the evolution goes on."""
        state = self.state
        if state.rejected_in_a_row >= _HOPELESS_REJECTIONS:
            _, last = state.rejections[-1]
            return (
                f"the last {state.rejected_in_a_row} children were all refused before a trial; the "
                f"last one: {last.gate}: {last.reason}"
            )
        failed = state.of_status("failed")
        if len(failed) >= _HOPELESS_FAILURES and not state.of_status("done", "stopped"):
            return (
                f"all of the first {len(failed)} evaluations failed, the seed's among them; the "
                f"seed's error: {state.individuals[0].error or failed[0].error}"
            )
        return None

    def _breed(self, ahead: int) -> None:
        wanted = ahead - len(self.state.of_status("waiting"))
        if wanted <= 0 or not self._inquiry.may_ask() or self.why_over is not None:
            return
        breeder = Breeder(
            self.llm, self._purse, self._smoke, self._record,
            self.settings.timeout, self.settings.seed,
        )  # fmt: skip
        self._inquiry.submit(partial(self._make, self.state.copy(), wanted, breeder))

    def _make(self, view: State, wanted: int, breeder: Breeder) -> list[Bred]:
        """Plan and breed children, in the background; ``view`` is this thread's own.

        In paper mode a whole generation is planned at once; it is bred as trials need it.
        """
        missing = wanted - len(view.plans)
        if missing > 0:
            for row in self._planner.plan(view, missing, keyless=self._keyless()):
                view.apply(self._record(row))
        plans = list(view.plans.values())[:wanted]
        known = replace(snapshot(view), setting=self._setting)
        return breeder.breed(plans, known, view.replies) if plans else []

    def _keyless(self) -> bool:
        """Whether plans are for the keyless mutator: without a model, or with one that is out."""
        return self.llm is None or self._purse.open() is not None

    def _collect(self) -> None:
        self._take_recorded()
        bred = self._inquiry.collect()
        if isinstance(bred, AdvisorError):
            logger.warning("raymimic: making children failed (%s); trying again.", bred)
            return
        for one in bred or ():
            if one.keyless is not None:
                self.note(one.keyless)
                self._say_keyless(one.keyless["reason"])
            if one.plan.id in self.state.plans and one.end is not None:
                self.note(self._unless_known(one, one.end))

    def _unless_known(self, bred: Bred, end: Row) -> Row:
        """Two plans that were served side by side may have made the same program."""
        if end["event"] != "child" or end["identity"] not in self.state.identities:
            return end
        gate = Rejection("duplicate", "this program was already tried; it must differ in meaning")
        return events.reject(
            bred.plan.id, end["operator"], gate.gate, gate.reason,
            block=end["blocks"][-1], repaired=end["repaired"],
        )  # fmt: skip

    def _say_keyless(self, reason: str) -> None:
        if not self._said_keyless:
            self._said_keyless = True
            logger.warning(
                "raymimic: the model does not serve (%s); the keyless mutator goes on "
                "(said once; the ledger has each case).",
                reason,
            )

    # -- tell ----------------------------------------------------------------------------------

    def tell(
        self,
        trial_id: str,
        values: Mapping[str, float],
        curve: Sequence[float],
        *,
        status: str = "done",
        error: str = "",
        seconds: float = 0.0,
        test_predictions: str | None = None,
    ) -> Individual | None:
        """Take in how an individual's trial ended; None for a trial that is not under way."""
        number = self.state.by_trial.get(trial_id)
        if number is None or self.state.individuals[number].status != "running":
            return None
        row = events.individual_end(
            number,
            status,
            values=dict(values),
            curve=list(curve),
            error=error[-_TEXT_CHARS:],
            seconds=round(seconds, 2),
            test_predictions=test_predictions,
        )
        self.note(row)
        return self.state.individuals[number]

    def lose(self, trial_ids: Sequence[str]) -> None:
        """These trials are gone; their individuals wait for others."""
        for trial_id in trial_ids:
            self.note(events.individual_lost(self.state.by_trial[trial_id]))

    def note_test(self, scores: Mapping[int, float]) -> None:
        """Keep test accuracies that were read at the end."""
        self.note(events.test(scores))

    # -- ledger --------------------------------------------------------------------------------

    def take_up(self, path: Path) -> None:
        """Fold the events that a ledger holds; without the file, nothing happens."""
        try:
            rows = read_events(path).rows
        except LedgerError:
            return
        beginnings = [row for row in rows if row["event"] == "evolution"]
        if not beginnings:
            return
        if beginnings[0]["source"] != self.state.seed.source:
            raise ProgramError(
                f"the ledger {path} holds the evolution of another program: give a new ledger"
            )
        state = State(self.state.seed, self.state.objectives)
        for row in rows:
            state.apply(row)
        self.state, self._begun = state, True
        logger.info(
            "raymimic: goes on with %d individuals, %d evaluated. Ledger: %s",
            len(state.individuals),
            len(state.scored()),
            path,
        )

    def release_running(self, except_for: Sequence[str] = ()) -> None:
        """Individuals whose trials died with an earlier process wait again."""
        gone = [
            one.trial_id
            for one in self.state.of_status("running")
            if one.trial_id and one.trial_id not in except_for
        ]
        self.lose(gone)

    def begin(self) -> None:
        """Say in the ledger what begins, once; `ask` does it."""
        if self._begun:
            return
        self._begun = True
        state = self.state
        self.note(
            events.evolution(
                state.seed.source,
                state.objectives,
                model=describe(self.llm) if self.llm is not None else "keyless",
                population=self.settings.population,
                paper=self.settings.paper,
                seed=self.settings.seed,
                sandbox=None if self._smoke is None else self._smoke.mechanism,
            )
        )

    def close(self) -> None:
        """End the sandbox of the smoke tests and see that the ledger is on disk."""
        if self._smoke is not None:
            self._smoke.close()
        self.ledger.flush()

    def set_objectives(self, objectives: Sequence[Objective]) -> None:
        """Change what is optimised, before anything was evaluated."""
        self.state.objectives = tuple(objectives)
