"""What the search cost: time to target, regret against each resource, fallbacks and failures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.common import estimates
from experiments.common.markdown import number, percent, table
from experiments.head_to_head.runs import RESOURCES, Run, Study

UNITS = {
    "epochs": "full trainings' worth of epochs",
    "seconds": "seconds (asking and training)",
    "tokens": "tokens (in and out)",
    "cost": "USD",
}


def targets(study: Study) -> dict[str, tuple[float, bool]]:
    """Half of the default configuration's regret on each task, or .5 (half of the median's).

    The default is the first trial of a run that was told it (a method ending in +D); the flag
    says whether it is known.
    """
    rows = study.rows
    told = rows[rows["method"].str.endswith("+D") & (rows["trial"] == 0)]
    default = told.groupby("task")["regret"].mean()
    found = {}
    for task in study.tables:
        regret = float(default.get(task, np.nan))
        known = bool(np.isfinite(regret))
        found[task] = (regret / 2 if known else 0.5, known)
    return found


def reached_at(run: Run, target: float, horizon: float) -> tuple[float, float]:
    """(budget used when the incumbent first met the target, else inf; end of the observation)."""
    end = min(float(run.budget[-1]), horizon)
    met = np.flatnonzero((run.regret <= target + 1e-12) & (run.budget <= horizon + 1e-9))
    return (float(run.budget[met[0]]) if len(met) else np.inf), end


def time_to_target(study: Study, tasks: list[str], methods: list[str]) -> str:
    goal = targets(study)
    horizon = float(max(study.budgets))
    rows = []
    for method in methods:
        mine = [r for r in study.runs if r.method == method and r.task in tasks]
        pairs = np.array([reached_at(run, goal[run.task][0], horizon) for run in mine])
        rows.append((*_median(pairs), method, float(np.isfinite(pairs[:, 0]).mean())))
    rows.sort(key=lambda row: (not row[1], row[0]))
    lines = [
        [method, number(middle, 1) if known else f"> {number(middle, 1)}", percent(share)]
        for middle, known, method, share in rows
    ]
    unknown = [task for task in tasks if not goal[task][1]]
    note = "Target: half of the default configuration's regret"
    if unknown:
        note += f"; .5 (half of the median setting's) on {', '.join(unknown)}, no default run there"
    note += (
        ". Median over runs; a run that never got there is censored at its end, and where half of "
        "them did not, only the lower bound is known."
    )
    return table(["method", "median trials to target", "reached"], lines) + f"\n\n{note}\n"


def _median(pairs: np.ndarray) -> tuple[float, bool]:
    return estimates.censored_median(pairs[:, 0], pairs[:, 1])


def _grid(study: Study, tasks: list[str], methods: list[str], resource: str) -> np.ndarray:
    """Amounts to read the regret at: the budgets for epochs, else 1, 3, 10, ... as far as spent."""
    if resource == "epochs":
        return np.array(study.budgets, float)
    mine = [r for r in study.runs if r.method in methods and r.task in tasks]
    ends = np.array([run.spent[resource][-1] for run in mine])
    ends = ends[ends > 0]
    if not len(ends):
        return np.array([])
    low, high = np.quantile(ends, 0.05) / 30, ends.max()
    steps = [base * 10.0**power for power in range(-6, 9) for base in (1, 3)]
    inside = [step for step in steps if low <= step <= high]
    return np.array(inside[-6:])


def against_resources(
    study: Study, tasks: list[str], methods: list[str], resources: Sequence[str] = RESOURCES
) -> str:
    """IQM of the incumbent's regret once so much of a resource is spent, whatever the trials."""
    parts = []
    for resource in resources:
        grid = _grid(study, tasks, methods, resource)
        if not len(grid):
            parts.append(f"Nothing was spent in {UNITS[resource]}.\n")
            continue
        rows = []
        for method, curves in study.curves(methods, tasks, grid, resource).items():
            if resource in ("tokens", "cost") and not _spends(study, method, resource):
                continue
            middle = estimates.iqm(curves.regret.T)
            rows.append(
                [method]
                + [
                    number(m) if begun else "–"
                    for m, begun in zip(middle, curves.begun, strict=True)
                ]
            )
        header = ["IQM regret after", *(f"{x:,g}" for x in grid)]
        parts.append(f"In {UNITS[resource]}:\n\n{table(header, rows)}\n")
    parts.append(
        "A dash: fewer than half of the runs have a finished trial by then. A run that has ended "
        "keeps its last incumbent. Table replays train in no time: their seconds are the "
        "searcher's own. Methods that spent none are left out of tokens and money.\n"
    )
    return "\n".join(parts)


def _spends(study: Study, method: str, resource: str) -> bool:
    return any(run.spent[resource][-1] > 0 for run in study.runs if run.method == method)


def health(study: Study) -> str:
    """Per method over all tasks: runs, fallbacks, failures, stops, and what a run costs."""
    rows = []
    for method, part in study.rows.groupby("method"):
        runs = part.groupby(["task", "seed"])
        failed = ~np.isfinite(part["score"]) & ~part["stopped"]
        tokens = (part["tokens_in"] + part["tokens_out"]).sum() / len(runs)
        rows.append(
            [str(method), f"{len(runs)}", number(len(part) / len(runs), 1)]
            + [percent(float(flag.mean())) for flag in (part["fallback"], failed, part["stopped"])]
            + [number(part["ask_seconds"].mean()), number(part["ask_seconds"].quantile(0.95))]
            + [_amount(part, name, len(runs)) for name in ("ask_seconds", "train_seconds")]
            + [f"{tokens:,.0f}", number(part["cost"].sum() / len(runs))]
        )
    header = ["method", "runs", "trials/run", "fallback", "failed", "stopped", "ask s mean"]
    header += ["ask s 95%", "ask s/run", "train s/run", "tokens/run", "USD/run"]
    return table(header, rows) + "\n"


def _amount(part: pd.DataFrame, column: str, runs: int) -> str:
    return number(float(part[column].sum()) / runs, 1)


def sources(study: Study) -> str:
    """Who proposed the trials, for the methods that say so."""
    said = study.rows[study.rows["source"].fillna("") != ""]
    if said.empty:
        return ""
    share = pd.crosstab(said["method"], said["source"], normalize="index")
    rows = [[str(m), *(percent(x) if x else "–" for x in row)] for m, row in share.iterrows()]
    return table(["proposed by", *map(str, share.columns)], rows) + "\n"
