"""How low regret can get where one noisy training chooses the incumbent.

    python -m experiments.head_to_head.noise_floor --tables DIR

An oracle draws 50 settings out of the N truly best of a table, each is seen through one training
seed, and the best score seen is the incumbent. Its mean regret is what no search can be far below
that spends its trials in a region of N settings.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from experiments.common import tables
from experiments.common.markdown import number, table

_TRIALS = 50
_REPEATS = 2000
_BEST = (50, 500, 3000)


def floor(scores: np.ndarray, best: int | None, rng: np.random.Generator) -> float:
    """Mean regret of the incumbent; ``scores``: settings x training seeds, lower is better."""
    means = scores.mean(axis=1)
    regret = (means - means.min()) / (np.median(means) - means.min())
    order = np.argsort(means)[:best]
    drawn = order[rng.integers(0, len(order), (_REPEATS, _TRIALS))]
    seen = scores[drawn, rng.integers(0, scores.shape[1], drawn.shape)]
    chosen = drawn[np.arange(_REPEATS), seen.argmin(axis=1)]
    return float(regret[chosen].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True)
    folder = parser.parse_args().tables
    rng = np.random.default_rng(0)
    rows = []
    for name in tables.SOURCES:
        scores = tables.scores(name, folder)
        if scores.shape[1] > 1:  # several training seeds: there is noise
            rows.append([name, *(number(floor(scores, best, rng)) for best in (*_BEST, None))])
    header = ["table", *(f"best {best:,}" for best in _BEST), "all (random search)"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
