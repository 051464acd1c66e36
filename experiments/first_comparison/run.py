"""The demo's search by the keyless advisor, Optuna's TPE and random search, over several seeds.

    python experiments/first_comparison/run.py --data digits --seeds 5 --out results/digits
    python experiments/first_comparison/run.py --data mnist --data-dir DIR --seeds 5 --out ...

Each run is ``raymimic demo`` itself: same space, split, weights and data order for all searchers of
a seed, same number of trials and epochs. Finished runs are kept, so an interrupted call goes on
where it stopped. Writes table.md, results.csv and curves.parquet (every epoch) into --out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

SEARCHERS = ["llm", "optuna", "random"]
NAMES = {"llm": "LLMSearcher (keyless)", "optuna": "OptunaSearch (TPE)", "random": "random"}
BUDGETS = [5, 10, 16]


def run(searcher: str, seed: int, options: argparse.Namespace) -> Path:
    """One search in a process of its own; returns its folder."""
    folder = options.out / "runs" / f"{searcher}_{seed}"
    if (folder / "result.json").exists():
        return folder
    command = [
        sys.executable, "-m", "raymimic.cli", "demo", "--data", options.data, "--llm", "none",
        "--searcher", searcher, "--seed", str(seed), "--trials", str(options.trials),
        "--out", str(folder),
    ]  # fmt: skip
    if options.data_dir:
        command += ["--data-dir", str(options.data_dir)]
    print(f"{searcher} seed {seed} ...", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "screen.txt", "w") as screen:
        subprocess.run(command, check=True, stdout=screen, stderr=subprocess.STDOUT)
    return folder


def best_after(folder: Path) -> dict[int, float]:
    """Best final val_loss among the first k trials that ended."""
    curves = pd.read_parquet(folder / "curves.parquet")
    final = curves.groupby("trial_id", sort=False).last()["val_loss"].astype(float)
    order = list(dict.fromkeys(curves["trial_id"]))
    scores = final.reindex(order).fillna(float("inf"))
    return {k: float(scores.iloc[:k].min()) for k in BUDGETS if k <= len(scores)}


def table(rows: pd.DataFrame, options: argparse.Namespace) -> str:
    """Median and range over seeds, a line a searcher."""
    spent = [column for column in rows if str(column).startswith("best@")]
    lines = [
        f"{options.data}: {options.trials} trials, {rows['seed'].nunique()} seeds; "
        "median [lowest, highest]",
        "",
        f"| searcher | {' | '.join(spent)} | test accuracy | seconds |",
        f"|---|{'---|' * (len(spent) + 2)}",
    ]
    for searcher in SEARCHERS:
        mine = rows[rows["searcher"] == searcher]
        cells = [spread(mine[column], 3) for column in spent]
        cells += [spread(mine["test_accuracy"], 4), f"{mine['seconds'].median():.0f}"]
        lines.append(f"| {NAMES[searcher]} | {' | '.join(cells)} |")
    wins = rows.pivot(index="seed", columns="searcher", values=spent[-1])
    for other in ("optuna", "random"):
        won = int((wins["llm"] < wins[other]).sum())
        lines.append(
            f"\nSeeds in which the keyless advisor ends ahead of {other}: {won}/{len(wins)}"
        )
    return "\n".join(lines) + "\n"


def spread(values: pd.Series, digits: int) -> str:
    low, middle, high = values.min(), values.median(), values.max()
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows, parts = [], []
    for seed in range(options.seeds):
        for searcher in SEARCHERS:
            folder = run(searcher, seed, options)
            result = json.loads((folder / "result.json").read_text())
            result.pop("best_config")
            part = pd.read_parquet(folder / "curves.parquet")
            parts.append(part.assign(searcher=searcher, seed=seed))
            rows.append({**result, **{f"best@{k}": v for k, v in best_after(folder).items()}})
    curves = pd.concat(parts, ignore_index=True)
    curves.to_parquet(options.out / "curves.parquet")
    frame = pd.DataFrame(rows)
    frame.to_csv(options.out / "results.csv", index=False)
    text = table(frame, options)
    (options.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
