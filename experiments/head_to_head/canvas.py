"""What the figures share: style, which methods are shown, lines with bands, labels."""

from __future__ import annotations

import matplotlib
import numpy as np

from experiments.common import estimates
from experiments.head_to_head.runs import Curves

matplotlib.use("Agg")  # no screen; before pyplot is imported by anybody
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

FLOOR = 1e-3  # regrets below are drawn here: a logarithm has no zero
SHOWN = 8  # lines in one panel
FIRST = (
    "random", "tpe", "gp", "tpe+D", "gp+D", "ax", "neuropt", "raymimic+D", "asha:raymimic",
    "asha:gp", "asha:tpe", "one-epoch", "tpe3", "random+D",
)  # fmt: skip
COLOURS = ("#777777", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D31", "#9467BD", "#D55E00")
OURS = "#0B3C8C"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#E6E6E6", "grid.linewidth": 0.6, "legend.frameon": False,
    "savefig.dpi": 200, "figure.dpi": 100, "axes.axisbelow": True,
}  # fmt: skip


def choose(methods: list[str], ours: str) -> list[str]:
    """At most so many rivals, the usual ones first, and ours last (drawn on top)."""
    rivals = [m for m in FIRST if m in methods]
    rivals += [m for m in methods if m not in rivals and not _variant(m)]
    rivals = [m for m in rivals if m != ours][: SHOWN - 1]
    return rivals + ([ours] if ours in methods else [])


def variants(methods: list[str], ours: str) -> list[str]:
    """Ours with other models, other parts or other views."""
    return [m for m in methods if _variant(m) and m != ours][:SHOWN] + (
        [ours] if ours in methods else []
    )


def _variant(method: str) -> bool:
    return method.startswith("raymimic:")


def colours(methods: list[str], ours: str) -> dict[str, str]:
    """Ours in its own colour, the others in the order shown."""
    rest = iter(COLOURS)
    return {m: OURS if m == ours else next(rest) for m in methods}


def line(axes: Axes, x: np.ndarray, curves: Curves, colour: str, thick: bool, label: str) -> None:
    middle = np.where(curves.begun, estimates.iqm(curves.regret.T), np.nan)
    low, high = estimates.band(curves.regret, curves.tasks)
    low, high = (np.where(curves.begun, edge, np.nan) for edge in (low, high))
    z = 5 if thick else 3
    axes.fill_between(
        x, np.maximum(low, FLOOR), np.maximum(high, FLOOR), color=colour, alpha=0.15, lw=0, zorder=1
    )
    width = 2.4 if thick else 1.4
    axes.plot(x, np.maximum(middle, FLOOR), color=colour, lw=width, label=label, zorder=z)


def label_ends(axes: Axes, size: float = 8.5) -> None:
    """Names at the right ends of the lines, pushed apart where they would overlap."""
    ends = []
    for line in axes.get_lines():
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        seen = np.flatnonzero(np.isfinite(y))
        if len(seen) and not str(line.get_label()).startswith("_"):
            ends.append((axes.transData.transform((x[seen[-1]], y[seen[-1]]))[1], line))
    ends.sort(key=lambda end: end[0])
    box = axes.get_window_extent()
    gap = size * 1.25 * axes.figure.dpi / 72
    heights: list[float] = []
    for height, _ in ends:
        heights.append(max(height, heights[-1] + gap) if heights else height)
    over = max(0.0, heights[-1] - box.y1) if heights else 0.0
    for i in reversed(range(len(heights))):  # push back down what would leave the top
        heights[i] = min(heights[i], box.y1 - (len(heights) - 1 - i) * gap) if over else heights[i]
    for height, (_, line) in zip(heights, ends, strict=True):
        axes.annotate(
            str(line.get_label()), (1.015, (height - box.y0) / box.height),
            xycoords="axes fraction", color=line.get_color(), fontsize=size, va="center",
            fontweight="bold" if line.get_linewidth() > 2 else "normal", annotation_clip=False,
        )  # fmt: skip


def plain(axes: Axes) -> None:
    """Log ticks as plain numbers (.01, .1, 1), with steps between where the range is short."""
    low, high = axes.get_ylim()
    span = np.log10(high / low)
    steps = (1.0,) if span > 1.6 else (1.0, 2.0, 5.0) if span > 0.8 else tuple(np.arange(1.0, 10.0))
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def legend_below(figure: Figure, grid: np.ndarray, shown: list[str]) -> None:
    named: dict[str, Line2D] = {}
    for axes in grid.flat:
        for line in axes.get_lines():
            named.setdefault(str(line.get_label()), line)
    order = [m for m in reversed(shown) if m in named]
    if not order:
        figure.tight_layout()
        return
    rows = -(-len(order) // max(2, int(figure.get_figwidth() / 1.2)))
    columns = -(-len(order) // rows)
    height = 0.2 * rows + 0.12
    figure.tight_layout(rect=(0, height / figure.get_figheight(), 1, 1))
    figure.legend([named[m] for m in order], order, loc="lower center", ncols=columns)
