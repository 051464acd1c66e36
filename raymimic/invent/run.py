"""Runs a setup file's invention on Ray Tune and shows it as it goes."""

from __future__ import annotations

import runpy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from raymimic.errors import ProgramError
from raymimic.invention import Learn, MergeTask
from raymimic.records import Mode
from raymimic.tune import SelfDevelopingSearch, merge_trainable
from raymimic.tune.local_ray import quieten_ray, ray_here

Say = Callable[[str], None]

_REASON_CHARS = 90


@dataclass(frozen=True)
class InventSettings:
    """The arguments of the command."""

    setup: Path
    llm: str = "auto"
    iterations: int = 3
    programs: int = 48
    learn: Learn | None = None
    mode: Mode = "max"
    concurrent: int = 2
    calls: int | None = None
    usd: float | None = None
    seed: int = 0
    out: Path | None = None


def run_invent(settings: InventSettings, say: Say = print) -> SelfDevelopingSearch:
    """Invent, print, and write the results folder; one that holds an invention goes on.

    Raises `ProgramError` for a setup file that defines not what it must, `SandboxError`,
    `LLMSetupError` or `MissingExtra` before anything is scored.
    """
    quieten_ray()
    setup = read_setup(settings.setup)
    out = settings.out or Path(time.strftime("invent_%Y-%m-%d_%H-%M-%S"))
    search = SelfDevelopingSearch(
        setup["task"],
        mode=settings.mode,
        llm=settings.llm,
        iterations=settings.iterations,
        programs=settings.programs,
        learn=settings.learn,
        calls=settings.calls,
        usd=settings.usd,
        seed=settings.seed,
        ledger=out / "ledger.jsonl",
    )
    done = len(search.invention.state.of_status("done", "failed"))
    if done:
        say(f"{out} holds {done} scored programs: going on from there")
    if not search.invention.over:
        _run(settings, search, merge_trainable(setup["task"], setup["evaluate"]), say)
    if "test" in setup:
        search.test(setup["test"])
    say(search.summary())
    for file in search.write_results(out):
        say(f"wrote {file}")
    return search


def read_setup(path: Path) -> Mapping[str, Any]:
    """What a setup file defines; raises `ProgramError` unless that is a task and a score."""
    if not path.is_file():
        raise ProgramError(f"the setup must be a Python file, there is none at {str(path)!r}")
    names = runpy.run_path(str(path))
    if not isinstance(names.get("task"), MergeTask):
        raise ProgramError(
            f"{path} must define task = raymimic.MergeTask(base, experts), got "
            f"{type(names.get('task')).__name__}"
        )
    for name in ("evaluate", "test"):
        if not callable(names.get(name)) and (name == "evaluate" or name in names):
            raise ProgramError(f"{path} must define a function {name}(state) that returns a score")
    return names


def _run(
    settings: InventSettings,
    search: SelfDevelopingSearch,
    trainable: Callable[..., None],
    say: Say,
) -> None:
    with ray_here():
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric="score",
                mode=settings.mode,
                search_alg=search,
                num_samples=-1,  # the search ends by itself
                max_concurrent_trials=settings.concurrent,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(verbose=0, callbacks=[LiveBest(search, say)]),
        ).fit()


class LiveBest(tune.Callback):
    """Says each scored program in a line, and which is the best so far."""

    def __init__(self, search: SelfDevelopingSearch, say: Say) -> None:
        self._search, self._say = search, say
        self._best: int | None = None

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """One program was scored."""
        del iteration, trials, info
        state = self._search.invention.state
        found = state.by_trial.get(trial.trial_id)
        if found is None:
            return
        one = state.programs[found]
        last = one.error.splitlines()[-1] if one.error else ""
        said = f"failed: {last}" if one.status == "failed" else f"{one.score:.4g}"
        best = self._search.best()
        if best is not None and best.number == one.number != self._best:
            self._best, said = best.number, f"{said} *best*"
        reason = one.rationale[:_REASON_CHARS]
        self._say(
            f"iteration {one.iteration}  program {one.number} ({one.origin}) {said}  {reason}"
        )
