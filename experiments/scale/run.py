"""What a search of 10,000 trials costs Tune's controller, and what Tune itself costs beside it.

    python -m experiments.scale.run --out OUT            # everything, about 15 minutes
    python -m experiments.scale.run --quick --out OUT    # under a minute, says nothing about scale

Parts: ``controller`` plays Tune's controller over 10,000 simulated trials of 100 epochs, 1,000 in
flight, with the real searcher, scheduler, callback, ledger and gateway and a model of 2 s latency
(`controller` and `clock` say how time is simulated); ``memory`` traces where a smaller search's
memory goes; ``tune`` runs real `tune.Tuner`s: stopped, it goes on
where it was with the same command. Times are CPU seconds of the thread that is measured and wall
seconds; the load average stands beside them, since other programs share the machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

# The simulated clock counts every thread; a second one of a matrix product only spins beside us.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from experiments.scale import memory, plots
from experiments.scale.controller import Plan
from experiments.scale.meter import Row
from experiments.scale.search import BAD, LATENCY_S, run_search

PARTS = ("controller", "memory", "tune")

# Tune itself starts 11 to 25 trials a second at best. Epochs of this many seconds make the searches
# ask for about as many: with stopping a trial lasts few epochs.
EPOCH_S = {"no stopping": 1.0, "stopping": 10.0}

AIMS = (
    ("mean CPU a result, worst window", "per_result_cpu_us", 200, "us"),
    ("median CPU a result, worst window", "result_cpu_median_us", 200, "us"),
    ("p99 CPU a result, worst window", "result_cpu_p99_us", None, "us"),
    ("max CPU a result", "result_cpu_max_us", None, "us"),
    ("median wall a result, worst window", "result_wall_median_us", 200, "us"),
    ("p99 CPU of suggest, worst window", "suggest_cpu_p99_us", 1000, "us"),
    ("p99 wall of suggest, worst window", "suggest_wall_p99_us", 1000, "us"),
    ("median wall of suggest, worst window", "suggest_wall_median_us", None, "us"),
    ("largest prompt", "prompt_tokens_max", 8000, "tokens"),
    ("memory at the end, resident", "bytes_per_epoch_row", 1000, "bytes an epoch-row"),
    ("save, median wall, worst window", "save_wall_ms_median", 200, "ms"),
    ("save, worst wall", "save_wall_ms_max", 200, "ms"),
    ("save, median CPU, worst window", "save_cpu_ms_median", 200, "ms"),
    ("save, worst CPU", "save_cpu_ms_max", 200, "ms"),
    ("saved file", "save_mb", None, "MB"),
    ("ledger", "ledger_mb", None, "MB"),
    ("restore of the searcher, CPU, last", "restore_cpu_s", None, "s"),
    ("scheduler after a restore, wall, last", "scheduler_wall_s", None, "s"),
    ("load average, highest", "load", None, ""),
)
_AT_THE_END = {"bytes_per_epoch_row", "restore_cpu_s", "scheduler_wall_s"}


def controller_part(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both searches, window by window."""
    found: dict[str, Any] = {}
    for arm, seconds in EPOCH_S.items():
        restores = tuple(options.trials * part // 10 for part in (1, 2, 5, 10))
        plan = Plan(
            options.trials, options.epochs, options.in_flight, seconds, options.window, restores,
            options.seed, faults=arm == "stopping",
        )  # fmt: skip
        controller = run_search(plan, folder / arm.replace(" ", "_"))
        found[arm] = {
            "epoch_seconds": seconds,
            "whole": controller.whole(),
            "rows": controller.rows,
        }
    return found


def aims_table(found: dict[str, Any]) -> str:
    """The aims, and what each search came to."""
    lines = ["| measure | aim | " + " | ".join(found) + " |", "|---|---|" + "---|" * len(found)]
    for name, column, aim, unit in AIMS:
        cells = [_cell(part["rows"], column) for part in found.values()]
        goal = "" if aim is None else f"< {aim:,}"
        lines.append(f"| {name}, {unit} | {goal} | " + " | ".join(cells) + " |")
    for name, key in (
        ("time in which a free slot had no proposal", "waiting_time_share"),
        ("the same after the first fill", "waiting_time_share_after_first_fill"),
        ("slots without a proposal, of all slot time", "waiting_slot_share"),
    ):
        cells = [f"{part['whole'][key]:.2%}" for part in found.values()]
        lines.append(f"| {name} | < 1% | " + " | ".join(cells) + " |")
    cells = [f"{part['whole']['results']:,}" for part in found.values()]
    lines.append("| results | | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(rows: list[Row], column: str) -> str:
    values = [row[column] for row in rows if row.get(column) is not None]
    if not values:
        return "none"
    return f"{values[-1] if column in _AT_THE_END else max(values):,.4g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--out", type=Path, required=True, help="a folder for results and plots")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--in-flight", type=int)
    parser.add_argument("--window", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    small = {"trials": 300, "epochs": 20, "in_flight": 60, "window": 100}
    full = {"trials": 10_000, "epochs": 100, "in_flight": 1_000, "window": 1_000}
    for name, value in (small if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    logging.getLogger("raymimic").setLevel(logging.ERROR)
    options.out.mkdir(parents=True, exist_ok=True)
    about = {
        "machine": platform.platform(), "latency_s": LATENCY_S, "bad_replies": BAD,
        **{name: getattr(options, name) for name in small},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        if "controller" in options.part:
            found = controller_part(options, Path(folder))
            _write(options.out / "controller.json", {**about, "arms": found})
            plots.curves(
                {arm: part["rows"] for arm, part in found.items()}, options.out / "scale.png"
            )
            print(aims_table(found), flush=True)
        if "memory" in options.part:
            traced = memory.traced(
                Path(folder) / "memory", options.trials // 30, options.epochs, options.seed
            )
            _write(options.out / "memory.json", traced)
            print(f"\ntraced: {traced['bytes_per_epoch_row']:.0f} bytes an epoch-row; by file:")
            print("\n".join(f"  {size:6.0f}  {name}" for name, size in traced["by_file"].items()))
    if "tune" in options.part:
        from experiments.scale import (
            tune_side,  # starts nothing, but sets what Ray reads from the environment
        )

        size = (10, 2, 1) if options.quick else (200, 5, 5)
        rows = tune_side.side_by_side(*size, options.out / "tune.json")
        print("\n" + tune_side.table(rows))


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
