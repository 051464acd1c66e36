"""The front and the lineage of its points as an SVG file, which any browser shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from raymimic.evolution.individuals import Individual
from raymimic.evolution.state import State
from raymimic.evolution.table import lineage

_WIDTH, _HEIGHT, _MARGIN, _TOP = 900, 560, 70, 55
_GREY, _BLUE, _RED = "#b8b8b8", "#1f5fa8", "#c0392b"
_STEPS = (1, 2, 5)
_FEWEST_TICKS = 4
_ROOM = 0.04  # of an axis, beyond the first and the last point


def front_picture(state: State) -> str:
    """The second objective across, the first up; lines go from the front's ancestors to it.

    The front is drawn in steps: what is below and beside a step is dominated. An axis whose values
    span more than a factor of ten is logarithmic. Hovering over a point shows what it is. Raises
    ValueError before anything was evaluated.
    """
    known, front = state.scored(), state.front()
    if not known:
        raise ValueError("a picture needs at least one evaluated program")
    up, across = state.objectives[0].name, state.objectives[-1].name
    x = _Axis([one.values[across] for one in known], _MARGIN, _WIDTH - 45)
    y = _Axis([one.values[up] for one in known], _HEIGHT - _MARGIN, _TOP)

    def place(one: Individual) -> tuple[float, float]:
        return x.at(one.values[across]), y.at(one.values[up])

    parts = [*_axes(x, y, across, up)]
    family = {number for one in front for number in lineage(state, one)}
    shown = {one.id: one for one in known}
    for number in sorted(family):
        one = state.individuals[number]
        if number in shown and one.parents and one.parents[0] in shown:
            parts.append(_line(place(shown[one.parents[0]]), place(one)))
    parts.append(_steps([place(one) for one in front]))
    for one in sorted(known, key=lambda one: one in front):
        parts.append(_point(one, place(one), state, on_front=one in front))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="13">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


class _Axis:
    """Turns values into places between ``start`` and ``end``."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        self.log = low > 0 and high / low > 10
        low, high = self._scale(low), self._scale(high)
        room = _ROOM * (high - low) or 0.5
        self._low, self._high = low - room, high + room
        self._start, self._end = start, end

    def _scale(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def at(self, value: float) -> float:
        share = (self._scale(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Round values within the axis: 1, 2 and 5 times a power of ten, or multiples of such."""
        if self.log:
            powers = range(math.floor(self._low), math.ceil(self._high))
            values = [step * 10.0**power for power in powers for step in _STEPS]
            return [value for value in values if self._low <= math.log10(value) <= self._high]
        span = self._high - self._low
        power = 10.0 ** math.floor(math.log10(span))
        step = next(
            size
            for size in (power / one for one in (1, 2, 5, 10))
            if math.floor(self._high / size) - math.ceil(self._low / size) + 1 >= _FEWEST_TICKS
        )
        return [
            number * step
            for number in range(math.ceil(self._low / step), math.floor(self._high / step) + 1)
        ]


def _steps(front: Sequence[tuple[float, float]]) -> str:
    """The line between what the front dominates and what it does not."""
    corners = [front[0]]
    for point in front[1:]:
        corners += [(corners[-1][0], point[1]), point]
    points = " ".join(f"{across:.1f},{up:.1f}" for across, up in corners)
    return f'<polyline points="{points}" fill="none" stroke="{_BLUE}" stroke-width="1.5"/>'


def _axes(x: _Axis, y: _Axis, across: str, up: str) -> list[str]:
    bottom = _HEIGHT - _MARGIN
    edge = f'stroke="{_GREY}" stroke-width="1"'
    parts = [
        f'<line x1="{_MARGIN - 8}" y1="{bottom + 8}" x2="{_WIDTH - 20}" y2="{bottom + 8}" {edge}/>',
        f'<line x1="{_MARGIN - 8}" y1="{_TOP - 15}" x2="{_MARGIN - 8}" y2="{bottom + 8}" {edge}/>',
    ]
    parts += [
        f'<text x="{x.at(value):.1f}" y="{bottom + 30}" text-anchor="middle">{value:,.4g}</text>'
        for value in x.ticks()
    ]
    parts += [
        f'<text x="{_MARGIN - 14}" y="{y.at(value) + 4:.1f}" text-anchor="end">{value:,.4g}</text>'
        for value in y.ticks()
    ]
    middle = (_WIDTH + _MARGIN) / 2
    return [
        *parts,
        f'<text x="{middle}" y="{_HEIGHT - 15}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="{_MARGIN - 50}" y="22">{escape(up)}: front (blue), its ancestors (red lines), '
        f"all others (grey); numbers are programs</text>",
    ]


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{_RED}" stroke-width="1" opacity="0.5"/>'
    )


def _point(one: Individual, at: tuple[float, float], state: State, *, on_front: bool) -> str:
    colour, radius = (_BLUE, 6) if on_front else (_GREY, 3.5)
    values = ", ".join(f"{goal.name} {one.values[goal.name]:.6g}" for goal in state.objectives)
    said = escape(f"{one.id}: {values}; {one.operator}; {one.rationale}")
    name = "seed" if not one.parents else str(one.id) if on_front else ""
    label = (
        f'<text x="{at[0] + 9:.1f}" y="{at[1] - 9:.1f}" fill="{_BLUE if on_front else "black"}">'
        f"{name}</text>"
        if name
        else ""
    )
    return (
        f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius}" fill="{colour}">'
        f"<title>{said}</title></circle>{label}"
    )
