"""What a language model that never answers costs a search: wall time beside the statistical one.

    python -m experiments.faults.dead_model [--trials 60] [--epochs 3] [--repeats 5] [--out DIR]

Real Tune, quick trials, `reuse_actors`, two at once. Each round runs the same search with Optuna's
samplers alone and with a model behind the real `anthropic` client all of whose calls fail: nothing
listens at the port, the server answers HTTP 500 at once, or takes the request and never answers.
``--twice`` adds a second statistical run to each round: what two equal runs differ by. A round's
runs come in a shuffled order, and a ratio is taken within its round. All settings of `LLMSearcher`
are the defaults. Writes dead_model.json into --out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic  # noqa: F401 - imported once a process, with or without a fault
import ray
from ray import tune

from raymimic import AnthropicLLM, LLMSearcher
from raymimic.advisor import StatisticalAdvisor
from raymimic.testing.server import Status, StubServer

SPACE = {
    "lr": tune.loguniform(1e-5, 1.0),
    "dropout": tune.uniform(0.0, 0.8),
    "width": tune.lograndint(8, 1024),
    "seconds": 0.0,
}
PLAIN = "statistical"
FAULTS = ("refused", "http 500", "hang")


def train(config: dict[str, Any]) -> None:
    for epoch in range(1, config["epochs"] + 1):
        time.sleep(config["seconds"])
        loss = abs(config["lr"] - 0.01) + config["dropout"] / 10 + 1 / (epoch * config["width"])
        tune.report({"loss": loss})


@contextlib.contextmanager
def model(fault: str, seed: int) -> Iterator[Any]:
    """The advisor of one arm."""
    if fault.startswith(PLAIN):
        yield StatisticalAdvisor(seed)
    elif fault == "refused":
        yield AnthropicLLM(base_url="http://127.0.0.1:9")
    else:
        with StubServer().running() as server:
            server.faults.extend(["hang" if fault == "hang" else Status(500)] * 1000)
            yield AnthropicLLM(base_url=f"http://{server.host}")


def search(fault: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One search; says how long it took and what became of its calls."""
    with tempfile.TemporaryDirectory() as folder, model(fault, seed) as advisor:
        searcher = LLMSearcher(llm=advisor, seed=seed, ledger=f"{folder}/ledger.jsonl")
        tuner = tune.Tuner(
            train,
            param_space={**SPACE, "epochs": options.epochs, "seconds": options.seconds},
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                search_alg=searcher,
                num_samples=options.trials,
                max_concurrent_trials=options.at_once,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=folder, name="run", verbose=0),
        )
        begun = time.perf_counter()
        grid = tuner.fit()
        seconds = time.perf_counter() - begun
        tally = searcher.tally
        return {
            "fault": fault,
            "seed": seed,
            "seconds": seconds,
            "ended": len(grid) - grid.num_errors,
            "started": dict(tally.started),
            "fallbacks": dict(tally.fallbacks),
            "best": grid.get_best_result().metrics["loss"],
        }


def quiet() -> None:
    """Nothing of Ray's reporting is part of the comparison."""
    os.environ.update(
        RAY_AIR_NEW_OUTPUT="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", RAY_USAGE_STATS_ENABLED="0",
        NO_PROXY="127.0.0.1", ANTHROPIC_API_KEY="sk-none",
    )  # fmt: skip
    logging.getLogger("raymimic").setLevel(logging.ERROR)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, address="local")


def table(rounds: list[list[dict[str, Any]]]) -> str:
    """Median seconds of each arm, and the ratios to the statistical run of the same round."""
    lines = ["| model | median s | ratio, median | least | most | calls failed as |"]
    lines.append("|---|---|---|---|---|---|")
    of_round = [{run["fault"]: run for run in runs} for runs in rounds]
    for fault in of_round[0]:
        runs = [by[fault] for by in of_round]
        ratios = [by[fault]["seconds"] / by[PLAIN]["seconds"] for by in of_round]
        reasons = sorted({reason for run in runs for reason in run["fallbacks"]})
        lines.append(
            f"| {fault} | {statistics.median(run['seconds'] for run in runs):.2f} | "
            f"{statistics.median(ratios):.3f} | {min(ratios):.3f} | {max(ratios):.3f} | "
            f"{', '.join(reasons) or '–'} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.0, help="a training epoch takes")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=FAULTS)
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    quiet()
    search(PLAIN, 0, argparse.Namespace(**{**vars(options), "trials": 4}))  # Ray's workers are up
    arms = [PLAIN, *([f"{PLAIN} again"] if options.twice else []), *options.faults]
    rounds = []
    for seed in range(options.repeats):
        order = random.Random(seed).sample(arms, len(arms))
        by_fault = {fault: search(fault, seed, options) for fault in order}
        rounds.append([by_fault[fault] for fault in arms])
        for run in rounds[-1]:
            print(f"round {seed}: {json.dumps(run)}", file=sys.stderr, flush=True)
    print(table(rounds))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        told = {"options": {**vars(options), "out": None}, "rounds": rounds}
        (options.out / "dead_model.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
