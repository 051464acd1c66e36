"""`Invention`: ask for the next program to score, tell what came of it. Knows nothing of Ray.

Iterations as published: sample programs, score them on the base model, let the generator learn
from the better and the worse, and again. `ask` never waits; sampling and learning run behind it.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from raymimic.errors import AdvisorError, LedgerError, LLMSetupError, ProgramError
from raymimic.evolution.events import Row
from raymimic.evolution.journal import Journal
from raymimic.evolution.purse import Purse
from raymimic.inquiry import Inquiry
from raymimic.invention.learning import Trainer, generator_of, learn, must_learn
from raymimic.invention.records import Invented
from raymimic.invention.sampling import Sampler, program_event
from raymimic.invention.settings import Settings
from raymimic.invention.state import State
from raymimic.invention.template import REFERENCES, program_of
from raymimic.ledger import Ledger, read_events
from raymimic.llm import LLM, TransformersLLM, describe

logger = logging.getLogger(__name__)

_SIDE_BY_SIDE = 8  # samples that are made at once
_LEARNING_S = 24 * 3600.0
_TEXT_CHARS = 2000


class Invention(Journal):
    """A growing set of programs in iterations.

    With a ledger that holds an invention it goes on from there: no paid call, score or training is
    done twice. ``better`` is 1 where a higher score is better, -1 where a lower one is, None until
    `set_better` says it. Pickles without its live handles. Raises `LLMSetupError` where ``learn``
    is "dpo" and the generator is no model in this process.
    """

    state: State

    def __init__(
        self,
        models: Sequence[str],
        *,
        llm: LLM | None,
        trainer: Trainer | None,
        settings: Settings,
        better: int | None,
        ledger: str | os.PathLike[str] | None,
    ) -> None:
        if settings.learn == "dpo" and not isinstance(llm, TransformersLLM):
            raise LLMSetupError(
                'learn="dpo" trains the generator, which must be a model in this process: '
                f'llm="transformers:FOLDER", got {_who(llm)}; or learn="elites"'
            )
        if llm is not None:
            settings.budget.check_price(llm)
        self.models, self.llm, self.settings = tuple(models), llm, settings
        self.ledger = Ledger.at(ledger)
        self._generators = self.ledger.path  # beside it; they stay there when the ledger moves
        self.state = State(better=better or 1)
        self._better = better
        self._trainer = trainer
        self._begun = False
        self.take_up(self.ledger.path)
        self._open()

    def _open(self) -> None:
        self._purse = Purse(self.settings.budget, self.state.spent)
        self._inquiry: Inquiry[list[Row]] = Inquiry(_LEARNING_S)
        self._open_journal()
        self._said_random = False

    def __getstate__(self) -> dict[str, Any]:
        self._take_recorded()
        live = ("_purse", "_inquiry", *self.LIVE, "_said_random")
        return {name: value for name, value in self.__dict__.items() if name not in live}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def iteration(self) -> int:
        """The iteration under way, from 1; one more than there are when all is done."""
        for iteration in range(1, self.settings.iterations + 1):
            if self.state.made(iteration) < self.settings.programs:
                return iteration
            open_ones = [
                one
                for one in self.state.of_status("waiting", "running")
                if one.iteration == iteration
            ]
            if open_ones or self._must_learn(iteration):
                return iteration
        return self.settings.iterations + 1

    @property
    def over(self) -> bool:
        """Whether all iterations are done, the references' scores among them."""
        return self.iteration > self.settings.iterations and not self.state.of_status(
            "waiting", "running"
        )

    def ask(self, trial_id: str, ahead: int = 1) -> Invented | None:
        """The next program to score, or None while none is ready; never waits."""
        self.begin()
        self._collect()
        waiting = self.state.of_status("waiting")
        started = None
        if waiting:
            self.note(
                {"event": "program_start", "program": waiting[0].number, "trial_id": trial_id}
            )
            started = self.state.programs[waiting[0].number]
        self._go_on(ahead)
        return started

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for what is under way in the background."""
        self._inquiry.wait(seconds)

    def tell(
        self,
        trial_id: str,
        score: float | None,
        *,
        error_of_score: float = 0.0,
        error: str = "",
        seconds: float = 0.0,
    ) -> Invented | None:
        """Take in how a program's trial ended; None for a trial that is not under way."""
        number = self.state.by_trial.get(trial_id)
        if number is None or self.state.programs[number].status != "running":
            return None
        if score is None or not math.isfinite(score):
            score, error = None, error or "the result has no finite score"
        self.note(
            {
                "event": "program_end",
                "program": number,
                "status": "failed" if error else "done",
                "score": None if error else score,
                "error_of_score": error_of_score,
                "error": error[-_TEXT_CHARS:],
                "seconds": round(seconds, 2),
            }
        )
        return self.state.programs[number]

    def release_running(self, except_for: Sequence[str] = ()) -> None:
        """Programs whose trials died with an earlier process wait again."""
        for one in self.state.of_status("running"):
            if one.trial_id not in except_for:
                self.note({"event": "program_lost", "program": one.number})

    def note_test(self, scores: Mapping[int, float]) -> None:
        """Keep scores on the test data, which were read at the end; they are on disk then."""
        self.note({"event": "test", "scores": {str(key): value for key, value in scores.items()}})
        self.ledger.flush()

    # -- behind it -----------------------------------------------------------------------------

    def _go_on(self, ahead: int) -> None:
        wanted = ahead - len(self.state.of_status("waiting"))
        iteration = self.iteration
        if wanted <= 0 or iteration > self.settings.iterations or not self._inquiry.may_ask():
            return
        missing = self.settings.programs - self.state.made(iteration)
        if missing > 0:
            first = (iteration - 1) * self.settings.programs
            open_ones = [
                number
                for number in range(first, first + self.settings.programs)
                if number not in self.state.ended
            ]
            numbers = open_ones[: min(wanted, _SIDE_BY_SIDE)]
            sampler = self._sampler(iteration)
            job = partial(sampler.sample, self.state.copy(), numbers, iteration)
            self._inquiry.submit(job)
        elif self._must_learn(iteration) and not self.state.of_status("waiting", "running"):
            out = self._generators.with_name(f"{self._generators.stem}_generator_{iteration}")
            generator = self._generator(iteration)
            state, settings = self.state.copy(), self.settings
            job = partial(learn, state, settings, self._trainer, generator, iteration, out)
            self._inquiry.submit(job)

    def _sampler(self, iteration: int) -> Sampler:
        llm, settings = self.llm, self.settings
        if isinstance(llm, TransformersLLM):
            llm = llm.at(
                model=self._generator(iteration),
                temperature=settings.temperature(iteration),
                seed=llm.seed + len(self.state.ended),  # else each batch would say the same
            )
        return Sampler(
            llm, self._purse, self._record, settings.timeout, settings.seed, len(self.models),
            settings.elites if settings.learn == "elites" else 0,
        )  # fmt: skip

    def _generator(self, iteration: int) -> str:
        assert self.llm is not None
        return generator_of(self.state, self.llm.model, iteration)

    def _must_learn(self, iteration: int) -> bool:
        return must_learn(self.state, self.settings, iteration)

    def _collect(self) -> None:
        self._take_recorded()
        made = self._inquiry.collect()
        if isinstance(made, AdvisorError):
            logger.warning("raymimic: making programs failed (%s); trying again.", made)
            return
        for row in made or ():
            if row["event"] == "program" and row["identity"] in self.state.identities:
                row = {
                    "event": "reject", "sample": row["sample"], "iteration": row["iteration"],
                    "gate": "duplicate", "reason": "this program was already tried",
                }  # fmt: skip
            self.note(row)
            if row.get("instead") and not self._said_random:
                self._said_random = True
                logger.warning(
                    "raymimic: the model does not serve (%s); random programs stand in (said "
                    "once; the ledger has each case).",
                    row["instead"],
                )

    # -- ledger --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say in the ledger what begins, with the reference programs, once; `ask` does it."""
        if self._begun:
            return
        self._begun = True
        settings = self.settings
        self.note(
            {
                "event": "invention", "models": list(self.models), "model": _who(self.llm),
                "iterations": settings.iterations, "programs": settings.programs,
                "learn": settings.learn, "seed": settings.seed, "better": self.state.better,
            }
        )  # fmt: skip
        for name, code in REFERENCES.items():
            program = program_of(code)
            self.note(
                program_event(
                    program.source, program.identity, f"reference: {name}", "",
                    iteration=0, sample=None,
                )
            )  # fmt: skip

    def take_up(self, path: Path) -> None:
        """Fold the events that a ledger holds; without the file, nothing happens.

        Raises `ProgramError` where it holds the invention of other models, or of the other mode.
        """
        try:
            rows = read_events(path).rows
        except LedgerError:
            return
        began = next((row for row in rows if row["event"] == "invention"), None)
        if began is None:
            return
        if tuple(began["models"]) != self.models:
            raise ProgramError(
                f"the ledger {path} holds an invention with the models {began['models']}: give a "
                "new ledger"
            )
        state = State(better=began["better"])
        for row in rows:
            state.apply(row)
        self.state, self._begun = state, True
        self._check_mode()
        logger.info(
            "raymimic: goes on with %d programs, %d scored. Ledger: %s",
            len(state.programs), len(state.of_status("done")), path,
        )  # fmt: skip

    def set_better(self, better: int) -> None:
        """Say which scores are better, before anything was made; `ProgramError` for another."""
        self._better = better
        if not self._begun:
            self.state.better = better
        self._check_mode()

    def _check_mode(self) -> None:
        if self._better not in (None, self.state.better):
            wanted = "max" if self.state.better == 1 else "min"
            raise ProgramError(
                f'the ledger {self.ledger.path} holds an invention with mode="{wanted}": give a '
                "new ledger, or that mode"
            )


def _who(llm: LLM | None) -> str:
    return "no language model" if llm is None else describe(llm)
