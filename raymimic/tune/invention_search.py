"""`SelfDevelopingSearch`: Ray Tune scores the merging algorithms that a model invents.

The controller's thread only hands out programs that are ready and notes scores; prompts, gates and
the generator's training run behind it.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.tune.search import Searcher
from ray.tune.search.variant_generator import parse_spec_vars

from raymimic.invention import (
    Budget,
    Invented,
    Invention,
    Learn,
    MergeRunner,
    MergeTask,
    Pairing,
    Settings,
    algorithm_file,
    summary,
    write_results,
)
from raymimic.invention.dpo import DpoSettings, train
from raymimic.llm import LLM, TransformersLLM, describe, resolve_llm
from raymimic.tune.evolution_search import FAILED, PROGRAM
from raymimic.tune.guarded import guarded
from raymimic.tune.program_search import ProgramSearch
from raymimic.tune.results import metrics_of, seconds_of

logger = logging.getLogger(__name__)

SCORE, ERROR_OF_SCORE = "score", "score_error"
"""Names in a result: the dev score, and its standard error where it is known."""

_TESTED = 15  # programs, the best by dev score, as published


class SelfDevelopingSearch(ProgramSearch):
    """Searches algorithms that improve ``task.base`` by merging it with the task's experts.

    Each trial's configuration carries a program in ``config["program"]``; `merge_trainable` runs it
    in the sandbox, adds what it returns to the base, and reports your score of the result.

    >>> import torch
    >>> from raymimic import MergeTask, SelfDevelopingSearch
    >>> task = MergeTask({"w": torch.zeros(2)}, {"a": {"w": torch.ones(2)}})
    >>> search = SelfDevelopingSearch(task, llm="none", seed=0)
    >>> "def merge(task_vectors, base):" in search.suggest("t1")["program"]
    True

    Args:
        task: The base and the models tuned from it.
        metric, mode: The score in the results; usually left to Tune; by default "score", "max".
        llm: Who writes the programs, as in `LLMSearcher`; "none" draws them at random.
        iterations, programs: How many times ``programs`` samples are made. Samples that are no
            valid program cost no trial.
        learn: What an iteration teaches. "elites" shows the best programs in the prompt; "dpo"
            trains a generator in this process (``llm="transformers:..."``) to prefer the better
            programs, under the published fixed prompt; "none" only samples. By default "dpo" for
            a generator in this process, else "elites".
        elites: How many programs a prompt shows.
        temperatures: Of a generator in this process: that of the first iteration, and the decay.
        pairing: Which programs make a pair of better and worse.
        dpo: Settings of the generator's training. It runs as a Ray task, on a GPU if there is one.
        calls, tokens, usd: Budget of calls to the model; spent, random programs go on.
        timeout: Longest a call may take, in seconds.
        seed: Makes random programs repeatable.
        ledger: File for the record of everything, by default in the experiment's folder. One that
            holds an invention with these models is taken up. Trained generators lie beside a file
            named here, else in ``~/ray_results/raymimic``: Tune would upload them again and again.

    Give Tune ``num_samples`` of at least two (the references) plus iterations times programs; the
    search ends by itself.

    Raises `LLMSetupError` for a model that cannot be used, `ProgramError` for another's ledger.
    """

    _engine: Invention

    def __init__(
        self,
        task: MergeTask,
        metric: str | None = None,
        mode: str | None = None,
        *,
        llm: str | LLM = "auto",
        iterations: int = 3,
        programs: int = 48,
        learn: Learn | None = None,
        elites: int = 3,
        temperatures: tuple[float, float] = (1.2, 0.2),
        pairing: Pairing | None = None,
        dpo: DpoSettings | None = None,
        calls: int | None = None,
        tokens: int | None = None,
        usd: float | None = None,
        timeout: float = 120.0,
        seed: int | None = None,
        ledger: str | os.PathLike[str] | None = None,
    ) -> None:
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        if learn not in (None, "dpo", "elites", "none"):
            raise ValueError(f"learn must be 'dpo', 'elites' or 'none', got {learn!r}")
        if min(iterations, programs) < 1 or elites < 0 or timeout <= 0:
            raise ValueError(
                f"iterations and programs must be at least 1, elites at least 0 and timeout above "
                f"0 s, got {iterations=}, {programs=}, {elites=}, {timeout=}"
            )
        super().__init__(metric, mode)
        generator = resolve_llm(llm)
        local = isinstance(generator, TransformersLLM)
        self.task = task
        self._engine = Invention(
            list(task.experts),
            llm=generator,
            trainer=_RayTrainer(dpo),
            settings=Settings(
                iterations=iterations,
                programs=programs,
                learn=learn or ("dpo" if local else "elites"),
                elites=elites,
                temperatures=temperatures,
                pairing=pairing or Pairing(),
                budget=Budget(calls, tokens, usd),
                timeout=timeout,
                seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
            ),
            better=None if mode is None else _better(mode),
            ledger=ledger,
        )
        self._engine.release_running()

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take metric and mode from Tune; False if there is a space to search beside programs."""
        del spec
        _, domains, grid = parse_spec_vars({"config": config})
        if domains or grid:
            return False
        self._metric, self._mode = metric or self._metric, mode or self._mode
        self._engine.set_better(_better(self._mode))
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next program, None while one is being made, FINISHED when all are scored."""
        invention = self._engine
        if not self._said:
            self._said = True
            who = "programs at random" if invention.llm is None else describe(invention.llm)
            logger.info("raymimic: %s. Ledger: %s", who, invention.ledger.where)
        try:
            running = len(invention.state.of_status("running"))
            given = invention.ask(trial_id, ahead=max(self._concurrency, running, 1))
            if given is None and invention.over:
                return str(Searcher.FINISHED)
        except Exception as error:  # noqa: BLE001 - raised, it would end the whole experiment
            self.fault("suggest", error)
            return None
        return None if given is None else {"individual": given.number, PROGRAM: given.source}

    @guarded
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep a running trial's last result."""
        said = str(result.get(FAILED) or "")
        self._seen[trial_id] = (metrics_of(result), said, seconds_of(result))

    @guarded
    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep a trial's score."""
        if result:
            self.on_trial_result(trial_id, result)
        values, said, seconds = self._seen.pop(trial_id, ({}, "", 0.0))
        self._engine.tell(
            trial_id,
            values.get(self._metric or SCORE),
            error_of_score=values.get(ERROR_OF_SCORE, 0.0),
            error=said or ("the trial ended with an error" if error else ""),
            seconds=seconds,
        )

    @property
    def invention(self) -> Invention:
        """The engine, with all programs in ``invention.state``."""
        return self._engine

    def best(self) -> Invented | None:
        """The best program by its dev score, None without one."""
        return next(iter(self._engine.state.best(1)), None)

    def test(
        self, evaluate: Callable[[dict[str, Any]], float], count: int = _TESTED
    ) -> dict[int, float]:
        """Score the ``count`` best programs by dev score, and the references, on the test data.

        ``evaluate(state)`` scores a merged state. Call it once, when nothing more will be chosen.
        """
        state = self._engine.state
        chosen = {one.number: one for one in state.best(count)}
        chosen |= {one.number: one for one in state.of_status("done") if one.iteration == 0}
        runner = MergeRunner(self.task)
        try:
            scores = {
                number: float(evaluate(runner.apply(one.source))) for number, one in chosen.items()
            }
        finally:
            runner.close()
        self._engine.note_test(scores)
        return scores

    def algorithm(self) -> str:
        """The best program as the text of a documented Python file that needs torch alone."""
        best = self.best()
        return "" if best is None else algorithm_file(best, self._engine.state)

    def write_results(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the best algorithms as files, and the tables."""
        return write_results(self._engine.state, Path(folder))

    def summary(self) -> str:
        """The invention so far in plain words."""
        return f"{summary(self._engine.state)}\nLedger: {self._engine.ledger.where}"


def _better(mode: str | None) -> int:
    return -1 if mode == "min" else 1


class _RayTrainer:
    """Trains a generator as a Ray task, on a GPU where the cluster has one."""

    def __init__(self, settings: DpoSettings | None) -> None:
        self._settings = settings

    def __call__(
        self, model: str, pairs: Sequence[Mapping[str, str]], out: Path
    ) -> Mapping[str, Any]:
        if not ray.is_initialized():
            return train(model, pairs, out, self._settings)
        gpus = min(1, int(ray.cluster_resources().get("GPU", 0)))
        task = ray.remote(num_cpus=0, num_gpus=gpus)(train)
        made: Mapping[str, Any] = ray.get(task.remote(model, pairs, out, self._settings))
        return made
