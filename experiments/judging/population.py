"""What cloning is worth: hopeless trials stopped or cloned, Tune's PBT, or nothing at all.

    python -m experiments.judging.population [--seeds 12] [--arms stop pbt] [--out population.json]

Rows of arms that are not run again are kept.

A population of 8 small networks (64-64-10, numpy, momentum 0.9) on 300 of scikit-learn's digits for
20 epochs, two at once in real Tune. Learning rate (1e-4 to 1) and dropout (0.01 to 0.8) are drawn
log-uniform, the same ones for every arm of a seed; validation is 700 other digits.

none        no scheduler
stop        LLMScheduler(max_t=20)
more        the same with 11 trials, three more draws: about the epochs that cloning spends
population  LLMScheduler(max_t=20, knobs=live, population=True), keyless
redirect    LLMScheduler(max_t=20, knobs=live), keyless: the knobs turned, no weights taken over
pbt         Tune's PopulationBasedTraining(perturbation_interval=4), the same knobs and ranges

Counted are epochs that were trained (PBT repeats some) and seconds of `Tuner.fit`, starting two
processes included. The value is the best validation loss of any epoch of any trial.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining
from ray.tune.search.basic_variant import BasicVariantGenerator

from raymimic import Knob, LLMScheduler, read_events
from raymimic.tune import LiveKnobs

ARMS = ("none", "stop", "more", "redirect", "population", "pbt")
TRIALS, MORE, EPOCHS, BATCH, HIDDEN = 8, 11, 20, 20, 64
TRAIN, VALID = 300, 700
LR, DROPOUT = (1e-4, 1.0), (0.01, 0.8)
WORST = 100.0  # stands for a loss that is no number, in every arm
LIVE = LiveKnobs({"lr": Knob(*LR, "learning rate"), "dropout": Knob(*DROPOUT)})


def train(config: dict[str, Any], data: Any = None, seen: str = "", live: Any = None) -> None:
    """One trial: goes on from its own checkpoint (PBT), or from one that it is sent."""
    knobs = live.start({"lr": config["lr"], "dropout": config["dropout"]})
    rng = np.random.default_rng(config["seed"])
    state, first = _fresh(rng), 1
    if (own := tune.get_checkpoint()) is not None:
        state, first = _load(own)
    for epoch in range(first, EPOCHS + 1):
        knobs.update()
        if knobs.checkpoint is not None:
            state, _ = _load(knobs.checkpoint)
        loss = _epoch(state, data, knobs["lr"], knobs["dropout"], rng)
        with open(seen, "a") as file:
            file.write(json.dumps([tune.get_context().get_trial_id(), epoch, loss]) + "\n")
        with tempfile.TemporaryDirectory() as folder:
            np.savez(f"{folder}/state.npz", epoch=epoch, **state)
            checkpoint = tune.Checkpoint.from_directory(folder)
            tune.report({"loss": loss, **knobs.metrics()}, checkpoint=checkpoint)


def _fresh(rng: np.random.Generator) -> dict[str, Any]:
    shapes = {"w1": (64, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, 10), "b2": (10,)}
    state = {
        name: rng.normal(size=shape) * math.sqrt(2 / shape[0]) * (len(shape) > 1)
        for name, shape in shapes.items()
    }
    return state | {f"m_{name}": np.zeros(shape) for name, shape in shapes.items()}


def _load(checkpoint: Any) -> tuple[dict[str, Any], int]:
    """Weights and momentum, and the epoch that comes next."""
    with checkpoint.as_directory() as folder, np.load(f"{folder}/state.npz") as found:
        state = {name: found[name] for name in found.files}
    return state, int(state.pop("epoch")) + 1


def _epoch(
    state: dict[str, Any], data: Any, lr: float, dropout: float, rng: np.random.Generator
) -> float:
    """Train one epoch in place; returns the validation loss."""
    x, y, x_val, y_val = data
    with np.errstate(all="ignore"):
        for rows in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
            raw = x[rows] @ state["w1"] + state["b1"]
            mask = (rng.random(raw.shape) >= dropout) / (1 - dropout) * (raw > 0)
            hidden = raw * mask
            delta = _softmax(hidden @ state["w2"] + state["b2"])
            delta[np.arange(len(rows)), y[rows]] -= 1.0
            delta /= len(rows)
            back = (delta @ state["w2"].T) * mask
            grads = {"w2": hidden.T @ delta, "b2": delta.sum(0)}
            grads |= {"w1": x[rows].T @ back, "b1": back.sum(0)}
            for name, grad in grads.items():
                state[f"m_{name}"] = 0.9 * state[f"m_{name}"] + grad
                state[name] = state[name] - lr * state[f"m_{name}"]
        hidden = np.maximum(x_val @ state["w1"] + state["b1"], 0.0)
        found = _softmax(hidden @ state["w2"] + state["b2"])[np.arange(len(y_val)), y_val]
        loss = float(-np.log(np.maximum(found, 1e-12)).mean())
    return min(loss, WORST) if math.isfinite(loss) else WORST


def _softmax(logits: Any) -> Any:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def digits(seed: int) -> tuple[Any, ...]:
    from sklearn.datasets import load_digits

    table = load_digits()
    rows = np.random.default_rng(seed).permutation(len(table.target))[: TRAIN + VALID]
    x, y = table.data[rows] / 16.0, table.target[rows]
    return x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]


def configs(seed: int, count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng([seed, 1])
    draws = [[float(np.exp(rng.uniform(*np.log(ends)))) for ends in (LR, DROPOUT)]
             for _ in range(count)]  # fmt: skip
    return [{"lr": lr, "dropout": drop, "seed": i} for i, (lr, drop) in enumerate(draws)]


def scheduler_of(arm: str, ledger: Path) -> Any:
    if arm == "none":
        return None
    if arm == "pbt":
        ranges = {"lr": tune.loguniform(*LR), "dropout": tune.loguniform(*DROPOUT)}
        return PopulationBasedTraining(
            time_attr="training_iteration", perturbation_interval=4, hyperparam_mutations=ranges
        )
    live = {} if arm in ("stop", "more") else {"knobs": LIVE}
    return LLMScheduler(max_t=EPOCHS, ledger=str(ledger), population=arm == "population", **live)


def run(arm: str, seed: int, folder: Path) -> dict[str, Any]:
    count = MORE if arm == "more" else TRIALS
    seen, ledger = folder / "seen.jsonl", folder / "ledger.jsonl"
    given = tune.with_parameters(train, data=digits(seed), seen=str(seen), live=LIVE)
    tuner = tune.Tuner(
        tune.with_resources(given, {"cpu": 1}),
        param_space={"lr": tune.loguniform(*LR), "dropout": tune.loguniform(*DROPOUT),
                     "seed": tune.choice([0])},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", num_samples=count, scheduler=scheduler_of(arm, ledger),
            search_alg=BasicVariantGenerator(
                points_to_evaluate=configs(seed, count), random_state=seed
            ),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder), name="run", verbose=0, stop={"training_iteration": EPOCHS}
        ),
    )  # fmt: skip
    begun = time.perf_counter()
    grid = tuner.fit()
    seconds = time.perf_counter() - begun
    rows = [json.loads(line) for line in seen.read_text().splitlines()]
    found = {
        "arm": arm,
        "seed": seed,
        "best": min(loss for _, _, loss in rows),
        "epochs": len(rows),
        "repeated": len(rows) - len({(trial, epoch) for trial, epoch, _ in rows}),
        "seconds": seconds,
        "errors": len(grid.errors),
    }
    if ledger.exists():
        events = read_events(ledger)
        found["events"] = Counter(row["event"] for row in events.rows)
        found["verdicts"] = Counter(row["verdict"] for row in events.of("verdict"))
    return found


def table(rows: list[dict[str, Any]]) -> str:
    by = {(row["arm"], row["seed"]): row for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    whole = [seed for seed in seeds if all((arm, seed) in by for arm in ARMS)]
    if not whole:
        return f"no seed has all arms yet ({', '.join(ARMS)})"
    lines = [
        f"{len(whole)} paired seeds; medians (lowest to highest); * better than 'none' in so many",
        f"{'arm':<11} {'best val loss':<26} {'against none *':<24} {'epochs':<16} seconds",
    ]
    for arm in ARMS:
        mine = [by[arm, seed] for seed in whole]
        gaps = [by[arm, seed]["best"] - by["none", seed]["best"] for seed in whole]
        wins, ties = sum(gap < 0 for gap in gaps), sum(gap == 0 for gap in gaps)
        lines.append(
            f"{arm:<11} {_spread([row['best'] for row in mine], '.4f'):<26} "
            f"{statistics.median(gaps):+.4f}, {wins} ({ties} alike)".ljust(63)
            + f"{_spread([row['epochs'] for row in mine], '.0f'):<17}"
            + _spread([row["seconds"] for row in mine], ".1f")
        )
    for arm in ("redirect", "population"):
        total: Counter[str] = Counter()
        for seed in whole:
            total += Counter(by[arm, seed].get("verdicts", {}))
            total += Counter({k: n for k, n in by[arm, seed].get("events", {}).items()
                              if k in ("clone", "redirect", "stop")})  # fmt: skip
        lines.append(f"{arm}: " + ", ".join(f"{kind} {n}" for kind, n in total.most_common()))
    for arm in (arm for arm in ARMS if arm != "population"):
        gaps = [by["population", s]["best"] - by[arm, s]["best"] for s in whole]
        wins, ties = sum(gap < 0 for gap in gaps), sum(gap == 0 for gap in gaps)
        lines.append(
            f"population against {arm}: median {statistics.median(gaps):+.4f}, better in {wins}, "
            f"alike in {ties} of {len(whole)}"
        )
    return "\n".join(lines)


def _spread(values: list[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "population.json"
    )
    given = parser.parse_args()
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    rows: list[dict[str, Any]] = []
    if given.out.exists():
        known = json.loads(given.out.read_text())["rows"]
        rows = [row for row in known if row["arm"] not in given.arms]
    for seed in range(given.seeds):
        first = seed % len(given.arms)
        turned = [*given.arms[first:], *given.arms[:first]]  # nobody is always first
        for arm in turned:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(run(arm, seed, Path(folder)))
            print(json.dumps(rows[-1]), flush=True)
        about = {"cores": os.cpu_count(), "machine": platform.machine(), "ray": ray.__version__}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
