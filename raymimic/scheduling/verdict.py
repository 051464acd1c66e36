"""What a scheduler says of a trial: a word, and the reason in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from raymimic.advisor import Judgement, Leader
from raymimic.records import Mode
from raymimic.scheduling.rank_rule import Reading

VerdictKind = Literal[
    "continue", "whole", "diverged", "hopeless", "overfitting", "judged", "wished"
]

_CELL = 20
_REMARK = " | "  # between a verdict's numbers and what a judge said


@dataclass(frozen=True)
class Verdict:
    """A decision on one trial at one epoch; ``reading`` holds the numbers where there are any.

    >>> from raymimic import Verdict
    >>> Verdict("hopeless", 12, "hopeless: place 9 of 27").stop
    True
    """

    kind: VerdictKind
    epoch: int
    text: str
    reading: Reading | None = None
    clone: str = ""
    """At this very epoch it was sent another trial's weights: whose, and with which knobs."""

    @property
    def stop(self) -> bool:
        """Whether the trial ends here."""
        return self.kind != "continue"

    @property
    def short(self) -> str:
        """The decision in at most 20 characters, as Tune's tables show them whole."""
        if self.kind == "continue":
            return "cloned" if self.clone else "continue"
        place = self.reading if self.kind in ("hopeless", "judged") else None
        text = f"{self.kind}, {place.place} of {place.rivals}" if place is not None else ""
        return text if 0 < len(text) <= _CELL else f"{self.kind} at {self.epoch}"

    def fields(self) -> dict[str, Any]:
        """What the ledger keeps."""
        known: dict[str, Any] = {"kind": self.kind, "epoch": self.epoch, "text": self.text}
        reading = self.reading
        if reading is not None:
            known |= {
                "place": reading.place,
                "rivals": reading.rivals,
                "kept": reading.kept,
                "reach": reading.reach,
                "beats": reading.beats,
                "length": reading.length,
            }
            if reading.worth is not None:
                worth = reading.worth
                known |= {"chance": worth.chance, "left": worth.left, "fresh": worth.fresh}
        return known


def going_on(reading: Reading, mode: Mode) -> Verdict:
    """It goes on, and how it stands."""
    return Verdict("continue", reading.epoch, f"continue: {numbers(reading, mode)}", reading)


def going_on_redirected(verdict: Verdict) -> Verdict:
    """The rules would stop it, but what a redirect does to it is still to be seen."""
    return replace(
        verdict, kind="continue", text=f"continue, just redirected, although {verdict.text}"
    )


def stopped_by_judge(
    judgement: Judgement, reading: Reading, mode: Mode, epoch: int, age: int, who: str
) -> Verdict:
    """A judge stops it: the numbers, and the judge's own sentence on what it saw ``age`` ago."""
    said = f"{_REMARK}{saying(judgement, age, who)}"
    return Verdict("judged", epoch, f"judged: {numbers(reading, mode)}{said}", reading)


def remarked(verdict: Verdict, judgement: Judgement, age: int, who: str, done: str = "") -> Verdict:
    """It goes on; the judge's sentence, and what was ``done``, stand behind the numbers."""
    said = f'{who}, {_ago(age)}: {done or "continue"}: "{judgement.reason}"'
    return replace(verdict, text=f"{verdict.text.partition(_REMARK)[0]}{_REMARK}{said}")


def awaited(verdict: Verdict, epoch: int, leader: Leader, who: str) -> Verdict:
    """The rules would stop it; the judge is asked whether it goes on from a leader's weights."""
    text = f"continue until {who} says whether it is cloned from trial {leader.trial_id}, although "
    return replace(verdict, kind="continue", epoch=epoch, text=text + verdict.text)


def cloned(verdict: Verdict, epoch: int, done: str, said: str) -> Verdict:
    """The rules would stop it; what was ``done`` instead, and who said why."""
    text = f"continue: {done}, although {verdict.text}{_REMARK}{said}"
    return replace(verdict, kind="continue", epoch=epoch, text=text, clone=done)


def cloning(leader: Leader, metric: str, moves: str) -> str:
    """Whose weights a trial was sent, and with which knobs."""
    done = (
        f"cloned trial {leader.trial_id} ({metric} {shown(leader.value)} at epoch {leader.epoch})"
    )
    return f"{done}, {moves}" if moves else done


def refused(verdict: Verdict, judgement: Judgement, epoch: int, age: int, who: str) -> Verdict:
    """The judge leaves it to the rules, which stop it."""
    text = f"{verdict.text}{_REMARK}{saying(judgement, age, who)}"
    return replace(verdict, epoch=epoch, text=text)


def saying(judgement: Judgement, age: int, who: str) -> str:
    """Who said it, when, and why."""
    return f'{who}, {_ago(age)}: "{judgement.reason}"'


def _ago(age: int) -> str:
    return "now" if age == 0 else f"{age} epoch{'' if age == 1 else 's'} ago"


def numbers(reading: Reading, mode: Mode) -> str:
    """What decides, place and forecast in words."""
    parts = [f"place {reading.place} of {reading.rivals}, the best {math.ceil(reading.kept)} go on"]
    if reading.reach < reading.place:
        parts[0] += f" (with its best, its pace or its noise: place {reading.reach})"
    worth = reading.worth
    if worth is not None:
        parts = [
            f"chance {_percent(worth.chance)} to become the best for {worth.left:.3g} "
            f"{worth.unit}; a fresh trial has {_percent(worth.fresh)} for {worth.full:.3g} "
            f"{worth.unit}, {worth.mean:.3g} in the mean, which counts {worth.price:g} x",
            f"place {reading.place} of {reading.rivals}",
        ]
    if reading.forecast is not None and reading.beats is not None:
        sign = -1.0 if mode == "max" else 1.0
        low, high = sorted(sign * end for end in reading.forecast.interval(0.8))
        median, bar = shown(sign * reading.forecast.median), shown(sign * reading.bar)
        # Beside its chance to become the best, that of the forecast alone would be another number.
        beats = (
            f"chance {_percent(reading.beats)} to beat {bar}"
            if worth is None
            else f"to beat: {bar}"
        )
        parts.append(f"forecast {median} (80%: {shown(low)} to {shown(high)}), {beats}")
    return "; ".join(parts)


def shown(value: float) -> str:
    """A number to four significant digits."""
    return f"{value:.4g}"


def _percent(chance: float) -> str:
    if chance < 0.001:
        return "<0.1%"
    return f"{100 * chance:.1f}%" if chance < 0.1 else f"{chance:.0%}"
