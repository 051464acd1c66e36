"""Tasks with real training: no known optimum, so values, wins per seed, and the test once."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.common import estimates
from experiments.common.markdown import chance, number, signed, table
from experiments.head_to_head.runs import Study


def spread(values: pd.Series, digits: int = 4) -> str:
    """Median [lowest, highest] of the finite values; how many were not."""
    finite = values[np.isfinite(values)]
    if finite.empty:
        return "–"
    low, middle, high = (number(x, digits) for x in (finite.min(), finite.median(), finite.max()))
    lost = len(values) - len(finite)
    return f"{middle} [{low}, {high}]" + (f" ({lost} without)" if lost else "")


def task_section(study: Study, task: str, ours: str) -> str:
    """Incumbent's value at each budget and its test at the last one; ours against each other."""
    points = study.points[study.points["task"] == task]
    if points.empty:
        return f"### {task}\n\nNo run reaches a budget yet.\n"
    budgets = sorted(points["budget"].unique())
    final = points[points["budget"] == budgets[-1]]
    better = "higher" if study.modes[task] == "max" else "lower"
    rows = []
    for method, part in points.groupby("method"):
        cells = [spread(part.loc[part["budget"] == b, "value"]) for b in budgets]
        ends = final[final["method"] == method]
        rows.append([str(method), f"{part['seed'].nunique()}", *cells, spread(ends["test"])])
    header = ["method", "seeds", *(f"value @{b}" for b in budgets), f"test @{budgets[-1]}"]
    text = (
        f"### {task}\n\nIncumbent's validation value ({better} is better) and its test, median "
        f"[range] over seeds; validation chose, the test is reported once.\n\n"
        f"{table(header, rows)}\n"
    )
    wins = _wins(final, study.modes[task], ours)
    return text + (f"\n{wins}" if wins else "")


def _wins(final: pd.DataFrame, mode: str, ours: str) -> str:
    """Seeds won by ours in value at the last budget; a run without an incumbent loses."""
    sign = -1.0 if mode == "max" else 1.0
    value = sign * final.pivot(index="seed", columns="method", values="value")
    have = final.pivot(index="seed", columns="method", values="missing").notna()
    if ours not in value:
        return f"**{ours} has no runs here: no comparison.**\n"
    finite = value.to_numpy()[np.isfinite(value.to_numpy())]
    worst = finite.max() if len(finite) else 0.0
    rows, results = [], []
    for other in value.columns.drop(ours):
        both = have[ours] & have[other]
        if not both.any():
            continue
        pair = value.loc[both, [ours, other]].fillna(worst)
        found = estimates.paired(pair[ours].to_numpy(), pair[other].to_numpy())
        results.append(found.p)
        tally = f"{found.wins} / {found.ties} / {found.losses}"
        rows.append([str(other), tally, signed(sign * found.difference, 4), chance(found.p)])
    for row, p in zip(rows, estimates.holm(results), strict=True):
        row.append(chance(p))
    header = [f"{ours} against", "seeds won / tied / lost", "mean difference of value", "p"]
    header.append("p (Holm over methods)")
    least = estimates.least_p(int(have[ours].sum()))
    note = f"\n\nWith {have[ours].sum()} pairs the smallest possible p is {chance(least)}.\n"
    return table(header, rows) + note
