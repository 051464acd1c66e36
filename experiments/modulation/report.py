"""Writes report.md, results.parquet and plot.png from the raw records of OUT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.common.estimates import Paired, paired
from experiments.modulation import catalog, plots, record

WEIGHTS = {
    "last": "weights at the end of the run",
    "best": "weights of the epoch with the best validation",
}


def write(out: Path) -> None:
    """Write all of them; does nothing but say so where there is no record."""
    records = [one for one in record.read_all(out) if "last" in one]
    if not records:
        print(f"no report: there is no record in {out / 'raw'}")
        return
    frame = rows(records)
    frame.to_parquet(out / "results.parquet", index=False)
    lines = ["# In-run modulation: results", "", *_reading()]
    for name, study in catalog.STUDIES.items():
        part = frame[frame["study"] == name]
        if part.empty:
            continue
        lines += [f"## {name}", "", study.about, ""]
        for size, sized in part.groupby("size"):
            lines += [f"### {name}, size {size}", ""]
            lines += _of_size(sized, dict(study.measures))
    (out / "report.md").write_text("\n".join(lines))
    plots.differences(frame, out / "plot.png")
    print(f"wrote {out / 'report.md'}")


def rows(records: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a training: its scores by kind of weights, and how the guidance went."""
    found = []
    for one in records:
        past = one.get("history", [])
        row = {name: one[name] for name in ("study", "size", "arm", "seed", "best_epoch")}
        row |= {f"{kind}_{name}": one[kind][name] for kind in WEIGHTS for name in one[kind]}
        row |= {
            "adjustments": len(past),
            "rolled_back": sum(bool(did["rolled_back"]) for did in past),
            "dropped": sum(len(did["dropped"]) for did in past),
            "hit_rate": one.get("hit_rate"),
            "final_lr": one["epochs"][-1]["lr"],
            "final_dropout": one["epochs"][-1]["dropout"],
            "train_seconds": one["train_seconds"],
        }
        found.append(row)
    return pd.DataFrame(found).sort_values(["study", "size", "arm", "seed"], ignore_index=True)


def _reading() -> list[str]:
    return [
        "All arms of a seed share training images, validation images, first weights, batch order "
        "and dropout draws; the test data were read once, at the end. Differences are paired by "
        "seed: mean, [95% t interval], [95% bootstrap interval], wins/ties/losses of the arm. Bold "
        "where the t interval leaves zero out. Intervals are not corrected for the number of "
        "comparisons.",
        "",
    ]


def _of_size(frame: pd.DataFrame, measures: dict[str, str]) -> list[str]:
    lines = []
    for measure, mode in measures.items():
        for kind, words in WEIGHTS.items():
            column = f"{kind}_{measure}"
            lines += [f"**{plots.NAMES[measure]}**, {words} ({mode})", ""]
            lines += _table(frame, column, mode)
    lines += _guidance(frame)
    lines += _time(frame)
    return lines


def _table(frame: pd.DataFrame, column: str, mode: str) -> list[str]:
    values = frame.pivot(index="seed", columns="arm", values=column)
    arms = sorted(values.columns, key=plots.order)
    lines = [
        "| arm | seeds | mean | s.d. | less plain | guided less this arm |",
        "|---|" + "---|" * 5,
    ]
    for arm in arms:
        mine = values[arm].dropna()
        spread = f"{mine.std(ddof=1):.4f}" if len(mine) > 1 else "-"
        cells = [arm, str(len(mine)), f"{mine.mean():.4f}", spread]
        cells += [_against(values, arm, "plain", mode), _against(values, "guided", arm, mode)]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _against(values: pd.DataFrame, ours: str, theirs: str, mode: str) -> str:
    if ours == theirs or ours not in values or theirs not in values:
        return ""
    both = values[[ours, theirs]].dropna()
    return tell(paired(*both.to_numpy().T, mode)) if len(both) else ""


def tell(found: Paired) -> str:
    """The comparison in one cell."""
    mean = f"{found.difference:+.4f}"
    if len(found.gap) < 2:
        return f"{mean} (one pair)"
    text = f"**{mean}**" if found.clear else mean
    for low, high in (found.t, found.bootstrap):
        text += f" [{low:+.4f}, {high:+.4f}]"
    return f"{text} {found.wins}/{found.ties}/{found.losses}"


def _guidance(frame: pd.DataFrame) -> list[str]:
    """How often each guided arm adjusted, was put back, and hit."""
    lines = []
    for arm, part in frame[frame["adjustments"] > 0].groupby("arm"):
        hits = pd.to_numeric(part["hit_rate"]).dropna()
        rate = f", hit rate {hits.mean():.2f}" if len(hits) else ""
        lines.append(
            f"- {arm}: {part['adjustments'].mean():.1f} adjustments a run, "
            f"{part['rolled_back'].mean():.1f} rolled back, {part['dropped'].mean():.1f} notes of "
            f"what was dropped or clipped{rate}; last learning rate "
            f"{np.median(part['final_lr']):.2g} (median)"
        )
    return [*lines, ""] if lines else []


def _time(frame: pd.DataFrame) -> list[str]:
    told = [
        f"{arm} {seconds:.2f}"
        for arm, seconds in frame.groupby("arm")["train_seconds"].median().items()
    ]
    return [f"Seconds of training, median on a shared machine: {', '.join(told)}.", ""]
