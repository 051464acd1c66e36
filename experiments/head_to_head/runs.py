"""The raw records of a study, and the incumbent of every run at every budget.

A run is one (task, method, seed); its file holds a row per trial in the order the trials were
started. The incumbent after t trials is the one with the best *score* (what the searcher was told)
among the finished trials 0..t-1: a searcher cannot pick by the true value, which it never sees.
A trial that a scheduler stopped is never the incumbent. Budgets are trials, failed ones included;
for methods that stop trials they are full trainings' worth of epochs, sum(epochs) / epochs_full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

BUDGETS = (5, 10, 15, 20, 50)
RESOURCES = ("epochs", "seconds", "tokens", "cost")
_SCHEDULED = ("asha:", "one-epoch")
_EPS = 1e-9


def incumbents(score: np.ndarray, stopped: np.ndarray, mode: str = "min") -> np.ndarray:
    """Index of the best finished trial after each trial; -1 before the first. Ties: the first."""
    sign = -1.0 if mode == "max" else 1.0
    usable = np.where(np.isfinite(score) & ~stopped, sign * score, np.inf)
    before = np.concatenate([[np.inf], np.minimum.accumulate(usable)[:-1]])
    index = np.where(usable < before, np.arange(len(usable)), -1)
    return np.maximum.accumulate(index)


@dataclass(frozen=True)
class Run:
    """One search: the incumbent after each trial and what had been spent by then."""

    task: str
    method: str
    seed: int
    budget: np.ndarray  # trials, or full trainings' worth of epochs, once trial i has ended
    regret: np.ndarray  # of the incumbent after trial i; NaN while there is none
    value: np.ndarray
    test: np.ndarray
    spent: dict[str, np.ndarray]  # a resource's cumulated amount once trial i has ended
    by_epochs: bool

    def reaches(self, budget: float) -> bool:
        """Whether the run was given this budget (less than one training may be left of it)."""
        return bool(self.budget[-1] > budget - (1 - _EPS if self.by_epochs else _EPS))

    def held(self, column: str, grid: np.ndarray, resource: str | None = None) -> np.ndarray:
        """The incumbent's regret, value or test at each budget or amount of a resource."""
        used = self.budget if resource is None else self.spent[resource]
        last = np.searchsorted(used, grid * (1 + _EPS) + _EPS, side="right") - 1
        return np.where(last >= 0, getattr(self, column)[np.maximum(last, 0)], np.nan)


def _run(part: pd.DataFrame, by_epochs: bool) -> Run:
    score, stopped = part["score"].to_numpy(float), part["stopped"].to_numpy(bool)
    index = incumbents(score, stopped, part["mode"].iloc[0])
    share = (part["epochs"] / part["epochs_full"].clip(lower=1)).to_numpy(float)
    cost = share if by_epochs else np.ones(len(part))

    def held(column: str) -> np.ndarray:
        values = part[column].to_numpy(float)
        return np.where(index >= 0, values[np.maximum(index, 0)], np.nan)

    spent = {
        "epochs": share,
        "seconds": (part["ask_seconds"] + part["train_seconds"]).to_numpy(),
        "tokens": (part["tokens_in"] + part["tokens_out"]).to_numpy(),
        "cost": part["cost"].to_numpy(),
    }
    first = part.iloc[0]
    return Run(
        first["task"], first["method"], int(first["seed"]), np.cumsum(cost),
        held("regret"), held("value"), held("test"),
        {name: np.cumsum(amount) for name, amount in spent.items()}, by_epochs,
    )  # fmt: skip


def fill_missing(regret: np.ndarray, tasks: np.ndarray) -> np.ndarray:
    """No finite incumbent counts as the worst finite one of its task there, and at least 1.

    ``regret`` has a row per run and a column per budget; 1 is the regret of the median setting.
    Leaving such runs out would reward methods that fail.
    """
    filled = np.where(np.isfinite(regret), regret, -np.inf)
    for task in np.unique(tasks):
        mine = tasks == task
        worst = np.maximum(filled[mine].max(axis=0), 1.0)
        filled[mine] = np.where(np.isfinite(regret[mine]), regret[mine], worst)
    return filled


@dataclass(frozen=True)
class Curves:
    """Regret (runs, grid) of one method, its runs' tasks, and where half of them have begun."""

    regret: np.ndarray
    tasks: np.ndarray
    begun: np.ndarray


