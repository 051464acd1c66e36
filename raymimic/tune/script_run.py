"""``raymimic run``: a search over what a script defines, with everything wired."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import ray
from ray import tune

from raymimic.errors import RaymimicError
from raymimic.summary import show
from raymimic.tune.callback import RaymimicCallback
from raymimic.tune.local_ray import quieten_ray, start_ray
from raymimic.tune.results import metrics_of
from raymimic.tune.script import Script, read_script
from raymimic.tune.searcher import LLMSearcher
from raymimic.tune.wiring import Raymimic


@dataclass(frozen=True)
class RunSettings:
    """What `raymimic run` was asked to do; ``seconds`` None means no time budget."""

    script: Path
    metric: str | None = None
    mode: str | None = None
    trials: int = 20
    llm: str = "auto"
    seed: int | None = None
    concurrent: int | None = None
    seconds: float | None = None
    out: Path = Path("raymimic_results")


def run_script(settings: RunSettings, say: Callable[[str], None]) -> None:
    """Search and say what came of it.

    Raises `RaymimicError` where the script cannot be searched, every trial failed, or no trial
    reported a metric that it is judged by.
    """
    script = read_script(settings.script, settings.metric, settings.mode)
    if not script.objectives:
        raise RaymimicError(
            f"say what {script.name} should be judged by: --metric NAME, or metric = ... in the "
            f"script; `raymimic check {script.path}` lists what it reports"
        )
    prepare(script)
    slots = settings.concurrent or start_ray()
    start_ray()
    say(
        f"{script.path}: {settings.trials} trials of {script.name}, {slots} at once; {script.goal}."
    )
    watch = _Watch([one.name for one in script.objectives])
    folder = settings.out.absolute()
    name = f"{script.path.stem}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    run_config = tune.RunConfig(
        name=name, storage_path=str(folder), callbacks=[watch], stop=watch, verbose=0
    )
    grid = _tuner(script, settings, slots, run_config).fit()
    _say_the_end(script, grid, watch, folder / name, say)


def prepare(script: Script) -> None:
    """Let trials find the script's own modules and its files by relative paths."""
    quieten_ray()
    folder = str(script.path.parent.absolute())
    paths = [folder, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    # A metric that comes with some reports alone is fine; `_Watch` finds one that never comes.
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"


def unknown_metric(metric: str, reported: list[str]) -> str:
    """Say that a metric was not reported, and what was."""
    alike = get_close_matches(metric, reported, 1)
    meant = f"; did you mean {alike[0]}?" if alike else ""
    return (
        f"the metric {metric!r} must be reported, it never came; reported were "
        f"{', '.join(reported) or 'no numbers'}{meant} (--metric NAME)"
    )


class _Watch(tune.Callback, tune.Stopper):
    """Ends a run whose first finished trial never reported one of the metrics, the ``missing``."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self.missing: str | None = None
        self.reported = set[str]()
        self._metrics, self._wanted = tuple(metrics), set(metrics)

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        del iteration, trials, trial, info
        names = metrics_of(result, *self._metrics).keys()
        self.reported |= names
        self._wanted -= names

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        del iteration, trials, trial, info
        self.missing = next((one for one in self._metrics if one in self._wanted), None)

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        del trial_id, result
        return False

    def stop_all(self) -> bool:
        return self.missing is not None


def _tuner(
    script: Script, settings: RunSettings, slots: int, run_config: tune.RunConfig
) -> tune.Tuner:
    trainable = script.trainable
    gpus = ray.cluster_resources().get("GPU", 0.0)
    if gpus and not hasattr(trainable, "_resources"):
        trainable = tune.with_resources(trainable, {"cpu": 1, "gpu": gpus / slots})
    tune_config = tune.TuneConfig(
        num_samples=settings.trials,
        max_concurrent_trials=slots,
        time_budget_s=settings.seconds,
    )
    ours: dict[str, Any] = {"llm": settings.llm, "seed": settings.seed}
    names, modes = zip(*((one.name, one.mode) for one in script.objectives), strict=True)
    if len(names) > 1:  # Tune has one metric
        ours |= {"metric": names, "mode": modes}
    else:
        tune_config.metric, tune_config.mode = names[0], modes[0]
    if not script.returns:
        mimic = Raymimic(**ours)
        return mimic.tuner(
            trainable, param_space=script.space, tune_config=tune_config, run_config=run_config
        )
    # Without our scheduler: what returns is trained by then, a stop would only lose its score.
    tune_config.search_alg = LLMSearcher(**ours)
    callback = RaymimicCallback(tune_config.search_alg)
    run_config.callbacks = [callback, *(run_config.callbacks or ())]
    return tune.Tuner(
        trainable, param_space=script.space, tune_config=tune_config, run_config=run_config
    )


def _say_the_end(
    script: Script, grid: tune.ResultGrid, watch: _Watch, run: Path, say: Callable[[str], None]
) -> None:
    if watch.missing is not None:
        raise RaymimicError(unknown_metric(watch.missing, sorted(watch.reported)))
    if grid.num_errors == len(grid):
        reason = str(grid.errors[0]).strip().splitlines()[-1] if grid.errors else "none was started"
        raise RaymimicError(f"all {len(grid)} trials failed, the first with {reason}: {run}")
    first, *others = script.objectives
    best = grid.get_best_result(first.name, first.mode)
    settings = ", ".join(f"{name}={show(best.config[name])}" for name in script.space)
    say(
        f"Best {'in ' if others else ''}{first.name} {show((best.metrics or {})[first.name])}: "
        f"{settings}\n"
        f"Results: {run}\n"
        f"See: raymimic report {run}; raymimic why best {run}"
    )
