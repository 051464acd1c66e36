"""What a searcher costs Tune's controller: microseconds per call, by the number of ended trials.

    python -m experiments.overhead.run [--trials 10 1000 10000] [--out results.json]

Each searcher first gets N ended trials of 50 epochs, then 100 more are driven through it as Tune
does it, beside one that keeps running, and every call is timed on its own (with nothing running,
`LLMSearcher.suggest` may wait 0.2 s for its advisor, where Tune would sleep 1 s). `LLMSearcher` is
warmed through the same calls; `OptunaSearch` through `add_evaluated_point`, since asking it 10,000
times takes hours.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ray.tune.search.optuna import OptunaSearch

from experiments.common.fake_tune import SPACE, flat, result_of
from raymimic import Advice, HeuristicAdvisor, LLMSearcher, Proposal, SearchEvidence

EPOCHS = 50
MEASURED = 100


class Warming:
    """Random while the history is filled, then the advisor that is measured."""

    def __init__(self, advisor: Any, latency: float) -> None:
        self.advisor, self.latency = advisor, latency
        self.warm = False
        self.remote = True
        self.name = "warming"

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        if self.warm and self.advisor is not None:
            return self.advisor.propose(evidence, n)
        if self.warm:
            time.sleep(self.latency)
        rng = random.Random(len(evidence.trials) + 1e-3 * len(evidence.queued))
        return Advice(tuple(Proposal(evidence.space.sample(rng), "any", "llm") for _ in range(n)))


def curve(rng: random.Random) -> list[float]:
    """A falling curve with noise."""
    start, rate = rng.uniform(1, 3), rng.uniform(0.02, 0.3)
    return [start * np.exp(-rate * e) + 0.3 + rng.gauss(0, 0.02) for e in range(EPOCHS)]


def results(trial_id: str, rng: random.Random) -> list[dict[str, Any]]:
    """Results as Tune hands them to a searcher: metrics and bookkeeping, flat."""
    config = {name: domain.sample() for name, domain in SPACE.items()}
    found = []
    for epoch, loss in enumerate(curve(rng), start=1):
        metrics = {"val_loss": loss, "train_loss": loss - 0.1}
        metrics |= {"val_acc": 1 - loss / 4, "train_acc": 1 - loss / 5, "lr_now": 0.1}
        found.append(flat(result_of(trial_id, metrics, epoch, EPOCHS), config))
    return found


def drive(searcher: Any, name: str, rng: random.Random, time_call: Callable[..., Any]) -> None:
    """One trial from suggestion to completion, every call through ``time_call``."""
    while time_call("suggest", searcher.suggest, name) is None:
        time.sleep(0.002)
    rows = results(name, rng)
    for row in rows[:-1]:
        time_call("on_trial_result", searcher.on_trial_result, name, row)
    time_call("on_trial_complete", searcher.on_trial_complete, name, rows[-1])


def measure(searcher: Any, rng: random.Random) -> dict[str, dict[str, float]]:
    spent: dict[str, list[float]] = {}

    def time_call(kind: str, call: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        value = call(*arguments)
        spent.setdefault(kind, []).append(1e6 * (time.perf_counter() - begun))
        time.sleep(0)  # as between two results, others may run
        return value

    while searcher.suggest("other") is None:  # another trial runs all the while
        time.sleep(0.002)
    for index in range(MEASURED):
        drive(searcher, f"m{index}", rng, time_call)
    return {
        kind: {
            "median_us": float(np.median(times)),
            "p99_us": float(np.percentile(times, 99)),
            "max_us": float(np.max(times)),
            "calls": len(times),
        }
        for kind, times in spent.items()
    }


def ours(n: int, advisor: Any, latency: float, folder: Path) -> tuple[dict[str, Any], Any]:
    warming = Warming(advisor, latency)
    searcher = LLMSearcher(
        SPACE, "val_loss", "min", llm=warming, seed=0,
        ledger=str(folder / f"{n}-{advisor}-{latency}.jsonl"),
    )  # fmt: skip
    rng = random.Random(n)
    for index in range(n):
        drive(searcher, f"w{index}", rng, lambda _, call, *arguments: call(*arguments))
    warming.warm = True
    warming.remote = advisor is None
    return measure(searcher, rng), searcher


def optuna(n: int) -> dict[str, Any]:
    searcher = OptunaSearch(space=SPACE, metric="val_loss", mode="min", seed=0)
    rng = random.Random(n)
    for _ in range(n):
        config = {name: domain.sample() for name, domain in SPACE.items()}
        values = curve(rng)
        searcher.add_evaluated_point(config, values[-1], intermediate_values=values)
    return measure(searcher, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 1000, 10000])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    logging.getLogger("raymimic").setLevel(logging.ERROR)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    table: dict[str, Any] = {"machine": platform.platform(), "epochs": EPOCHS, "rows": []}
    print("| searcher | ended trials | call | median us | p99 us | max us |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for n in options.trials:
            model, searcher = ours(n, None, 0.05, Path(folder))
            saves = []
            for _ in range(2):  # the first pickles all trials, later ones only what is new
                begun = time.perf_counter()
                searcher.save(str(Path(folder) / "state.pkl"))
                saves.append(1e3 * (time.perf_counter() - begun))
            rules, _ = ours(n, HeuristicAdvisor(), 0.0, Path(folder))
            for name, measured in (
                ("LLMSearcher, model of 50 ms", model),
                ("LLMSearcher, heuristic", rules),
                ("OptunaSearch (TPE)", optuna(n)),
            ):
                for kind, row in measured.items():
                    print(
                        f"| {name} | {n:,} | {kind} | {row['median_us']:.0f} | "
                        f"{row['p99_us']:.0f} | {row['max_us']:.0f} |",
                        flush=True,
                    )
                    table["rows"].append({"searcher": name, "ended": n, "call": kind, **row})
            print(f"LLMSearcher, {n:,} ended: first save {saves[0]:.0f} ms, next {saves[1]:.0f} ms")
            table["rows"].append({"searcher": "LLMSearcher", "ended": n, "save_ms": saves})
    if options.out:
        options.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
