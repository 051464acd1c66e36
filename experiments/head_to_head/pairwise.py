"""One method against the others on the seeds they share, where the optimum is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.common import estimates
from experiments.common.markdown import between, chance, number, percent, signed, table
from experiments.head_to_head.runs import Study

LEVEL = 0.05
MINDS = (":hostile", ":lazy", ":silent", ":mediocre")


@dataclass(frozen=True)
class Match:
    """Ours against theirs at one budget, over the (task, seed) both have."""

    tasks: np.ndarray  # of each pair
    ours: np.ndarray
    theirs: np.ndarray

    @property
    def difference(self) -> tuple[float, float, float]:
        """Mean over tasks of ours - theirs with its 95% bootstrap interval."""
        gap = self.ours - self.theirs
        weights = estimates.task_weights(self.tasks)
        return (
            float(gap @ weights),
            *estimates.interval(gap, self.tasks, lambda drawn: drawn @ weights),
        )

    def by_task(self) -> dict[str, estimates.Paired]:
        return {
            str(task): estimates.paired(
                self.ours[self.tasks == task], self.theirs[self.tasks == task]
            )
            for task in np.unique(self.tasks)
        }


def matrix(study: Study, budget: int) -> pd.DataFrame:
    """Regret at a budget: a row per (task, seed), a column per method."""
    points = study.points
    known = points[(points["budget"] == budget) & points["task"].isin(study.tables)]
    return known.pivot(index=["task", "seed"], columns="method", values="regret")


def match(regret: pd.DataFrame, ours: str, theirs: str) -> Match | None:
    """The two on shared (task, seed); None where they share none."""
    if ours not in regret or theirs not in regret or ours == theirs:
        return None
    both = regret[[ours, theirs]].dropna()
    if both.empty:
        return None
    tasks = both.index.get_level_values("task").to_numpy()
    return Match(tasks, both[ours].to_numpy(), both[theirs].to_numpy())


def _cell(found: Match | None) -> str:
    if found is None:
        return "–"
    results = found.by_task()
    adjusted = estimates.holm([result.p for result in results.values()])
    sure = [r for r, p in zip(results.values(), adjusted, strict=True) if p < LEVEL]
    pairs = list(results.values())
    won = sum(r.wins + r.ties / 2 for r in pairs) / len(found.ours)
    middle, low, high = found.difference
    better = sum(not r.worse for r in sure)
    return (
        f"{percent(won)} · {signed(middle)} {between(low, high)} · "
        f"{better}/{len(sure) - better} of {len(pairs)}"
    )


def against_all(study: Study, ours: str) -> str:
    """Ours against every other method at every budget."""
    regret = {budget: matrix(study, budget) for budget in study.budgets}
    rows = []
    for other in study.methods:
        cells = [_cell(match(regret[budget], ours, other)) for budget in study.budgets]
        if any(cell != "–" for cell in cells):
            rows.append([other, *cells])
    note = (
        f"Cell: share of seeds won by {ours} (a tie counts half) · mean difference of regret "
        f"(negative: {ours} is ahead) with its bootstrap 95% interval · tasks on which {ours} is "
        "significantly better/worse (Wilcoxon signed-rank, two-sided, Holm over tasks, "
        f"p < {LEVEL})."
    )
    return f"{table(['against', *(f'@{b}' for b in study.budgets)], rows)}\n\n{note}\n"


def rivals_of(ours: str) -> tuple[str, str]:
    """TPE and GP, told the default first if ours is."""
    suffix = "+D" if ours.endswith("+D") else ""
    return f"tpe{suffix}", f"gp{suffix}"


def worse_cases(study: Study, ours: str) -> pd.DataFrame:
    """Every task and budget where ours has significantly more regret than the better rival.

    The better rival is the one with the lower mean regret on that task at that budget, chosen
    after the fact. ``p`` is plain, ``holm`` adjusted over the tasks of the budget; a row is kept
    when the plain one is below the level.
    """
    found = []
    for budget in study.budgets:
        regret = matrix(study, budget)
        results = []
        for task in study.tables:
            part = regret[regret.index.get_level_values("task") == task]
            means = part[[r for r in rivals_of(ours) if r in part and r != ours]].mean().dropna()
            pair = match(part, ours, str(means.idxmin())) if len(means) else None
            if pair is not None:
                results.append((task, str(means.idxmin()), pair, pair.by_task()[task]))
        adjusted = estimates.holm([result.p for *_, result in results])
        for (task, rival, pair, result), p in zip(results, adjusted, strict=True):
            held = (task, budget, rival, pair.ours.mean(), pair.theirs.mean(), result.p, p)
            found.append((*held, len(pair.ours), result.worse and result.p < LEVEL))
    columns = ["task", "budget", "rival", "ours", "theirs", "p", "holm", "pairs", "worse"]
    return pd.DataFrame(found, columns=columns)


def worse_table(study: Study, ours: str) -> str:
    """The answer to "significantly worse than the better of TPE and GP anywhere?", case by case."""
    rivals = rivals_of(ours)
    absent = [rival for rival in rivals if rival not in study.methods]
    if len(absent) == len(rivals) or not study.tables:
        return f"Cannot be told: no runs of {' or '.join(rivals)} on tasks with a known optimum.\n"
    tested = worse_cases(study, ours)
    if tested.empty:
        return f"Cannot be told: {ours} shares no task and seed with {' or '.join(rivals)}.\n"
    cases = tested[tested["worse"]]
    sure = int((cases["holm"] < LEVEL).sum())
    behind = int((tested["ours"] > tested["theirs"]).sum())
    lines = [
        f"**{'No' if not sure else f'YES: {sure} case(s)'}** after Holm's correction over tasks; "
        f"{len(cases)} of {len(tested)} (task, budget) cases with a plain p < {LEVEL}; mean regret "
        f"is higher than the better rival's in {behind}."
    ]
    if absent:
        lines.append(f"**{absent[0]} has no runs: only {rivals[rivals[0] in absent]} was asked.**")
    least = estimates.least_p(int(tested["pairs"].min()))
    strict = least * tested.groupby("budget").size().max()
    if strict >= LEVEL:
        lines.append(
            f"**Too few seeds to tell: with {tested['pairs'].min()} pairs the smallest possible p "
            f"is {chance(least)}, {chance(min(strict, 1.0))} after Holm's correction.**"
        )
    if len(cases):
        rows = [
            [
                c.task,
                f"{c.budget}",
                number(c.ours),
                f"{c.rival} {number(c.theirs)}",
                chance(c.p),
                chance(c.holm),
                f"{c.pairs}",
            ]
            for c in cases.itertuples()
        ]
        header = ["task", "trials", ours, "better rival", "p", "p (Holm)", "seeds"]
        lines.append("\n" + table(header, rows))
    return "\n".join(lines) + "\n"


def ratios(study: Study, base: str = "raymimic:statistical") -> str:
    """Mean regret of the runs with a bad or failing model, as a multiple of the run without one."""
    poor = [method for method in study.methods if method.endswith(MINDS)]
    if not poor or base not in study.methods or not study.tables:
        return ""
    rows = []
    for method in poor:
        cells = []
        for budget in study.budgets:
            found = match(matrix(study, budget), method, base)
            cells.append("–" if found is None else _ratio(found))
        rows.append([method, *cells])
    head = table(["model", *(f"@{budget}" for budget in study.budgets)], rows)
    return f"{head}\n\nMean regret as a multiple of {base}'s, with its bootstrap 95% interval.\n"


def _ratio(found: Match) -> str:
    weights = estimates.task_weights(found.tasks)
    drawn = estimates.resamples(found.tasks)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (found.ours @ weights) / (found.theirs @ weights)
        spread = (found.ours[drawn] @ weights) / (found.theirs[drawn] @ weights)
        low, high = np.quantile(spread, [0.025, 0.975])
    return f"{number(middle, 2)} {between(low, high)}"