class Study:
    """The runs of a study. ``tables``: tasks with a known optimum; ``real``: those without."""

    def __init__(self, rows: pd.DataFrame):
        self.rows = rows
        scheduled = rows.groupby("method")["stopped"].any()
        self.runs = [
            _run(part, bool(scheduled[key[1]]) or key[1].startswith(_SCHEDULED))
            for key, part in rows.groupby(["task", "method", "seed"], sort=True)
        ]
        known = rows["regret"].notna().groupby(rows["task"]).any()
        self.tables: list[str] = sorted(known.index[known])
        self.real: list[str] = sorted(known.index[~known])
        self.methods: list[str] = sorted(set(rows["method"]))
        self.modes: dict[str, str] = rows.groupby("task")["mode"].first().to_dict()

    @cached_property
    def budgets(self) -> list[int]:
        """Budgets that at least one run reaches; the longest run's length where none is."""
        reached = [b for b in BUDGETS if any(run.reaches(b) for run in self.runs)]
        return reached or [int(max(run.budget[-1] for run in self.runs))]

    @cached_property
    def points(self) -> pd.DataFrame:
        """A row per run and budget that it reaches: regret, value, test, missing (no incumbent)."""
        known = set(self.tables)
        columns = ["task", "method", "seed", "budget", "regret", "value", "test"]
        records = []
        for run in self.runs:
            at = np.array([b for b in self.budgets if run.reaches(b)], float)
            held = [run.held(column, at) for column in columns[4:]]
            for budget, *values in zip(at.astype(int), *held, strict=True):
                records.append((run.task, run.method, run.seed, budget, *values))
        points = pd.DataFrame(records, columns=columns)
        known_value = points["regret"].where(points["task"].isin(known), points["value"])
        points["missing"] = ~np.isfinite(known_value)
        for _, part in points[points["task"].isin(known)].groupby("budget"):
            regret = part["regret"].to_numpy()[:, None]
            points.loc[part.index, "regret"] = fill_missing(regret, part["task"].to_numpy())[:, 0]
        return points

    def missing(self) -> pd.DataFrame:
        """(task, method, seed) that others of the task and method, or of the task, suggest."""
        seeds = {task: set(part["seed"]) for task, part in self.rows.groupby("task")}
        have = {(run.task, run.method, run.seed) for run in self.runs}
        pairs = sorted({(task, method) for task, method, _ in have})
        lacking = [(t, m, s) for t, m in pairs for s in sorted(seeds[t]) if (t, m, s) not in have]
        return pd.DataFrame(lacking, columns=["task", "method", "seed"])

    def short(self) -> pd.DataFrame:
        """Runs that end before a budget which other runs of the same method and task reach."""
        ends = pd.DataFrame(
            [(r.task, r.method, r.seed, max([b for b in self.budgets if r.reaches(b)], default=0))
             for r in self.runs], columns=["task", "method", "seed", "reached"],
        )  # fmt: skip
        best = ends.groupby(["task", "method"])["reached"].transform("max")
        return ends[ends["reached"] < best]

    def groups(self) -> list[tuple[list[str], list[str]]]:
        """(tasks, methods) such that within a group every method ran on every task.

        Means over different tasks do not compare, so each method is listed with the tasks it
        covers; the widest set comes first and every method appears at least once.
        """
        known = self.points[self.points["task"].isin(self.tables)]
        covers = {m: frozenset(part["task"]) for m, part in known.groupby("method")}
        groups: list[tuple[list[str], list[str]]] = []
        shown: set[str] = set()
        for tasks in sorted(set(covers.values()), key=lambda s: (-len(s), sorted(s))):
            members = [m for m in sorted(covers) if covers[m] >= tasks]
            if not shown >= set(members):
                groups.append((sorted(tasks), members))
                shown |= set(members)
        return groups

    def curves(
        self,
        methods: Sequence[str],
        tasks: Sequence[str],
        grid: np.ndarray,
        resource: str | None = None,
    ) -> dict[str, Curves]:
        """Each method's regret at each budget, or at each cumulated amount of a resource.

        A run that has ended keeps its last incumbent; one that has none yet is filled as ever,
        from these methods.
        """
        mine = [r for r in self.runs if r.method in set(methods) and r.task in set(tasks)]
        regret = np.array([run.held("regret", grid, resource) for run in mine])
        regret = regret.reshape(len(mine), len(grid))
        names = np.array([run.task for run in mine])
        filled = fill_missing(regret, names)
        parts = {}
        for method in methods:
            rows = np.array([run.method == method for run in mine], dtype=bool)
            begun = np.isfinite(regret[rows]).mean(axis=0) >= 0.5
            parts[method] = Curves(filled[rows], names[rows], begun)
        return parts
