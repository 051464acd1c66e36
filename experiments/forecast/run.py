"""How good forecasts of running trainings are, on tables of finished ones.

    python -m experiments.forecast.run --tables TABLES --out OUT [--seeds 20] [--trials 30]

Per seed, ``trials`` settings are drawn from a table and come one after the other: the first
forecasts have one finished training behind them, the last all others. At 10, 25 and 50% of each
curve every way of forecasting says where it will end.

- coverage: how often the final value lies in the 80% interval, and the interval's mean width in
  units of the spread (half the range of the middle half) of all final values of the table
- concordance: the share of pairs among the trials of a seed (a trial and each one before it, which
  is finished) that forecast and final value order alike
- error: median distance of forecast from final value in the same units

The median rule (Tune's median stopping rule) gives no value: it compares running means, and so does
its column of pairs.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from experiments.common import tables
from raymimic.curves import Extrapolator

SHARES = (0.10, 0.25, 0.50)
TUNED_ON = ("ts_gru", "ts_irnn", "ts_lstm_p128", "ts_lstm_avg_p128")
HELD_OUT = ("ts_lstm_e128", "ts_lstm", "ts_vrnn_relu", "ts_vrnn_tanh", "digits_noisy")


def power_law(values: np.ndarray, length: int) -> tuple[float, float, float]:
    """(forecast, lower, upper tenth) of a + b * epoch^-c; the last value where no fit comes."""
    epochs = np.arange(1, values.size + 1)
    last = float(values[-1])
    if values.size < 4:
        return last, math.nan, math.nan
    spread = float(np.ptp(values)) or 1.0

    def law(epoch: Any, a: float, b: float, c: float) -> Any:
        return a + b * epoch ** (-c)

    start = (last - 0.1 * spread, float(values[0] - values[-1]), 0.5)
    bounds = ([-np.inf, -np.inf, 0.01], [np.inf, np.inf, 3.0])
    try:
        found, covariance = curve_fit(law, epochs, values, start, bounds=bounds, max_nfev=200)
    except (RuntimeError, ValueError):
        return last, math.nan, math.nan
    end = float(law(length, *found))
    _, b, c = found
    gradient = np.array([1.0, length ** (-c), -b * math.log(length) * length ** (-c)])
    residual = float(np.mean((values - law(epochs, *found)) ** 2))
    error = math.sqrt(max(0.0, float(gradient @ covariance @ gradient)) + residual)
    if not math.isfinite(end) or not math.isfinite(error):
        return last, math.nan, math.nan
    return end, end - 1.2816 * error, end + 1.2816 * error


def study(name: str, folder: Path, seeds: int, trials: int) -> list[dict[str, Any]]:
    """One row per table, seed, share, trial and method."""
    task = tables.load(name, folder)
    curves = task._curves[task.metric]
    curves = curves[np.isfinite(curves).all(axis=1)]
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        drawn = curves[np.random.default_rng(seed).choice(len(curves), trials, replace=False)]
        rows += [{"task": name, "seed": seed, **row} for row in _search(drawn)]
    return rows


def _search(drawn: np.ndarray) -> list[dict[str, Any]]:
    field, length, rows = Extrapolator(), drawn.shape[1], []
    epochs = np.arange(1, length + 1)
    for trial, curve in enumerate(drawn):
        for share in SHARES:
            seen = max(1, round(share * length))
            part = curve[:seen]
            last = float(part[-1])
            found = field.forecast(epochs[:seen], part)
            ours, chance = (last, math.nan, math.nan), math.nan
            if found is not None:
                ours = (found.median, *found.interval(0.8))
                chance = found.probability_below(drawn[:trial, -1].min())
            methods = {
                "raymimic": ours,
                "last value": (last, math.nan, math.nan),
                "power law": power_law(part, length),
                "median rule": (float(part.mean()), math.nan, math.nan),
            }
            for method, (median, low, high) in methods.items():
                row = {"share": share, "trial": trial, "method": method}
                row |= {"median": median, "low": low, "high": high, "final": curve[-1]}
                # The others are finished: a method compares with their final values, the
                # median rule with their running means at the same epoch.
                others = drawn[:trial, -1]
                against = drawn[:trial, :seen].mean(axis=1) if method == "median rule" else others
                alike = np.sign(median - against) == np.sign(curve[-1] - others)
                row["alike"] = alike.sum()
                if method == "raymimic" and trial:
                    row |= {"chance": chance, "won": curve[-1] < others.min()}
                rows.append(row)
        field.add(trial, epochs, curve)
    return rows


def report(frame: pd.DataFrame, spreads: dict[str, float], names: tuple[str, ...]) -> str:
    """One Markdown table over the named tables."""
    frame = frame[frame["task"].isin(names)].copy()
    unit = frame["task"].map(spreads)
    known = frame["low"].notna()
    frame["covered"] = ((frame["low"] <= frame["final"]) & (frame["final"] <= frame["high"])).where(
        known
    )
    frame["width"] = ((frame["high"] - frame["low"]) / unit).where(known)
    frame["error"] = (frame["median"] - frame["final"]).abs() / unit
    lines = [
        "| method | seen | coverage of 80% | trials 2-5 | 6-15 | 16-30 | median width "
        "| median error | concordance |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (method, share), part in frame.groupby(["method", "share"], sort=False):
        cells = [_mean(part["covered"])]
        for first, last in ((1, 4), (5, 14), (15, 29)):
            cells.append(_mean(part.loc[part["trial"].between(first, last), "covered"]))
        cells += [f"{part['width'].median():.2f}" if part["width"].notna().any() else "-"]
        rule = method == "median rule"
        cells += ["-" if rule else f"{part['error'].median():.3f}"]
        cells += [f"{part['alike'].sum() / part['trial'].sum():.3f}"]
        lines.append(f"| {method} | {share:.0%} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def chances(frame: pd.DataFrame, names: tuple[str, ...]) -> str:
    """What was said of a trial's chance to become the best so far, and what came of it."""
    frame = frame[frame["task"].isin(names) & frame["chance"].notna()]
    header = "| chance said | seen | forecasts | mean chance | became best |"
    lines = [header, "|---|---|---|---|---|"]
    bins = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0]
    for share, part in frame.groupby("share"):
        said = pd.cut(part["chance"], bins, right=False)
        for bounds, some in part.groupby(said, observed=True):
            won = some["won"].astype(float).mean()
            cells = [str(bounds), f"{share:.0%}", str(len(some)), f"{some['chance'].mean():.3f}"]
            lines.append(f"| {' | '.join(cells)} | {won:.3f} |")
    return "\n".join(lines)


