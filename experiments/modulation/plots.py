"""The report's one plot: what each arm gains over plain, with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pandas as pd

from experiments.common.estimates import Paired, paired
from experiments.modulation import arms, catalog

matplotlib.use("Agg")

from matplotlib import pyplot

NAMES = {
    "test_accuracy": "test accuracy", "test_loss": "test loss", "test_r2": "test R²",
    "test_return": "mean return",
}  # fmt: skip

_ORDER = {name: place for place, name in enumerate(arms.NAMES)}


def order(arm: str) -> tuple[int, str]:
    """Plain first, then guided and its controls."""
    first = {"plain": -2, "guided": -1}
    return first.get(arm, _ORDER.get(arm, 0)), arm


def differences(frame: pd.DataFrame, path: Path) -> None:
    """A panel for each study and size: the paired differences in the study's first measure."""
    panels = [
        (key, part) for key, part in frame.groupby(["study", "size"]) if part["arm"].nunique() > 1
    ]
    panels = [(key, part) for key, part in panels if "plain" in set(part["arm"])]
    if not panels:
        return
    columns = min(5, len(panels))
    lines = -(-len(panels) // columns)
    figure, grid = pyplot.subplots(
        lines, columns, figsize=(3.4 * columns, 3.2 * lines), squeeze=False
    )
    for axis in grid.flat[len(panels) :]:
        axis.axis("off")
    for axis, ((study, size), part) in zip(grid.flat, panels, strict=False):
        _panel(axis, part, str(study), int(size))
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _panel(axis: pyplot.Axes, part: pd.DataFrame, study: str, size: int) -> None:
    measure, mode = next(iter(catalog.STUDIES[study].measures.items()))
    for kind, colour, shift in (("last", "C0", -0.15), ("best", "C1", 0.15)):
        found = list(pairs_of(part, f"{kind}_{measure}", mode))
        for place, (_, one) in enumerate(found):
            axis.plot(one.t, [place + shift] * 2, color=colour, lw=1.5)
            axis.plot([one.difference], [place + shift], "o", color=colour, ms=4)
        axis.plot([], [], color=colour, label=f"{kind} weights")
        axis.set_yticks(range(len(found)), [arm for arm, _ in found], fontsize=8)
    axis.axvline(0, color="grey", lw=0.8)
    axis.invert_yaxis()
    axis.tick_params(axis="x", labelsize=7)
    better = "right" if mode == "max" else "left"
    axis.set_xlabel(f"{NAMES[measure]} less plain ({better} is better)", fontsize=7)
    axis.set_title(f"{study} {size}, {part['seed'].nunique()} seeds", fontsize=9)
    axis.legend(fontsize=6)


def pairs_of(frame: pd.DataFrame, column: str, mode: str) -> Iterator[tuple[str, Paired]]:
    """(arm, comparison with plain) of each arm that shares seeds with plain."""
    values = frame.pivot(index="seed", columns="arm", values=column)
    for arm in sorted(values.columns, key=order):
        if arm == "plain" or "plain" not in values:
            continue
        both = values[[arm, "plain"]].dropna()
        if len(both):
            yield arm, paired(*both.to_numpy().T, mode)
