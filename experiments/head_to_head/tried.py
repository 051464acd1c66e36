"""The best configuration among those tried, whatever its score: what a search found.

The incumbent is chosen by one noisy score, as a user does; this is what re-training the best few
could make of the same search.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.common.markdown import number, table
from experiments.head_to_head.runs import BUDGETS


def best_tried(rows: pd.DataFrame) -> str:
    """Mean over seeds, then tasks, of the lowest true regret so far; methods without a scheduler.

    One table for each set of tasks that methods share. Failed trials do not count; a run without
    any other counts 1, the median setting.
    """
    known = rows[rows["regret"].notna()]
    whole = known.groupby("method", observed=True)["stopped"].transform("any")
    known = known[~whole & known["score"].notna()]
    lowest = {
        budget: known[known["trial"] < budget]
        .groupby(["method", "task", "seed"], observed=True)["regret"]
        .min()
        for budget in BUDGETS
        if (known["trial"] >= budget - 1).any()
    }
    runs = rows[rows["regret"].notna() & rows["method"].isin(known["method"].unique())]
    index = runs.groupby(["method", "task", "seed"], observed=True).size().index
    found = pd.DataFrame(lowest).reindex(index).fillna(1.0)
    by_task = found.groupby(["method", "task"], observed=True).mean()
    tasks = by_task.reset_index().groupby("method", observed=True)["task"].agg(frozenset)
    parts = []
    for shared in sorted(set(tasks), key=lambda names: (-len(names), sorted(names))):
        names = [method for method, own in tasks.items() if own == shared]
        means = by_task.loc[names].groupby("method", observed=True).mean()
        means = means.sort_values(means.columns[-1])
        lines = [[str(m), *(number(x) for x in np.asarray(row))] for m, row in means.iterrows()]
        header = ["method", *(f"@{budget}" for budget in means.columns)]
        parts.append(f"{table(header, lines)}\n\nTasks: {', '.join(sorted(shared))}.\n")
    return "\n".join(parts)
