"""The scale curves: what each aim speaks of, over the number of ended trials."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from experiments.scale.meter import Row

matplotlib.use("Agg")

from matplotlib import pyplot

PANELS = (
    ("CPU a result, µs", {
        "per_result_cpu_us": "mean, with its share of ends", "result_cpu_median_us": "median",
        "result_cpu_p99_us": "p99",
    }, 200, True),
    ("suggest, CPU µs", {
        "suggest_cpu_median_us": "median", "suggest_cpu_p99_us": "p99",
    }, 1000, True),
    ("largest prompt, tokens", {"prompt_tokens_max": ""}, 8000, False),
    ("memory, bytes an epoch-row", {"bytes_per_epoch_row": "resident, less the start"}, 1000, True),
    ("save, ms", {
        "save_wall_ms_median": "wall, median", "save_wall_ms_max": "wall, worst",
        "save_cpu_ms_max": "CPU, worst",
    }, 200, True),
    ("time with a free slot and no proposal, %", {
        "waiting_time_share": "of time", "waiting_slot_share": "of slots",
    }, 1, False),
    ("ledger, MB", {"ledger_mb": ""}, None, False),
    ("restore, s", {
        "restore_cpu_s": "searcher, CPU", "restore_wall_s": "searcher, wall",
        "scheduler_wall_s": "scheduler after it",
    }, None, False),
)  # fmt: skip

STYLES = {"no stopping": "-", "stopping": "--"}
COLOURS = ("#1b6ca8", "#d1495b", "#66a182")


def curves(arms: dict[str, list[Row]], path: Path) -> None:
    """A panel for each measure; the aim is the grey line."""
    figure, grid = pyplot.subplots(2, 4, figsize=(18, 8))
    for axes, (title, columns, aim, log) in zip(grid.flat, PANELS, strict=True):
        for arm, rows in arms.items():
            for (column, label), colour in zip(columns.items(), COLOURS, strict=False):
                factor = 100 if column.endswith("_share") else 1
                known = [row for row in rows if row.get(column) is not None]
                axes.plot(
                    [row["ended"] for row in known], [factor * row[column] for row in known],
                    STYLES.get(arm, ":"), color=colour, marker=".",
                    label=f"{arm}: {label}" if label else arm,
                )  # fmt: skip
        if aim is not None:
            axes.axhline(aim, color="grey", linewidth=1)
        axes.margins(y=0.6)  # room for the legend
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_title(title)
        axes.set_xlabel("ended trials")
        axes.legend(fontsize=7, loc="upper left")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
