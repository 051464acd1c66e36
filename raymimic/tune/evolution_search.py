"""`GuidedEvolutionSearch`: Ray Tune trains programs that a model or keyless rules mutate and mate.

The controller's thread only hands out children that are ready and notes results; prompts, gates and
smoke tests run in the background.
"""

from __future__ import annotations

import logging
import math
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ray.tune.search import Searcher
from ray.tune.search.variant_generator import parse_spec_vars

from raymimic.evolution import (
    Budget,
    Evolution,
    Individual,
    Objective,
    Settings,
    Shares,
    TrainingTask,
    seed_program,
    test_front,
    write_results,
)
from raymimic.evolution.table import summary
from raymimic.llm import LLM, describe, resolve_llm
from raymimic.records import Mode
from raymimic.tune.guarded import guarded
from raymimic.tune.program_search import ProgramSearch
from raymimic.tune.results import epoch_of, metrics_of, restarted, seconds_of

logger = logging.getLogger(__name__)

PROGRAM = "program"
"""The name of the configuration's entry that holds the source."""

FAILED, TESTED = "program_error", "test_predictions"
"""Names in a result: why a program failed; its unscored predictions of the test inputs."""


@dataclass
class Seen:
    """What a running trial has reported so far: its curve, and its last result."""

    curve: list[float] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    tested: str | None = None


