"""Everything an invention knows: the fold of its ledger's events, live and resumed alike.

invention      a run begins: settings, names of the models
call           one paid call to a model, as everywhere, with "sample"
reject         a sample that became no program: gate, reason
program        a sample (or reference) that passed the gates, waiting for its trial
program_start  a trial began with it
program_end    its trial ended: status, score and its standard error, error
program_lost   its trial died with the driver: it waits again
learnt         the generator was trained after an iteration: where it lies, how it went
test           scores on the test data, read once
"""

from __future__ import annotations

import copy
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raymimic.evolution.events import Row
from raymimic.evolution.state import Spent
from raymimic.invention.records import Invented
from raymimic.ledger import to_float

_REMEMBERED = 6  # failures that a model is told of


@dataclass
class State:
    """The programs and their history; changed only by `apply`. Plain data, so it pickles."""

    better: int = 1  # -1 where a smaller score is better
    programs: dict[int, Invented] = field(default_factory=dict)
    identities: set[str] = field(default_factory=set)
    by_trial: dict[str, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)  # sample -> its iteration
    replies: dict[int, str] = field(default_factory=dict)  # paid, and not turned into an end yet
    rejected: Counter[str] = field(default_factory=Counter)
    failures: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    learnt: dict[int, Row] = field(default_factory=dict)  # after this iteration
    test: dict[int, float] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)

    def copy(self) -> State:
        """A copy that another thread may read while this one changes."""
        return copy.deepcopy(self)

    def of_status(self, *statuses: str) -> list[Invented]:
        """Programs by status, oldest first."""
        return [one for one in self.programs.values() if one.status in statuses]

    def best(self, count: int | None = None, *, before: int | None = None) -> list[Invented]:
        """The best programs by score, references among them; of iterations before ``before``."""
        done = [one for one in self.of_status("done") if before is None or one.iteration < before]
        return sorted(done, key=lambda one: (-one.rank, one.number))[:count]

    def made(self, iteration: int) -> int:
        """Samples of an iteration that became a program or were refused."""
        return sum(1 for found in self.ended.values() if found == iteration)

    def apply(self, row: Row) -> None:
        """Take in one event; events of others are passed over."""
        handler = _HANDLERS.get(row["event"])
        if handler is not None:
            handler(self, row)

    def _call(self, row: Row) -> None:
        if "sample" not in row:
            return
        self.spent.add(row)
        if row["status"] == "ok" and row["sample"] not in self.ended:
            self.replies[row["sample"]] = row["reply"]

    def _reject(self, row: Row) -> None:
        if "sample" not in row:
            return
        self._end(row["sample"], row["iteration"])
        self.rejected[row["gate"]] += 1
        self.failures.append(f"{row['gate']}: {row['reason'][-300:]}")

    def _program(self, row: Row) -> None:
        if row["sample"] is not None:
            self._end(row["sample"], row["iteration"])
        number = len(self.programs)
        self.identities.add(row["identity"])
        self.programs[number] = Invented(
            number, row["iteration"], row["source"], row["origin"], row["rationale"],
            better=self.better,
        )  # fmt: skip

    def _end(self, sample: int, iteration: int) -> None:
        self.ended[sample] = iteration
        self.replies.pop(sample, None)

    def _start(self, row: Row) -> None:
        self.by_trial[row["trial_id"]] = row["program"]
        self._change(row["program"], status="running", trial_id=row["trial_id"])

    def _stop(self, row: Row) -> None:
        score = to_float(row["score"])
        self._change(
            row["program"],
            status=row["status"],
            score=float("nan") if score is None else score,
            error_of_score=row["error_of_score"],
            error=row["error"],
            seconds=row["seconds"],
        )
        if row["status"] == "failed":
            self.failures.append(row["error"][-300:])

    def _lost(self, row: Row) -> None:
        self.by_trial.pop(self.programs[row["program"]].trial_id or "", None)
        self._change(row["program"], status="waiting", trial_id=None)

    def _learnt(self, row: Row) -> None:
        self.learnt[row["iteration"]] = dict(row)

    def _test(self, row: Row) -> None:
        self.test |= {int(number): float(score) for number, score in row["scores"].items()}

    def _change(self, number: int, **changes: Any) -> None:
        self.programs[number] = replace(self.programs[number], **changes)


_HANDLERS: Mapping[str, Callable[[State, Row], None]] = {
    "call": State._call,
    "reject": State._reject,
    "program": State._program,
    "program_start": State._start,
    "program_end": State._stop,
    "program_lost": State._lost,
    "learnt": State._learnt,
    "test": State._test,
}
