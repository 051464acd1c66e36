"""Writes OUT/report.md, OUT/results.parquet and the plots from the raw records of a study.

python -m experiments.head_to_head.report OUT [--against METHOD]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from experiments.common.trial_rows import read_raw
from experiments.head_to_head import pairwise, real, spending, summary, tried
from experiments.head_to_head.runs import RESOURCES, Study

CODE = ("task", "method", "source", "config", "mode")  # columns with few distinct strings
LISTED = 12  # at most so many cases are named one by one


def write(out: Path, against: str = "raymimic") -> Path:
    """Write everything and return the path of report.md; ImportError where Matplotlib is absent.

    The parquet file and the report are written before the plots are tried.
    """
    rows = read_raw(out)
    rows.astype(dict.fromkeys(CODE, "category")).to_parquet(
        out / "results.parquet", compression="zstd", index=False
    )
    study = Study(rows)
    path = out / "report.md"
    path.write_text(text(study, against), encoding="utf-8")
    try:
        from experiments.head_to_head import plots
    except ImportError as missing:
        raise ImportError("the report's plots need Matplotlib: pip install matplotlib") from missing
    plots.draw(study, out, against)
    return path


def text(study: Study, against: str) -> str:
    """The whole report as Markdown."""
    parts = ["# Head to head\n", shortfall(study)]
    groups = study.groups()
    for number, (tasks, methods) in enumerate(groups):
        title = "Regret" if not number else f"On the {len(tasks)} tasks that these methods share"
        parts += [f"## {title}\n", summary.headline(study, tasks, methods)]
    if study.tables:
        parts += _tables(study, groups, against)
    if study.real:
        parts.append("## Real training\n")
        parts += [real.task_section(study, task, against) for task in study.real]
    parts += ["## What a run costs, fallbacks and failures\n", spending.health(study)]
    parts.append(spending.sources(study))
    return "\n".join(part for part in parts if part)


def _tables(study: Study, groups: list[tuple[list[str], list[str]]], against: str) -> list[str]:
    """The sections about tasks with a known optimum, after the headline."""
    parts = ["## The best configuration tried, whatever its score\n", tried.best_tried(study.rows)]
    title = f"## Is {against} significantly worse than the better of TPE and GP anywhere?\n"
    if against in study.methods:
        parts += [title, pairwise.worse_table(study, against)]
        parts += [f"## {against} against each\n", pairwise.against_all(study, against)]
    else:
        parts += [f"**{against} has no runs: nothing is compared with it.**\n"]
    poor = pairwise.ratios(study)
    if poor:
        parts += ["## With a bad model\n", poor]
    for number, (tasks, methods) in enumerate(groups):
        where = f" ({len(tasks)} tasks)" if len(groups) > 1 else ""
        rivals = summary.main_methods(methods, against)
        parts += [f"## Ranks{where}\n", summary.rank_section(study, tasks, rivals)]
        parts += [f"## Time to target{where}\n", spending.time_to_target(study, tasks, methods)]
        parts += [f"## Regret against what was spent{where}\n"]
        known = [m for m in methods if not m.endswith(pairwise.MINDS)]
        kinds = RESOURCES if not number else RESOURCES[:1]  # epochs: where trials are stopped
        parts.append(spending.against_resources(study, tasks, known, kinds))
    parts += ["## Per task (mean regret over seeds)\n", summary.per_task(study)]
    return parts


def shortfall(study: Study) -> str:
    """What the numbers rest on, and loudly what is missing."""
    lines = [
        f"{len(study.runs)} runs, {len(study.rows)} trials: {len(study.methods)} methods, "
        f"{len(study.tables)} tasks with a known optimum, {len(study.real)} with real training, "
        f"{study.rows['seed'].nunique()} seeds. Budgets reached: "
        f"{', '.join(map(str, study.budgets))}.\n"
    ]
    missing, short = study.missing(), study.short()
    if len(missing):
        lines.append(
            f"**MISSING: {len(missing)} runs that other runs suggest.** {_named(missing)}\n"
        )
    if len(short):
        lines.append(
            f"**SHORT: {len(short)} runs end before others of their kind** and are left out "
            f"beyond. {_named(short)}\n"
        )
    if not len(missing) and not len(short):
        lines.append("No run is missing or short.\n")
    empty = study.points[study.points["missing"]]
    if len(empty):
        count = empty.groupby("method").size()
        named = ", ".join(f"{method} {n}" for method, n in count.items())
        lines.append(
            f"**NO INCUMBENT: in {len(empty)} of {len(study.points)} (run, budget) points no trial "
            f"had finished with a finite true value** ({named}); on tables these count as the "
            "worst incumbent of that task and budget, and at least as the median setting (1).\n"
        )
    return "\n".join(lines)


def _named(runs: pd.DataFrame) -> str:
    """Seeds by task and method, the first dozen."""
    seeds = runs.groupby(["task", "method"])["seed"].apply(lambda s: ", ".join(map(str, s)))
    names = [f"{task} / {method}: {which}" for (task, method), which in seeds.items()]
    more = f"; and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return "; ".join(names[:LISTED]) + more + "."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", default="raymimic", help="method compared with all others")
    options = parser.parse_args()
    print(write(options.out, options.against))


if __name__ == "__main__":
    main()
