"""The driver of one run, in a process of its own, so that it can be killed.

    python -m experiments.faults.drive SETTINGS.json fit|restore

Writes ``driver.json`` into the run's folder: what Tune and the searcher say at the end.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, HyperBandScheduler, PopulationBasedTraining

from experiments.faults.sabotage import Keep, PauseOnce, saboteurs
from experiments.faults.training import EachEpoch, Task, train
from raymimic import LLMScheduler, LLMSearcher, OpenAILLM, RaymimicCallback
from raymimic.errors import LLMCallError
from raymimic.tune import Guide

SPACE = {"lr": tune.loguniform(1e-3, 1e-1), "weight_decay": tune.loguniform(1e-5, 1e-2)}
METRIC, MODE = "loss", "min"
# In the result of a trial that copied another's last checkpoint stands the other's id.
_TRIAL = re.compile(r"/train_([0-9a-f]{8}|[0-9a-f]{5}_[0-9]{5})_")


def main(settings_file: str, action: str) -> None:
    logging.basicConfig(format="%(relativeCreated)8.0f ms  %(message)s")
    logging.getLogger("raymimic").setLevel(logging.INFO)
    settings = json.loads(Path(settings_file).read_text())
    out = Path(settings["out"])
    ray.init(address=settings["address"], log_to_driver=False, logging_level=logging.ERROR)
    task = Task(**settings["task"])
    guide = _guide(settings) if settings["guide"] else None
    advisor = {"guide": guide, "each": EachEpoch(), "rules": "none"}[settings["advisor"]]
    trainable = tune.with_resources(
        tune.with_parameters(train, task=task, advisor=advisor), settings["resources"]
    )
    if action == "restore":
        tuner = tune.Tuner.restore(str(out / "tune" / "run"), trainable, param_space=SPACE)
    else:
        tuner = _tuner(settings, trainable, guide)
    (out / "ready").touch()
    grid = tuner.fit()
    _write(out, grid, Keep.searcher, guide)


def _guide(settings: dict[str, Any]) -> Guide:
    llm = OpenAILLM("stub", base_url=settings["base_url"])
    return Guide.start(
        llm, name=settings["case"], transcript=str(Path(settings["out"], "calls.jsonl")),
        **settings["limits"],
    )  # fmt: skip


def _tuner(settings: dict[str, Any], trainable: Any, guide: Guide | None) -> tune.Tuner:
    out, name = Path(settings["out"]), settings["scheduler"]
    searcher = None
    if settings["llm"]:
        searcher = LLMSearcher(
            llm=guide if settings["llm"] == "guide" else settings["llm"], seed=1,
            ledger=settings["ledger"], patience=settings["patience"],
        )  # fmt: skip
    scheduler = _scheduler(name, searcher, settings["task"]["epochs"])
    callback = RaymimicCallback(
        searcher, scheduler=scheduler if name == "llm" else None,
        metric=None if searcher else METRIC, mode=None if searcher else MODE,
    )  # fmt: skip
    return tune.Tuner(
        trainable,
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric=METRIC, mode=MODE, search_alg=searcher, scheduler=scheduler,
            num_samples=settings["num_samples"], time_budget_s=settings["time_budget_s"],
            max_concurrent_trials=settings["concurrent"], reuse_actors=settings["reuse_actors"],
        ),
        run_config=tune.RunConfig(
            storage_path=str(out / "tune"), name="run", verbose=0,
            callbacks=[callback, Keep(searcher, callback), *saboteurs(settings)],
            failure_config=tune.FailureConfig(max_failures=settings["max_failures"]),
        ),
    )  # fmt: skip


def _scheduler(name: str, searcher: LLMSearcher | None, epochs: int) -> Any:
    if name == "asha":
        return ASHAScheduler(max_t=epochs, grace_period=1, reduction_factor=2)
    if name == "hyperband":
        return HyperBandScheduler("training_iteration", max_t=epochs, reduction_factor=2)
    if name == "pause":
        return PauseOnce()
    if name == "pbt":
        return PopulationBasedTraining(
            time_attr="training_iteration", perturbation_interval=2, quantile_fraction=0.34,
            hyperparam_mutations={"lr": tune.loguniform(1e-3, 1e-1)},
        )  # fmt: skip
    return LLMScheduler(searcher=searcher) if name == "llm" else None


def _write(out: Path, grid: Any, searcher: LLMSearcher | None, guide: Guide | None) -> None:
    found: dict[str, Any] = {"trials": [_trial(result) for result in grid]}
    try:
        found["best"] = _TRIAL.search(grid.get_best_result(METRIC, MODE).path)[1]
    except RuntimeError as error:
        found["best"] = f"none: {error}"
    if searcher is not None:
        searcher.ledger.flush()
        tally = searcher.tally
        found["tally"] = {
            "started": dict(tally.started), "ended": dict(tally.ended),
            "calls": dict(tally.calls), "fallbacks": dict(tally.fallbacks),
            "tokens": tally.tokens_in + tally.tokens_out,
            "best": tally.best.trial_id if tally.best else None,
        }  # fmt: skip
        found["ledger_lost"] = searcher.ledger.lost
        found["evidence"] = {
            record.trial_id: {"score": record.score, "status": record.status}
            for record in searcher.evidence().trials
        }
        found["unfinished"] = sorted(record.trial_id for record in searcher.evidence().running)
    if Keep.callback is not None:
        curves = Keep.callback.history
        found["seen"] = {name: curves.curve(name).to_json() for name in curves.trial_ids}
    if guide is not None:
        try:
            spent = guide.spent()
            found["spent"] = {"calls": spent.calls, "tokens": spent.tokens_in + spent.tokens_out,
                              "failed": spent.failed, "refused": spent.refused}  # fmt: skip
        except LLMCallError as error:
            found["spent"] = error.status
        guide.stop()
    (out / "driver.json").write_text(json.dumps(found, indent=1, default=str))


def _trial(result: Any) -> dict[str, Any]:
    metrics = result.metrics or {}
    return {
        "trial_id": _TRIAL.search(result.path)[1],
        "config": result.config,
        "error": repr(result.error) if result.error else "",
        "path": result.path,
        "epoch": metrics.get("training_iteration", 0),
        "loss": metrics.get("loss"),
        "digest": metrics.get("digest", ""),
        "decision": metrics.get("raymimic/decision", ""),
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
