"""How early a trial that becomes the best can be told: by its place, or by its forecast chance.

    python -m experiments.forecast.early --tables DIR [--seeds 10]

Keyless searches without stopping on the developed tables, 25 trainings each, seeds from 100 on. At
some epochs of each training after the third: its place among those before it at that epoch, and the
chance that the `Extrapolator` gives it to beat the best of them, from their whole curves. Shown:
for both the area under the ROC curve for becoming the best, and which share of the later bests and
of all others is in the better half. Then what was said and what came true: of the chance to beat
the best by the forecast alone, and of `chance_lowest`, its share among all.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from experiments.common import tables
from experiments.common.quiet import silence
from experiments.forecast.together import DEVELOPED_ON, Search
from raymimic.advisor import HeuristicAdvisor
from raymimic.curves import Extrapolator

EPOCHS = (2, 3, 5, 8, 12, 18, 25)
BINS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 1.01)
TRAININGS, FIRST_SEED, BEFORE = 25, 100, 3


def looks(task: tables.TableTask, seed: int) -> list[dict[str, Any]]:
    """All looks at one search's trainings."""
    search = Search(task, HeuristicAdvisor(seed), TRAININGS, seed)
    search.run()
    field, best, rows = Extrapolator(), math.inf, []
    known: list[np.ndarray] = []
    for number, trial in enumerate(search.ended):
        if trial.status == "failed" or trial.curve is None:
            continue
        values, epochs = trial.curve.column("loss"), trial.curve.epochs
        for epoch in EPOCHS if len(known) >= BEFORE else ():
            forecast = field.forecast(epochs[:epoch], values[:epoch])
            assert forecast is not None, "whole trainings are known"
            rows.append({
                "epoch": epoch,
                "best": values[-1] < best,
                "chance": forecast.probability_below(best),
                "share": field.chance_lowest(forecast, best),
                "place": float(np.mean([other[epoch - 1] <= values[epoch - 1] for other in known])),
            })  # fmt: skip
        field.add(number, epochs, values)
        known.append(values)
        best = min(best, float(values[-1]))
    return rows


def area(best: np.ndarray, score: np.ndarray) -> float:
    """The area under the ROC curve: a later best scores higher than another with this chance."""
    count = best.sum()
    ranks = rankdata(score)[best].sum() - count * (count + 1) / 2
    return float(ranks / (count * (len(best) - count)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    silence()
    found = pd.DataFrame(
        row
        for name in DEVELOPED_ON
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds)
        for row in looks(tables.load(name, arguments.tables), seed)
    )
    print("| epoch | trainings | bests | by chance | by place | better half: bests | others |")
    print("|---" * 7 + "|")
    for epoch, some in found.groupby("epoch"):
        best, half = some["best"].to_numpy(), (some["place"] <= 0.5).to_numpy()
        by = [area(best, some["chance"].to_numpy()), area(best, -some["place"].to_numpy())]
        print(
            f"| {epoch} | {len(some)} | {best.sum()} | {by[0]:.2f} | {by[1]:.2f} "
            f"| {half[best].mean():.2f} | {half[~best].mean():.2f} |"
        )
    for name, said in (("forecast alone", "chance"), ("share of all", "share")):
        print(f"\n| {name} | looks | said | came true |\n|---|---|---|---|")
        for bounds, some in found.groupby(pd.cut(found[said], BINS, right=False), observed=True):
            print(
                f"| {bounds} | {len(some)} | {some[said].mean():.3f} | {some['best'].mean():.3f} |"
            )


if __name__ == "__main__":
    main()
