"""What a run says at its end: which parameters mattered, and what to try next."""

from __future__ import annotations

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.belief.axes import axes_of
from raymimic.advisor.curve_text import number
from raymimic.advisor.front_text import front_lines, objectives_text, volume_text
from raymimic.advisor.lessons.writing import clearest
from raymimic.advisor.propose.statistical import StatisticalAdvisor
from raymimic.advisor.text import fit_counted
from raymimic.foreign import name_text

_NAMED = 3
"""So many parameters are said to have mattered: people remember no more."""

_EDGE = 0.05
"""A value in this outer part of a range speaks for a wider one."""

_FRONT_CHARS = 800

_SHOWN = 6
"""So many values of the next configuration are shown."""


def closing_words(evidence: SearchEvidence, seed: int) -> list[str]:
    """Give two lines on what a search learnt; none before two trials have a score.

    With several objectives lines on the front come first.
    A parameter mattered if parts of its range differ in score at the 1 % level (`separation`).
    ``seed`` is that of the search, so that the next configuration is the one it would try.
    """
    ranked = evidence.ranked()
    if len(ranked) < 2:
        return []
    return [*_front(evidence), _mattered(evidence), _next(evidence, ranked[0], seed)]


def _front(evidence: SearchEvidence) -> list[str]:
    front = evidence.front()
    if not evidence.others or not front:
        return []
    names = objectives_text(evidence.objectives)
    head = f"Front of {names}: {len(front)} that no other trial beats; {volume_text(evidence)}."
    return [head, *(f"  {line}" for line in fit_counted(front_lines(evidence), _FRONT_CHARS))]


def _mattered(evidence: SearchEvidence) -> str:
    found = clearest(evidence)
    if not found:
        return f"What mattered: no parameter clearly yet, by {len(evidence.trials)} trials."
    parts = []
    for name, groups in found[:_NAMED]:
        best, worst = groups[0], groups[-1]
        parts.append(
            f"{name_text(name)} ({best.words}: median {_said(best.median)}; "
            f"{worst.words}: {_said(worst.median)})"
        )
    what = f" for {name_text(evidence.metric)}" if evidence.others else ""
    return f"What mattered{what}: {', '.join(parts)}."


def _said(median: float) -> str:
    return "failure" if median in (float("inf"), float("-inf")) else number(median)


def _next(evidence: SearchEvidence, best: TrialRecord, seed: int) -> str:
    parts = []
    clear = {name for name, _ in clearest(evidence)}
    for axis in axes_of(evidence.space):
        if axis.name not in clear or axis.name not in best.config:
            continue
        unit = axis.unit(best.config[axis.name])
        wide = axis.ordered and axis.dimension.size != 1
        if wide and not _EDGE <= unit <= 1 - _EDGE:
            end = "lower" if unit < 0.5 else "upper"
            parts.append(
                f"a wider range of {name_text(axis.name)}, as the best is at its {end} end"
            )
    if best.diagnosis is not None and "improving" in best.diagnosis:
        parts.append("more epochs, as the best was still improving")
    proposals = StatisticalAdvisor(seed).propose(evidence, 1).proposals
    if proposals:
        config = evidence.space.show(proposals[0].config)
        shown = [f"{name_text(name)}={_value(value)}" for name, value in config.items()]
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        parts.append(f"{', '.join(shown[:_SHOWN])}{more}{_gain(proposals[0].rationale)}")
    return f"Try next: {'; '.join(parts) or 'nothing, all configurations were tried'}."


def _gain(rationale: str) -> str:
    """What the proposer expects of it, in brackets: little, once a search has found its place."""
    said = [
        part
        for part in rationale.split("; ")
        if part.startswith(("expected improvement", "expected to"))
    ]
    return f" ({said[0]})" if said else ""


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else name_text(str(value))
