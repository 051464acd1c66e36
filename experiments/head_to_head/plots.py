"""The figures of the report: regret.png, tasks.png, ranks.png, spent.png, real.png."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from experiments.head_to_head import canvas
from experiments.head_to_head.canvas import FLOOR, OURS
from experiments.head_to_head.runs import Study
from experiments.head_to_head.summary import main_methods, mean_ranks

AXES = {
    "epochs": "full trainings' worth of epochs",
    "seconds": "seconds asking and training",
    "tokens": "tokens in and out",
    "cost": "USD",
}


def draw(study: Study, out: Path, ours: str) -> None:
    """Every figure the records allow."""
    with plt.rc_context(canvas.STYLE):
        groups = study.groups()
        if groups:
            tasks, methods = groups[0]
            regret(study, tasks, methods, ours, out / "regret.png")
            per_task(study, methods, ours, out / "tasks.png")
            ranks(study, tasks, methods, ours, out / "ranks.png")
            spent(study, tasks, methods, ours, out / "spent.png")
        for i, (tasks, more) in enumerate(groups[1:], start=2):
            new = [method for method in more if method not in methods]
            shown = [m for m in more if m in (*new, ours, "random", "tpe", "gp")]
            regret(study, tasks, shown, ours, out / f"regret_{i}.png")
        if study.real:
            real(study, ours, out / "real.png")


def _horizon(study: Study) -> int:
    return max(study.budgets)


def regret(study: Study, tasks: list[str], methods: list[str], ours: str, path: Path) -> None:
    """IQM regret against trials, with bands; variants of ours in a second panel."""
    panels = [("Rivals", canvas.choose(methods, ours))]
    mine = canvas.variants(methods, ours)
    if len(mine) > 1:
        panels.append((f"Variants of {ours}", mine))
    x = np.arange(1, _horizon(study) + 1)
    stops = any(run.by_epochs for run in study.runs if run.method in methods)
    unit = (
        "trials (where trials are stopped: full trainings' worth of epochs)" if stops else "trials"
    )
    figure, grid = plt.subplots(
        1, len(panels), figsize=(5.6 * len(panels), 3.9), sharey=True, squeeze=False
    )
    for axes, (title, shown) in zip(grid[0], panels, strict=True):
        found = study.curves(shown, tasks, x.astype(float))
        for method, colour in canvas.colours(shown, ours).items():
            canvas.line(axes, x, found[method], colour, method == ours, method)
        axes.set(yscale="log", xlabel=unit, title=title if len(panels) > 1 else "")
        axes.set_xlim(1, x[-1])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        canvas.plain(axes)
    seeds = study.rows[study.rows["task"].isin(tasks)]["seed"].nunique()
    grid[0][0].set_ylabel(f"regret, IQM of {len(tasks)} tasks × {seeds} seeds")
    figure.tight_layout(w_pad=7 if len(panels) > 1 else 1)
    figure.subplots_adjust(right=0.82 if len(panels) == 1 else 0.88)
    figure.canvas.draw()
    for axes in grid[0]:
        canvas.label_ends(axes)
    figure.savefig(path)
    plt.close(figure)


def per_task(study: Study, methods: list[str], ours: str, path: Path) -> None:
    """Mean regret over seeds against trials: a small panel per task, one legend below."""
    x = np.arange(1, _horizon(study) + 1)
    shown = canvas.choose(methods, ours)
    columns = min(4, len(study.tables))
    rows = -(-len(study.tables) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.7 * columns + 0.3, 2.1 * rows + 0.7), squeeze=False, sharex=True
    )
    colours = canvas.colours(shown, ours)
    for axes, task in zip(grid.flat, study.tables, strict=False):
        for method, found in study.curves(shown, [task], x.astype(float)).items():
            if len(found.regret):
                mean = np.where(found.begun, found.regret.mean(axis=0), np.nan)
                width = 2.2 if method == ours else 1.2
                line = np.maximum(mean, FLOOR)
                axes.plot(x, line, color=colours[method], lw=width, label=method)
        axes.set(yscale="log", title=task)
        axes.set_xlim(1, x[-1])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        canvas.plain(axes)
    for axes in grid.flat[len(study.tables) :]:
        axes.set_visible(False)
    for column in range(columns):  # the lowest panel that is there carries the axis
        lowest = max(i for i in range(rows) if i * columns + column < len(study.tables))
        grid[lowest][column].set_xlabel("trials")
        grid[lowest][column].tick_params(labelbottom=True)
    for row in grid:
        row[0].set_ylabel("mean regret")
    canvas.legend_below(figure, grid, shown)
    figure.savefig(path)
    plt.close(figure)


def ranks(study: Study, tasks: list[str], methods: list[str], ours: str, path: Path) -> None:
    """Mean rank at each of the last budgets; a bar as long as the critical difference."""
    methods = main_methods(methods, ours)
    found = [(b, mean_ranks(study, tasks, methods, b)) for b in study.budgets]
    panels = [(b, held) for b, held in found if held is not None][-3:]
    if len(methods) < 2 or not panels:
        return
    figure, grid = plt.subplots(
        1, len(panels), figsize=(3.4 * len(panels) + 0.4, 0.23 * len(methods) + 1.3), squeeze=False
    )
    for axes, (budget, (mean, p, difference)) in zip(grid[0], panels, strict=True):
        mean = mean.sort_values(ascending=False)
        y = np.arange(len(mean))
        colours = [OURS if m == ours else "#888888" for m in mean.index]
        best = float(mean.min())
        if np.isfinite(difference):
            axes.axvspan(best, best + difference, color=OURS, alpha=0.1, lw=0)
        axes.hlines(y, 1, mean.to_numpy(), color=colours, lw=1)
        axes.scatter(mean.to_numpy(), y, c=colours, s=22, zorder=3)
        axes.set_yticks(y, mean.index)
        for label, method in zip(axes.get_yticklabels(), mean.index, strict=True):
            label.set_fontweight("bold" if method == ours else "normal")
            label.set_color(OURS if method == ours else "#333333")
        axes.set_xlim(1, max(len(mean), float(mean.max())) + 0.2)
        axes.grid(axis="y", visible=False)
        tested = "" if np.isnan(p) else f", Friedman p {'< .001' if p < 0.001 else f'= {p:.3f}'}"
        axes.set_title(f"{budget} trials{tested}")
        axes.set_xlabel("mean rank (1 is best)")
    figure.tight_layout()
    if any(np.isfinite(held[2]) for _, held in panels):
        figure.text(
            0.5, 0.005, "shaded: within Nemenyi's critical difference (.05) of the best",
            ha="center", fontsize=8, color="#555555",
        )  # fmt: skip
        figure.subplots_adjust(bottom=0.75 / figure.get_figheight())
    figure.savefig(path)
    plt.close(figure)


def spent(study: Study, tasks: list[str], methods: list[str], ours: str, path: Path) -> None:
    """IQM regret against each resource that anything was spent of."""
    shown = canvas.choose(methods, ours)
    mine = [r for r in study.runs if r.method in shown and r.task in tasks]
    used = [k for k in AXES if any(run.spent[k][-1] > 0 for run in mine)]
    if not used:
        return
    colours = canvas.colours(shown, ours)
    columns = min(2, len(used))
    rows = -(-len(used) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(4.4 * columns, 3.0 * rows + 0.5), squeeze=False, sharey=True
    )
    for axes, resource in zip(grid.flat, used, strict=False):
        for method in shown:
            runs = [run for run in mine if run.method == method]
            ends = np.array([run.spent[resource][-1] for run in runs])
            starts = np.array([run.spent[resource][0] for run in runs])
            if not ends.max() > 0:
                continue
            low = max(float(np.median(starts)), float(np.median(ends)) / 300)
            x = np.geomspace(low, float(np.median(ends)) * 1.0001, 40)
            found = study.curves(shown, tasks, x, resource)[method]
            canvas.line(axes, x, found, colours[method], method == ours, method)
        axes.set(xscale="log", yscale="log", xlabel=AXES[resource])
        canvas.plain(axes)
    for axes in grid.flat[len(used) :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("regret, IQM")
    canvas.legend_below(figure, grid, shown)
    figure.savefig(path)
    plt.close(figure)


def real(study: Study, ours: str, path: Path) -> None:
    """Incumbent's validation value against trials: median over seeds and their range."""
    methods = sorted({run.method for run in study.runs if run.task in study.real})
    shown = canvas.choose(methods, ours)
    colours = canvas.colours(shown, ours)
    figure, grid = plt.subplots(
        1, len(study.real), figsize=(4.4 * len(study.real) + 0.4, 3.6), squeeze=False
    )
    for axes, task in zip(grid[0], study.real, strict=True):
        for method in shown:
            runs = [r for r in study.runs if r.task == task and r.method == method]
            if not runs:
                continue
            x = np.arange(1, int(max(run.budget[-1] for run in runs)) + 1)
            values = np.array([run.held("value", x) for run in runs])
            begun = np.isfinite(values).mean(axis=0) >= 0.5
            x, values = x[begun], np.where(np.isfinite(values), values, np.nan)[:, begun]
            if method == ours:
                low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
                axes.fill_between(x, low, high, color=OURS, alpha=0.12, lw=0)
            width = 2.2 if method == ours else 1.3
            line = np.nanmedian(values, axis=0)
            axes.plot(x, line, color=colours[method], lw=width, label=method)
        better = "higher" if study.modes[task] == "max" else "lower"
        axes.set(xlabel="trials", title=f"{task} ({better} is better)")
    grid[0][0].set_ylabel("incumbent's validation value,\nmedian over seeds")
    canvas.legend_below(figure, grid, shown)
    figure.savefig(path)
    plt.close(figure)
