"""The tables over tasks: headline, ranks, and every task on its own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.common import estimates
from experiments.common.markdown import between, chance, number, table
from experiments.head_to_head.pairwise import matrix
from experiments.head_to_head.runs import BUDGETS, Study

GOALS = {5: 0.15, 10: 0.12, 20: 0.10, 50: 0.075}  # mean regret of the keyless advisor
VARIANT = "raymimic:"  # ours with other models, parts or views


def headline(study: Study, tasks: list[str], methods: list[str]) -> str:
    """Mean regret and IQM with its interval: a row per method, the best at the end first."""
    points = study.points[study.points["task"].isin(tasks)]
    rows = []
    for method in methods:
        mine = points[points["method"] == method]
        cells, order = [], []
        for budget in study.budgets:
            part = mine[mine["budget"] == budget]
            mean = middle = "–"
            if set(part["task"]) == set(tasks):
                regret, names = part["regret"].to_numpy(), part["task"].to_numpy()
                order.append(float(estimates.task_mean(regret, names)))
                mean = number(order[-1])
                low, high = estimates.interval(regret, names, estimates.iqm)
                middle = f"{number(float(estimates.iqm(regret)))} {between(low, high)}"
            cells.append((mean, middle))
        count = mine.groupby("task")["seed"].nunique()
        seeds = f"{count.min()}" if count.min() == count.max() else f"{count.min()}-{count.max()}"
        rows.append((-len(order), order[::-1], [method, seeds, *_flat(cells)]))
    rows.sort(key=lambda row: row[:2])
    lines = [row for *_, row in rows]
    if any(budget in GOALS for budget in study.budgets) and set(tasks) == set(study.tables):
        goals = [number(GOALS[b]) if b in GOALS else "" for b in study.budgets]
        lines.append(["*target, keyless*", "", *goals, *("" for _ in study.budgets)])
    header = ["method", "seeds"] + [f"mean @{b}" for b in study.budgets]
    header += [f"IQM @{b}" for b in study.budgets]
    note = (
        f"Regret of the incumbent: 0 is the best of the table, 1 its median. Tasks: "
        f"{', '.join(tasks)}. Mean: over seeds, then over tasks. IQM: interquartile mean over "
        f"(task, seed) with a stratified bootstrap 95% interval ({estimates.RESAMPLES} resamples "
        "of the seeds within each task). Trials; full trainings' worth of epochs for methods that "
        "stop trials."
    )
    unreached = [str(b) for b in BUDGETS if b not in study.budgets]
    if unreached:
        note += f" No run reaches {', '.join(unreached)}."
    return f"{table(header, lines)}\n\n{note}\n"


def _flat(cells: list[tuple[str, str]]) -> list[str]:
    return [mean for mean, _ in cells] + [middle for _, middle in cells]


def main_methods(methods: list[str], ours: str) -> list[str]:
    """The methods that are ranked: a dozen variants of one method would shift everyone's rank."""
    return [m for m in methods if not m.startswith(VARIANT) or m == ours]


def rank_section(study: Study, tasks: list[str], methods: list[str]) -> str:
    """Mean ranks at every budget, Friedman's test and Nemenyi's critical difference."""
    if len(methods) < 2:
        return "One method alone has no rank.\n"
    columns, tests = {}, []
    for budget in study.budgets:
        found = mean_ranks(study, tasks, methods, budget)
        if found is None:
            tests.append(f"@{budget}: not all methods get there on all tasks.")
            continue
        columns[budget], p, difference = found
        text_ = f"@{budget}: Friedman p {chance(p)}"
        if np.isfinite(difference):
            text_ += f", critical difference {number(difference, 2)}"
        tests.append(text_ + ".")
    frame = pd.DataFrame(columns)
    if frame.empty:
        return " ".join(tests) + "\n"
    frame = frame.sort_values(frame.columns[-1])
    rows = [[str(m), *(number(x, 2) for x in row)] for m, row in frame.iterrows()]
    note = (
        f"Mean rank among {len(methods)} methods over (task, seed), ties averaged, every task "
        "weighing the same. Friedman's test and Nemenyi's critical difference (.05) rank the "
        "per-task means: the seeds of a task are no independent data sets. "
    )
    if len(tasks) < 8:
        note += f"With {len(tasks)} tasks (fewer than 8) no critical difference is given. "
    header = ["method", *(f"@{b}" for b in frame.columns)]
    return f"{table(header, rows)}\n\n{note}{' '.join(tests)}\n"


def mean_ranks(
    study: Study, tasks: list[str], methods: list[str], budget: int
) -> tuple[pd.Series, float, float] | None:
    """(mean rank of each method, Friedman p, critical difference or NaN below 8 tasks).

    None unless every task has a seed that all the methods share.
    """
    regret = matrix(study, budget).reindex(columns=methods).dropna()
    regret = regret[regret.index.get_level_values("task").isin(tasks)]
    if set(regret.index.get_level_values("task")) != set(tasks):
        return None
    ranked = pd.DataFrame(estimates.ranks(regret.to_numpy()), regret.index, columns=methods)
    mean = ranked.groupby("task").mean().mean()
    p = difference = float("nan")
    if len(tasks) > 1:
        p = estimates.friedman(regret.groupby("task").mean().to_numpy())
    if len(tasks) >= 8:
        difference = estimates.nemenyi(len(methods), len(tasks))
    return mean, p, difference


def per_task(study: Study) -> str:
    """A table per budget: methods by tasks, each method's worst task in bold."""
    parts = []
    for budget in study.budgets:
        means = matrix(study, budget).groupby("task").mean().T
        rows = []
        for method, row in means.iterrows():
            worst = row.idxmax()
            cells = [f"**{number(x)}**" if task == worst else number(x) for task, x in row.items()]
            rows.append([str(method), *cells, str(worst)])
        header = [f"@{budget}", *map(str, means.columns), "worst task"]
        parts.append(table(header, rows) + "\n")
    return "\n".join(parts)
