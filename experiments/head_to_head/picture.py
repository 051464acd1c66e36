"""The README's plot: mean regret against trials, from the stored results of this study.

python -m experiments.head_to_head.picture OUT.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from experiments.common.estimates import resamples
from experiments.head_to_head.canvas import OURS, STYLE
from experiments.head_to_head.runs import Study

RESULTS = Path(__file__).parent / "results"
NAMES = {  # method: the label and the results that hold its newest rows
    "random": ("random search", "tables"),
    "tpe": ("Optuna TPE", "tables"),
    "gp": ("Optuna GP", "tables"),
    "tpe+D": ("Optuna TPE, told the default first", "tables"),
    "raymimic": ("raymimic, no model", "belief"),
}
COLOURS = dict(zip(NAMES, ("#999999", "#E69F00", "#009E73", "#8C4A2F", OURS), strict=True))
TRIALS = 50
LIMITS = (0.07, 1.2)  # the first random draws, with a mean above 10, lie outside
RESAMPLED = 300


def stored() -> Study:
    """The runs of every method shown, each from the results that hold its newest ones."""
    parts = []
    for folder in dict.fromkeys(place for _, place in NAMES.values()):
        rows = pd.read_parquet(RESULTS / folder / "results.parquet")
        mine = [method for method, (_, place) in NAMES.items() if place == folder]
        parts.append(rows[rows["method"].isin(mine)].astype({"task": str, "method": str}))
    return Study(pd.concat(parts, ignore_index=True))


def draw(study: Study, path: Path) -> None:
    """Means over all tasks and seeds, with 95% bootstrap bands (seeds drawn within tasks)."""
    x = np.arange(1, TRIALS + 1)
    found = study.curves(list(NAMES), study.tables, x)
    seeds = {run.seed for run in study.runs}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.6, 3.4))
        for method, (label, _) in NAMES.items():
            regret, colour = found[method].regret, COLOURS[method]
            drawn = regret[resamples(found[method].tasks, RESAMPLED)].mean(axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
            thick = 2.4 if method == "raymimic" else 1.4
            axes.plot(x, regret.mean(axis=0), color=colour, lw=thick, label=label)
        axes.set(
            yscale="log", xlim=(1, TRIALS), ylim=LIMITS, xlabel="trials",
            ylabel=f"mean regret ({len(study.tables)} tasks, {len(seeds)} seeds)",
        )  # fmt: skip
        ticks = [0.1, 0.2, 0.5, 1.0]
        axes.set_yticks(ticks, map(str, ticks))
        axes.minorticks_off()
        axes.legend()
        figure.tight_layout()
        figure.savefig(path, dpi=130)
        plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    draw(stored(), parser.parse_args().out)
