"""What a keyless proposal costs, in CPU time of its thread, after so many trials.

python -m experiments.scale.proposal
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from experiments.common.markdown import table
from raymimic import Choice, FloatRange, IntRange, SearchEvidence, SearchSpace, StatisticalAdvisor
from raymimic.advisor import TrialRecord

AIMS_MS = {50: 50.0, 120: None, 500: 200.0, 2000: None}
_REPEATS = 7
_BATCH = 64

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "weight_decay": FloatRange(1e-6, 0.1, log=True),
        "dropout": FloatRange(0.0, 0.5),
        "beta1": FloatRange(0.0, 0.999),
        "width": IntRange(8, 512, log=True),
        "n_layers": IntRange(1, 6),
        "batch_size": Choice((16, 32, 64, 128)),
        "optimizer": Choice(("adam", "sgd", "adamw")),
        "activation": Choice(("relu", "gelu", "tanh")),
        "knob": FloatRange(0.0, 1.0),
    }
)
"""Ten parameters of all kinds."""


def evidence_of(trials: int) -> SearchEvidence:
    """A search after ``trials`` random trials of a noisy bowl."""
    rng = random.Random(0)
    records = []
    for number in range(trials):
        config = SPACE.sample(rng)
        score = sum((unit - 0.5) ** 2 for unit in SPACE.encode(config)) + rng.gauss(0, 0.05)
        records.append(TrialRecord(f"t{number}", config, "done", "random", score=score))
    return SearchEvidence(SPACE, "loss", "min", tuple(records))


def cost_ms(trials: int, n: int) -> float:
    """Median CPU milliseconds of proposing ``n`` configurations."""
    evidence, costs = evidence_of(trials), []
    for seed in range(_REPEATS if n == 1 else 1):
        begun = time.thread_time()
        StatisticalAdvisor(seed).propose(evidence, n)
        costs.append(1000 * (time.thread_time() - begun))
    return statistics.median(costs)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    cost_ms(50, 1)  # what is imported and compiled once does not count
    rows = [
        [f"{n:,}", f"{aim:g}" if aim else "", f"{cost_ms(n, 1):.0f}", f"{cost_ms(n, _BATCH):.0f}"]
        for n, aim in AIMS_MS.items()
    ]
    print(table(["trials", "aim, ms CPU", "a proposal", f"{_BATCH} at once"], rows))


if __name__ == "__main__":
    main()
