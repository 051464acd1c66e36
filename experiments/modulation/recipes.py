"""The control `fixed`: constants found by random search, then held in every seed's training.

Ten candidates (the study's own constants, and nine draws of learning rate, log-uniform in
[3e-4, 1e-2], and dropout, uniform in [0, 0.5]) are trained in full on ten tuning seeds of their
own for each study and size. The one with the best mean over these seeds of the best validation
metric is the recipe; the test data are not read. THIS SPENDS 100 TRAININGS PER SIZE, where guided
spends none beyond its own: it is a control with more compute, not an equal one, and its draws are
the same for every size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.modulation import record

CANDIDATES, TUNING_SEEDS = 10, 10
_FIRST_SEED = 1_000  # tuning seeds are 1000, 1001, ...: no run of an arm has them


def candidates(count: int) -> dict[str, dict[str, float]]:
    """Recipes by name; "candidate0" changes nothing."""
    rng = np.random.default_rng(4)
    drawn = [
        {"lr": float(3e-4 * (1e-2 / 3e-4) ** rng.random()), "dropout": float(rng.uniform(0, 0.5))}
        for _ in range(count - 1)
    ]
    return {f"candidate{number}": recipe for number, recipe in enumerate([{}, *drawn])}


def tuning_seeds(count: int) -> range:
    """Seeds that only the search for recipes uses."""
    return range(_FIRST_SEED, _FIRST_SEED + count)


def chosen(
    out: Path, study: str, size: int, count: int = CANDIDATES, seeds: int = TUNING_SEEDS
) -> dict[str, float]:
    """The recipe of the best mean validation; all candidates must have been trained."""
    means, mode = {}, "min"
    for name in candidates(count):
        paths = [record.path_of(out, study, size, name, seed) for seed in tuning_seeds(seeds)]
        runs = [record.read(path) for path in paths]
        means[name], mode = float(np.mean([run["best_val"] for run in runs])), runs[0]["mode"]
    best = min(means, key=lambda name: means[name] if mode == "min" else -means[name])
    return candidates(count)[best]