def _mean(values: pd.Series) -> str:
    values = values.dropna()
    return f"{values.astype(float).mean():.3f}" if len(values) else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--out", type=Path, required=True, help="where the raw rows go")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--only", default="", help="names of tables, with commas")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    begun = time.process_time()
    names = tuple(arguments.only.split(",")) if arguments.only else TUNED_ON + HELD_OUT
    rows: list[dict[str, Any]] = []
    spreads = {}
    for name in names:
        rows += study(name, arguments.tables, arguments.seeds, arguments.trials)
        finals = tables.load(name, arguments.tables).finals
        finals = finals[np.isfinite(finals)]
        spreads[name] = float(np.subtract(*np.quantile(finals, (0.75, 0.25)))) / 2
    frame = pd.DataFrame(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(arguments.out / "forecasts.csv.gz", index=False, float_format="%.6g")
    parts = []
    for title, group in (("Developed on", TUNED_ON), ("Held out", HELD_OUT)):
        group = tuple(name for name in group if name in names)
        if group:
            parts += [f"## {title}: {', '.join(group)}", report(frame, spreads, group)]
            parts.append(chances(frame, group))
    head = f"# Forecasts of running trainings: {arguments.seeds} seeds"
    text = "\n\n".join([f"{head} of {arguments.trials} trials", *parts]) + "\n"
    (arguments.out / "table.md").write_text(text)
    print(text)
    print(f"({time.process_time() - begun:.0f} CPU seconds)", file=sys.stderr)


if __name__ == "__main__":
    main()
