"""What an evolution found and which operator earned what, in plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raymimic.evolution.edits import PRACTICE, RANDOM
from raymimic.evolution.individuals import Individual
from raymimic.evolution.objectives import losses
from raymimic.evolution.operators import RULE
from raymimic.evolution.operators.text import measured, number
from raymimic.evolution.state import State
from raymimic.pareto.dominance import dominance
from raymimic.records import Objective

Row = Sequence[object]


def markdown(head: Row, rows: Iterable[Row]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def front_table(state: State) -> str:
    """The front: number, objectives, test accuracy where it was read, operator and lineage."""
    objectives = state.objectives
    head = ["program", *(one.name for one in objectives)]
    head += ["test accuracy"] if state.test else []
    rows = []
    for one in state.front():
        row: list[object] = [one.id, *(number(one.values[goal.name]) for goal in objectives)]
        if state.test:
            row.append(number(state.test[one.id]) if one.id in state.test else "not read")
        rows.append([*row, one.operator, " < ".join(map(str, lineage(state, one)[1:]))])
    return markdown([*head, "made by", "from"], rows)


def operator_table(state: State) -> str:
    """For each operator: plans, replies, children, what was refused, what its children earned."""
    rows = []
    for name, tally in sorted(state.tally.items()):
        made = [one for one in state.individuals.values() if one.operator == name]
        refused = ", ".join(f"{gate} {count}" for gate, count in tally.rejected.most_common())
        counts = [name, tally.plans, tally.replies, tally.children, tally.repaired, refused or "-"]
        rows.append([*counts, *_earned(state, made)])
    head = ["operator", "plans", "replies", "children", "repaired", "refused", *_earnings(state)]
    return markdown(head, rows)


def edit_table(state: State) -> str:
    """For each kind of keyless edit: children that have one (beside others), what they earned."""
    made: dict[str, list[Individual]] = {}
    for one in state.individuals.values():
        if one.operator == RULE:
            kinds = {said.partition(":")[0] for said in one.rationale.split("; ")}
            for kind in kinds & (RANDOM.keys() | PRACTICE.keys()):
                made.setdefault(kind, []).append(one)
    rows = [[kind, len(found), *_earned(state, found)] for kind, found in sorted(made.items())]
    return markdown(["keyless edit", "children", *_earnings(state)], rows)


def _earnings(state: State) -> list[str]:
    first = state.objectives[0].name
    return ["not dominated by its parent", f"mean change of {first}", "on the front"]


def _earned(state: State, made: Sequence[Individual]) -> list[object]:
    """Of children: those their parent does not dominate, the first objective's mean change, and
    those on the front.
    """
    scored, front = {one.id for one in state.scored()}, {one.id for one in state.front()}
    better, changes = 0, []
    goal: Objective = state.objectives[0]
    for one in made:
        if one.id not in scored or not one.parents or one.parents[0] not in scored:
            continue
        parent = state.individuals[one.parents[0]]
        better += not dominance(losses([parent, one], state.objectives))[0, 1]
        changes.append(one.values[goal.name] - parent.values[goal.name])
    change = f"{sum(changes) / len(changes):+.4f}" if changes else "-"
    return [better, change, sum(one.id in front for one in made)]


def lineage(state: State, individual: Individual) -> list[int]:
    """The numbers from an individual back to the seed, along first parents."""
    line = [individual.id]
    while individual.parents:
        individual = state.individuals[individual.parents[0]]
        line.append(individual.id)
    return line


def summary(state: State) -> str:
    """The evolution in a few lines."""
    count = {status: len(state.of_status(status)) for status in ("done", "stopped", "failed")}
    refused = sum(sum(tally.rejected.values()) for tally in state.tally.values())
    seed = state.individuals[0]
    lines = [
        f"{count['done']} programs evaluated, {count['stopped']} stopped early, {count['failed']} "
        f"failed; {refused} children refused before a trial. {_asked(state)}",
        f"The seed: {measured(seed, state.objectives)}. The front, which no program dominates:",
        "",
        front_table(state),
    ]
    return "\n".join(lines)


def _asked(state: State) -> str:
    """What was asked of a model, and what it took."""
    spent, keyless = state.spent, sum(state.keyless.values())
    if not spent.calls and not keyless:
        return "No model was asked."
    money = "of unknown price" if spent.usd is None else f"${spent.usd:.4f}"
    return (
        f"{spent.calls} calls to a model, {spent.tokens:,} tokens, {money}; {keyless} times the "
        "keyless mutator stood in."
    )
