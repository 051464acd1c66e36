"""The events that an evolution writes into its ledger; the state is their fold.

evolution   a run begins: program, objectives, settings
plan        how the next child is to be made (`individuals.Plan`)
call        one paid call to a model, as everywhere, with "plan", "step" and "repair"
keyless     a plan that a model should have served goes to the keyless mutator: why
reject      a plan's child failed a gate: gate, reason; no trial came of it
child       a plan's child passed all gates: an individual, waiting for its trial
individual_start   a trial began with it
individual_end     its trial ended: status, values, curve, error
individual_lost    its trial died with the driver: it waits again
generation  paper mode: which individuals are this generation's elites and parents
test        test accuracy of the front, read once
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from raymimic import events as all_events
from raymimic.evolution.individuals import Individual, Plan, Step
from raymimic.records import Call, Objective

Row = dict[str, Any]
"""One event: "event" and its fields, plain JSON data."""


def evolution(seed_source: str, objectives: Sequence[Objective], **settings: Any) -> Row:
    """A run begins."""
    shown = [asdict(one) for one in objectives]
    return {"event": "evolution", "source": seed_source, "objectives": shown, **settings}


def plan(made: Plan) -> Row:
    """A child is to be made."""
    return {
        "event": "plan",
        "plan": made.id,
        "parents": list(made.parents),
        "steps": [asdict(step) for step in made.steps],
        "generation": made.generation,
    }


def plan_of(row: Mapping[str, Any]) -> Plan:
    """Read back `plan`."""
    steps = tuple(Step(**step) for step in row["steps"])
    return Plan(row["plan"], tuple(row["parents"]), steps, row["generation"])


def call(made: Call, plan_id: int, step: int, *, repair: bool) -> Row:
    """A model was asked."""
    row: Row = {}

    def write(event: str, /, **fields: Any) -> None:
        row.update(fields, event=event, plan=plan_id, step=step, repair=repair)

    all_events.call(write, made)
    return row


def keyless(plan_id: int, reason: str) -> Row:
    """The keyless mutator serves a plan instead of the model."""
    return {"event": "keyless", "plan": plan_id, "reason": reason}


def reject(
    plan_id: int, operator: str, gate: str, reason: str, *, block: str, repaired: bool
) -> Row:
    """A child failed a gate."""
    return {
        "event": "reject",
        "plan": plan_id,
        "operator": operator,
        "gate": gate,
        "reason": reason,
        "block": block,
        "repaired": repaired,
    }


def child(made: Individual, plan_id: int) -> Row:
    """A child passed all gates; its number is given when it is taken in."""
    return {
        "event": "child",
        "plan": plan_id,
        "source": made.source,
        "identity": made.program.identity,
        "operator": made.operator,
        "parents": list(made.parents),
        "blocks": list(made.blocks),
        "rationale": made.rationale,
        "repaired": made.repaired,
        "generation": made.generation,
    }


def individual_start(number: int, trial_id: str) -> Row:
    """A trial began with an individual."""
    return {"event": "individual_start", "individual": number, "trial_id": trial_id}


def individual_end(number: int, status: str, **outcome: Any) -> Row:
    """An individual's trial ended."""
    return {"event": "individual_end", "individual": number, "status": status, **outcome}


def individual_lost(number: int) -> Row:
    """An individual's trial is gone; it waits for another."""
    return {"event": "individual_lost", "individual": number}


def generation(number: int, elites: Sequence[int], parents: Sequence[int]) -> Row:
    """A generation begins."""
    return {
        "event": "generation",
        "number": number,
        "elites": list(elites),
        "parents": list(parents),
    }


def test(scores: Mapping[int, float]) -> Row:
    """Test accuracies of individuals by their number."""
    return {"event": "test", "accuracy": {str(number): value for number, value in scores.items()}}
