"""The line of an ended trial: what came of it, why it was tried, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raymimic.curves import Diagnosis
from raymimic.scheduling.verdict import Verdict
from raymimic.summary import last_line, show
from raymimic.tune.short import cut, short_reason

_REASON = 24
"""Characters that a reason gets before a trial's end is told in more than a few words."""

_LEAST = 12
"""The same where it stands without who proposed the trial."""

_BREAK = " · "


@dataclass(frozen=True)
class Ended:
    """What is known of an ended trial. ``score`` is None where no finite one is known.

    ``epochs`` counts what it reported of the metric's curve; ``source`` and ``reason`` are empty
    for trials of another searcher. ``others`` are the other objectives' values, where there are
    several: ``best`` then says that it is on the front. ``beyond`` says which limits it broke.
    """

    trial_id: str
    metric: str
    score: float | None
    best: bool
    epochs: int
    diagnosis: Diagnosis | None = None
    source: str = ""
    reason: str = ""
    verdict: Verdict | None = None
    error: str = ""
    others: Mapping[str, float] = field(default_factory=dict)
    beyond: str = ""

    def line(self, width: int, meter: str = "") -> str:
        """Give the line in at most ``width`` characters; ``meter`` stands in front of it."""
        head = f"{meter}  {self.trial_id}  " if meter else f"{self.trial_id}  "
        if self.error:
            return cut(f"{head}failed: {last_line(self.error)}", width)
        head += self._outcome()
        ends = self._ends()
        for ended, who in [*((ended, self.source) for ended in ends), (ends[-1], ""), ("", "")]:
            tail = f"{_BREAK}{ended}" if ended else ""
            told = self._told(width - len(head) - len(tail) - 2, who)
            if told is not None:
                return head + (f"  {told}" if told else "") + tail
        return cut(head, width)

    def _outcome(self) -> str:
        if not self.epochs:
            return "stopped before its first epoch"
        if self.score is None:
            return f"no finite {self.metric} after {self.epochs} epochs"
        values = {self.metric: self.score, **self.others}
        text = ", ".join(f"{name} {show(value)}" for name, value in values.items())
        text += f" beyond {self.beyond}" if self.beyond else ""
        return text + (" *front*" if self.others else " *best*") * self.best

    def _ends(self) -> list[str]:
        """Why it ended or what its curve shows, from the longest to the shortest."""
        if self.verdict is not None and self.verdict.stop and self.verdict.kind != "whole":
            short = self.verdict.short
            return [f"stopped, {self.verdict.text}", f"stopped, {short}", short]
        if self.diagnosis is None or not self.epochs:
            return [""]
        first = self.diagnosis.primary
        if first is None:
            return [self.diagnosis.text, ""]
        return [self.diagnosis.text, first.text, first.kind.replace("_", " ")]

    def _told(self, room: int, who: str) -> str | None:
        """Say why it was tried in ``room`` characters; None where that is too little to say."""
        if not self.reason:
            return "" if room >= -2 else None
        by = f"{who}: " if who else ""
        if len(by) + len(self.reason) <= room:
            return by + self.reason
        room -= len(by)
        return (
            by + short_reason(self.reason, room) if room >= (_REASON if who else _LEAST) else None
        )
