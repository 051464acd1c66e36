"""The numbers of the study: fronts, hypervolumes, test against validation, p values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from raymimic.evolution.individuals import Individual
from raymimic.evolution.state import State
from raymimic.evolution.table import markdown
from raymimic.pareto import hypervolume

Row = dict[str, Any]

# The worst that counts: chance, and a hundred thousand parameters (a million for colour images).
REFERENCE = {"mnist1d": (0.1, 5.0), "cifar10": (0.1, 6.0)}
SMALL = {"mnist1d": 40_000, "cifar10": 518_230}


def volume(individuals: Sequence[Individual], data: str) -> float:
    """Hypervolume of accuracy and log10(parameters) beyond the reference."""
    chance, largest = REFERENCE[data]
    losses = [
        (-one.values["accuracy"], math.log10(one.values["parameters"])) for one in individuals
    ]
    return hypervolume(np.array(losses).reshape(len(losses), 2), (-chance, largest))


def row_of(state: State, arm: str, repeat: int, data: str) -> Row:
    """One evolution in numbers; the test accuracies must have been read (`test_front`)."""
    front = state.front()
    small = [one for one in front if one.values["parameters"] <= SMALL[data]]
    best = max(small, key=lambda one: one.values["accuracy"])
    seed = state.individuals[0]
    refused = sum(sum(tally.rejected.values()) for tally in state.tally.values())
    return {
        "arm": arm,
        "repeat": repeat,
        "evaluations": len(state.of_status("done", "failed")),
        "failed": len(state.of_status("failed")),
        "refused": refused,
        "calls": state.spent.calls,
        "keyless": sum(state.keyless.values()),
        "seed_accuracy": seed.values.get("accuracy", math.nan),
        "best_accuracy": best.values["accuracy"],
        "best_parameters": best.values["parameters"],
        "best_test": state.test.get(best.id, math.nan),
        "mean_gap": float(
            np.mean([abs(state.test[one.id] - one.values["accuracy"]) for one in front])
        ),
        "front": len(front),
        "hypervolume": volume(front, data),
    }


def table(rows: Sequence[Row]) -> str:
    """All evolutions, then the arms against each other."""
    names = list(rows[-1])
    cells = [[_cell(row.get(name, 0)) for name in names] for row in rows]
    arms = {name: [row for row in rows if row["arm"] == name] for name in {r["arm"] for r in rows}}
    parts = [markdown(names, cells)]
    for one, other in itertools.combinations(sorted(arms), 2):
        parts.append(_compared(one, arms[one], other, arms[other]))
    return "\n\n".join(parts) + "\n"


def _compared(one: str, first: Sequence[Row], other: str, second: Sequence[Row]) -> str:
    from scipy.stats import mannwhitneyu

    lines = []
    for name in ("hypervolume", "best_accuracy"):
        a, b = ([row[name] for row in rows] for rows in (first, second))
        p = mannwhitneyu(a, b).pvalue
        lines.append(
            f"- {name}: {one} {np.mean(a):.4f} (n={len(a)}), {other} {np.mean(b):.4f} "
            f"(n={len(b)}), Mann-Whitney p = {p:.3f}"
        )
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) and not value.is_integer() else str(value)