class GuidedEvolutionSearch(ProgramSearch):
    """Evolves a program: each trial's configuration carries a source in ``config["program"]``.

    Train it with `program_trainable`, or with your own ``train(config)`` that runs
    ``config["program"]`` and reports the objectives. ``config["individual"]`` is its number. Works
    as any searcher: schedulers, ``ConcurrencyLimiter``, ``Tuner.restore``, time budgets.

    >>> from raymimic import GuidedEvolutionSearch
    >>> search = GuidedEvolutionSearch("conv1d", llm="none", seed=0)
    >>> "EVOLVE-BLOCK-START" in search.suggest("t1")["program"]
    True

    Args:
        program: A Python file whose blocks may change (see `raymimic.evolution.program`), or
            "conv1d" or "exquisite-net-v2", which ship with this package.
        metric, mode: The first objective; usually left to Tune; by default "accuracy", "max".
        objectives: Further objectives as (name in the result, "min" or "max").
        llm: As in `LLMSearcher`; "none" evolves with the keyless mutator.
        task: Data for the smoke test that a child must pass in the sandbox before it becomes a
            trial. Without it only the static gates hold.
        paper: The published schedule: generations of 44 from 144 mutants of the seed.
        population: Individuals that may become parents in the steady state.
        shares: How often each operator is used.
        calls, tokens, usd: Budget of calls to the model; spent, the keyless mutator goes on.
        timeout: Longest a call may take, in seconds.
        seed: Makes plans and the keyless mutator repeatable.
        ledger: File for the record of everything, by default in the experiment's folder. One that
            holds an evolution of this program is taken up: what was paid for or evaluated is not
            done again.

    Raises:
        ProgramError: the program or the ledger cannot be used.
        LLMSetupError: ``llm`` names no model, or ``usd`` one of unknown price.
        SandboxError: ``task`` is given and this machine cannot confine a program.
    """

    _engine: Evolution

    def __init__(
        self,
        program: str | os.PathLike[str],
        metric: str | None = None,
        mode: str | None = None,
        *,
        objectives: Sequence[tuple[str, Mode]] = (("parameters", "min"),),
        llm: str | LLM = "auto",
        task: TrainingTask | None = None,
        paper: bool = False,
        population: int = 20,
        shares: Shares | None = None,
        calls: int | None = None,
        tokens: int | None = None,
        usd: float | None = None,
        timeout: float = 60.0,
        seed: int | None = None,
        ledger: str | os.PathLike[str] | None = None,
    ) -> None:
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        if population < 2 or timeout <= 0:
            raise ValueError(
                f"population must be at least 2 and timeout above 0 s, got {population=}, "
                f"{timeout=}"
            )
        super().__init__(metric, mode)
        self._others = tuple(Objective(*one) for one in objectives)
        self._engine = Evolution(
            seed_program(os.fspath(program)),
            self._objectives(),
            llm=resolve_llm(llm),
            task=task,
            settings=Settings(
                population=population,
                shares=shares or Shares(),
                paper=paper,
                budget=Budget(calls, tokens, usd),
                timeout=timeout,
                seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
            ),
            ledger=ledger,
        )
        self._engine.release_running()

    def _objectives(self) -> list[Objective]:
        mode: Mode = "min" if self._mode == "min" else "max"
        return [Objective(self._metric or "accuracy", mode), *self._others]

    # -- what Tune tells before the run --------------------------------------------------------

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take metric and mode from Tune; False if there is a space to search beside programs."""
        del spec
        _, domains, grid = parse_spec_vars({"config": config})
        if domains or grid:
            return False
        self._metric, self._mode = metric or self._metric, mode or self._mode
        self._engine.set_objectives(self._objectives())
        return True

    # -- programs ------------------------------------------------------------------------------

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next program, None while one is being made, FINISHED if none will come."""
        evolution = self._engine
        if not self._said:
            self._said = True
            logger.info(
                "raymimic: %s. Ledger: %s",
                "keyless mutator" if evolution.llm is None else describe(evolution.llm),
                evolution.ledger.where,
            )
        try:
            running = len(evolution.state.of_status("running"))
            given = evolution.ask(trial_id, ahead=max(self._concurrency, running, 1))
            if given is None and evolution.why_over is not None:
                logger.error("raymimic: the evolution ends: %s", evolution.why_over)
                return str(Searcher.FINISHED)
        except Exception as error:  # noqa: BLE001 - raised, it would end the whole experiment
            self.fault("suggest", error)
            return None
        if given is None:
            return None
        self._seen[trial_id] = Seen()
        return {"individual": given.id, PROGRAM: given.source}

    # -- results -------------------------------------------------------------------------------

    @guarded
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep one epoch of a running trial."""
        seen = self._seen.setdefault(trial_id, Seen())
        if restarted(result):
            del seen.curve[max(0, (epoch_of(result) or 1) - 1) :]
        seen.values, seen.seconds = metrics_of(result), seconds_of(result)
        seen.tested = result.get(TESTED)
        value = seen.values.get(self._engine.state.objectives[0].name)
        if value is not None:
            seen.curve.append(value)

    @guarded
    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep a trial's last result (which may come only here) and how it ended."""
        seen = self._seen.setdefault(trial_id, Seen())
        # A function that returns has its last result repeated: anything else was cut short. A
        # paused trial that is stopped has no result here.
        cut_short = not result or (epoch_of(result) or 0) > len(seen.curve)
        if result and cut_short:
            self.on_trial_result(trial_id, result)
        said = str((result or {}).get(FAILED) or ("the trial ended with an error" if error else ""))
        first = self._engine.state.objectives[0].name
        if not said and not math.isfinite(seen.values.get(first, math.nan)):
            said = f"the result has no finite {first!r}"
        ended = self._engine.tell(
            trial_id,
            seen.values,
            seen.curve,
            status="failed" if said else "stopped" if cut_short else "done",
            error=said,
            seconds=seen.seconds,
            test_predictions=seen.tested,
        )
        self._seen.pop(trial_id, None)
        if ended is not None and ended.status == "failed":
            logger.info("raymimic: program %d failed: %s", ended.id, said[-300:])

    # -- what others may read ------------------------------------------------------------------

    @property
    def evolution(self) -> Evolution:
        """The engine, with all individuals in ``evolution.state``."""
        return self._engine

    def front(self) -> list[Individual]:
        """The programs that no other dominates, the best of the first objective first."""
        return self._engine.state.front()

    def test_front(self, y_test: np.ndarray) -> dict[int, float]:
        """Test accuracy of the front by individual; call it once, at the end."""
        return test_front(self._engine, y_test)

    def write_results(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the best programs, a picture of the front with its lineage, and the tables."""
        return write_results(self._engine.state, Path(folder))

    def summary(self) -> str:
        """The evolution so far in plain words."""
        return f"{summary(self._engine.state)}\nLedger: {self._engine.ledger.where}"
