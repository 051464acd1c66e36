"""Runs an evolution under Tune, shows its front while it grows and writes what it found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from raymimic.evolution import Individual, Limits
from raymimic.evolution.operators.text import number
from raymimic.evolution.sandbox.probe import Sandbox
from raymimic.evolve.data import make_task, read_data
from raymimic.tune.evolution_search import GuidedEvolutionSearch
from raymimic.tune.evolution_trainable import program_trainable
from raymimic.tune.local_ray import quieten_ray, ray_here

_REASON_CHARS = 90

Say = Callable[[str], None]


@dataclass(frozen=True)
class EvolveSettings:
    """What ``raymimic evolve`` was asked to do; ``seconds`` None means no time budget."""

    program: str
    data: str = "digits"
    llm: str = "auto"
    trials: int = 30
    epochs: int = 10
    batch_size: int = 100
    concurrent: int = 2
    seconds: float | None = None
    limit_seconds: float = 900.0
    calls: int | None = None
    usd: float | None = None
    paper: bool = False
    sandbox: Sandbox = "auto"
    seed: int = 0
    out: Path | None = None


def run_evolve(settings: EvolveSettings, say: Say = print) -> GuidedEvolutionSearch:
    """Evolve, print, and write the results folder; one that holds an evolution goes on.

    Raises `ProgramError`, `SandboxError`, `LLMSetupError` or `MissingExtra` before anything is
    trained.
    """
    quieten_ray()
    out = settings.out or Path(time.strftime("evolve_%Y-%m-%d_%H-%M-%S"))
    arrays = read_data(settings.data)
    task = make_task(
        arrays,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        sandbox=settings.sandbox,
        limits=Limits(seconds=settings.limit_seconds),
    )
    search = GuidedEvolutionSearch(
        settings.program,
        llm=settings.llm,
        task=task,
        paper=settings.paper,
        calls=settings.calls,
        usd=settings.usd,
        seed=settings.seed,
        ledger=out / "ledger.jsonl",
    )
    done = len(search.evolution.state.of_status("done", "stopped", "failed"))
    if done:
        say(f"{out} holds {done} evaluated programs: going on from there")
    if done < settings.trials:
        named = " @ ".join(goal.name for goal in search.evolution.state.objectives)
        say(f"Each program's {named}, and the front whenever it has moved:")
        _run(settings, search, program_trainable(task), settings.trials - done, say)
    if "y_test" in arrays:
        search.test_front(arrays["y_test"])
    say(search.summary())
    for file in search.write_results(out):
        say(f"wrote {file}")
    search.evolution.close()
    return search


def _run(
    settings: EvolveSettings,
    search: GuidedEvolutionSearch,
    trainable: Callable[..., None],
    trials: int,
    say: Say,
) -> None:
    with ray_here():
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric="accuracy",
                mode="max",
                search_alg=search,
                num_samples=trials,
                max_concurrent_trials=settings.concurrent,
                time_budget_s=settings.seconds,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(verbose=0, callbacks=[LiveFront(search, say)]),
        ).fit()


class LiveFront(tune.Callback):
    """Says each evaluated program in a line, and the front whenever it has moved."""

    def __init__(self, search: GuidedEvolutionSearch, say: Say) -> None:
        self._search, self._say = search, say
        self._front: tuple[int, ...] = ()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """One program was evaluated."""
        del iteration, trials, info
        self._show(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """One trial died."""
        del iteration, trials, info
        self._show(trial.trial_id)

    def _show(self, trial_id: str) -> None:
        state = self._search.evolution.state
        found = state.by_trial.get(trial_id)
        if found is None:
            return
        self._say(self._line(state.individuals[found]))
        front = self._search.front()
        ids = tuple(one.id for one in front)
        if ids != self._front:
            self._front = ids
            self._say("  front: " + "  ".join(map(self._values, front)))

    def _line(self, one: Individual) -> str:
        if one.status == "failed":
            said = f"failed: {one.error.splitlines()[-1] if one.error else '?'}"
        else:
            said = self._values(one)
        reason = one.rationale if len(one.rationale) < _REASON_CHARS else one.rationale[:87] + "..."
        origin = f" of {one.parents[0]}" if one.parents else ""
        return f"program {one.id} ({one.operator}{origin}) {said}  {reason}".rstrip()

    def _values(self, one: Individual) -> str:
        goals = self._search.evolution.state.objectives
        return " @ ".join(number(one.values[goal.name]) for goal in goals)
