"""Everything an evolution knows: the fold of its events. Plain data, so it pickles.

Live and resumed runs go through the same `apply`: whatever is in the ledger is known again.
"""

from __future__ import annotations

import copy
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raymimic.evolution.events import Row, plan_of
from raymimic.evolution.gates import Rejection
from raymimic.evolution.individuals import Individual, Plan
from raymimic.evolution.objectives import losses, scored
from raymimic.evolution.program import Program
from raymimic.ledger import to_float
from raymimic.pareto import front
from raymimic.records import Objective

_REMEMBERED = 8  # rejections that a model is told of


@dataclass
class Spent:
    """What the calls so far took. ``usd`` is None once a call's price was unknown."""

    calls: int = 0
    tokens: int = 0
    usd: float | None = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one event "call"."""
        self.calls += 1
        self.tokens += row["tokens_in"] + row["tokens_out"]
        cost = to_float(row["cost"])
        self.usd = None if cost is None or self.usd is None else self.usd + cost


@dataclass
class OperatorTally:
    """What one operator got: asked, replies to it, children, rejections by gate, repairs."""

    plans: int = 0
    replies: int = 0
    children: int = 0
    repaired: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


class State:
    """The population and its history; changed only by `apply`."""

    def __init__(self, seed: Program, objectives: Sequence[Objective]) -> None:
        self.seed = seed
        self.objectives = tuple(objectives)
        self.individuals: dict[int, Individual] = {0: Individual(0, seed.source)}
        self.identities = {seed.identity: 0}
        self.by_trial: dict[str, int] = {}
        self.plans: dict[int, Plan] = {}  # not served yet
        self.replies: dict[int, list[Row]] = {}  # paid calls of those plans
        self.next_plan = 0
        self.generation = 0
        self.elites: tuple[int, ...] = ()
        self.parents: tuple[int, ...] = ()
        self.rejections: deque[tuple[str, Rejection]] = deque(maxlen=_REMEMBERED)
        self.rejected_in_a_row = 0
        self.tally: dict[str, OperatorTally] = {}
        self.keyless: Counter[str] = Counter()
        self.spent = Spent()
        self.test: dict[int, float] = {}

    def copy(self) -> State:
        """A copy that another thread may read, and plan in, while this one changes."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (dict, deque)):
                setattr(other, name, value.copy())
        other.tally = copy.deepcopy(self.tally)
        return other

    # -- what others ask -----------------------------------------------------------------------

    def of_status(self, *statuses: str) -> list[Individual]:
        """Individuals by status, oldest first."""
        return [one for one in self.individuals.values() if one.status in statuses]

    def scored(self) -> list[Individual]:
        """Individuals with a finite value of every objective, oldest first."""
        return scored(self.individuals.values(), self.objectives)

    def front(self) -> list[Individual]:
        """The individuals that no other dominates, the best of the first objective first."""
        known = self.scored()
        if not known:
            return []
        values = losses(known, self.objectives)
        rows = sorted(front(values), key=lambda row: tuple(values[row]))
        return [known[row] for row in rows]

    # -- what happened -------------------------------------------------------------------------

    def apply(self, row: Row) -> None:
        """Take in one event; events of others are passed over."""
        handler = _HANDLERS.get(row["event"])
        if handler is not None:
            handler(self, row)

    def _tally(self, operator: str) -> OperatorTally:
        return self.tally.setdefault(operator, OperatorTally())

    def _plan(self, row: Row) -> None:
        plan = plan_of(row)
        self.plans[plan.id] = plan
        self.next_plan = max(self.next_plan, plan.id + 1)
        self._tally(plan.operator).plans += 1

    def _call(self, row: Row) -> None:
        if "plan" not in row:
            return
        self.spent.add(row)
        if row["plan"] in self.plans and row["status"] == "ok":
            self._tally(self.plans[row["plan"]].operator).replies += 1
            self.replies.setdefault(row["plan"], []).append(row)

    def _keyless(self, row: Row) -> None:
        self.keyless[row["reason"].partition(":")[0]] += 1

    def _reject(self, row: Row) -> None:
        self._served(row["plan"])
        self._tally(row["operator"]).rejected[row["gate"]] += 1
        self.rejections.append((row["block"], Rejection(row["gate"], row["reason"])))
        self.rejected_in_a_row += 1

    def _child(self, row: Row) -> None:
        self._served(row["plan"])
        self.rejected_in_a_row = 0
        tally = self._tally(row["operator"])
        tally.children += 1
        tally.repaired += row["repaired"]
        number = len(self.individuals)
        self.individuals[number] = Individual(
            number,
            row["source"],
            row["operator"],
            tuple(row["parents"]),
            tuple(row["blocks"]),
            row["rationale"],
            row["repaired"],
            row["generation"],
        )
        self.identities[row["identity"]] = number

    def _served(self, plan_id: int) -> None:
        self.plans.pop(plan_id, None)
        self.replies.pop(plan_id, None)

    def _individual_start(self, row: Row) -> None:
        number = row["individual"]
        self.by_trial[row["trial_id"]] = number
        self._change(number, status="running", trial_id=row["trial_id"])

    def _individual_end(self, row: Row) -> None:
        self._change(
            row["individual"],
            status=row["status"],
            values={name: float(value) for name, value in row["values"].items()},
            curve=tuple(float(value) for value in row["curve"]),
            error=row["error"],
            seconds=row["seconds"],
            test_predictions=row["test_predictions"],
        )

    def _individual_lost(self, row: Row) -> None:
        lost = self.individuals[row["individual"]]
        self.by_trial.pop(lost.trial_id or "", None)
        self._change(lost.id, status="waiting", trial_id=None)

    def _generation(self, row: Row) -> None:
        self.generation = row["number"]
        self.elites, self.parents = tuple(row["elites"]), tuple(row["parents"])

    def _test(self, row: Row) -> None:
        self.test |= {int(number): value for number, value in row["accuracy"].items()}

    def _change(self, number: int, **changes: Any) -> None:
        self.individuals[number] = replace(self.individuals[number], **changes)


_HANDLERS: dict[str, Callable[[State, Row], None]] = {
    "plan": State._plan,
    "call": State._call,
    "keyless": State._keyless,
    "reject": State._reject,
    "child": State._child,
    "individual_start": State._individual_start,
    "individual_end": State._individual_end,
    "individual_lost": State._individual_lost,
    "generation": State._generation,
    "test": State._test,
}
