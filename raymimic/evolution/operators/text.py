"""How programs and their measurements are written in a prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raymimic.evolution.individuals import Individual
from raymimic.records import Objective

_CURVE_POINTS = 8
_FENCE = "~~~"


def code(text: str) -> str:
    """Code between fences; a fence within it is broken up."""
    inside = text.strip("\n").replace(_FENCE, "~ ~ ~")
    return f"{_FENCE}python\n{inside}\n{_FENCE}"


def measured(individual: Individual, objectives: Sequence[Objective]) -> str:
    """An individual's objectives in one line."""
    if individual.status == "failed":
        return "it failed in training"
    if not individual.values:
        return "not measured yet"
    return ", ".join(
        f"{one.name} {number(individual.values.get(one.name, math.nan))}" for one in objectives
    )


def effect(before: Individual, after: Individual, objectives: Sequence[Objective]) -> str:
    """What changed from one measured individual to the other: objectives, then curves."""
    curves = f"{objectives[0].name} by epoch before [{curve(before)}], after [{curve(after)}]"
    return f"{changes(before, after, objectives)}; {curves}"


def changes(before: Individual, after: Individual, objectives: Sequence[Objective]) -> str:
    """The objectives of one measured individual and of the other."""
    told = []
    for one in objectives:
        old, new = before.values[one.name], after.values[one.name]
        better = one.loss(after.values) < one.loss(before.values)
        word = "better" if better else "worse" if new != old else "the same"
        told.append(f"{one.name} {number(old)} -> {number(new)} ({word})")
    return "; ".join(told)


def curve(individual: Individual) -> str:
    """At most eight points of a curve, the first and the last among them."""
    points = individual.curve
    if len(points) > _CURVE_POINTS:
        step = (len(points) - 1) / (_CURVE_POINTS - 1)
        points = tuple(points[round(index * step)] for index in range(_CURVE_POINTS))
    return ", ".join(number(point) for point in points)


def number(value: float) -> str:
    """Whole numbers with thousands marked, others with four significant digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4g}"
