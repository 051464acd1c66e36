"""What a model's replies earned: ``python -m experiments.guided_evolution.earned RECORDING ...``.

Yield (children of 100 replies), tokens, money for each point of the front at stated prices, and the
way of edits from the seed to the best program, in words and as diffs.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
from pathlib import Path

from experiments.guided_evolution.cassette import Row, recorded, seed_of
from experiments.guided_evolution.loop import OBJECTIVES
from experiments.guided_evolution.report import SMALL
from raymimic.evolution.individuals import Individual
from raymimic.evolution.state import State
from raymimic.evolution.table import lineage, markdown, operator_table
from raymimic.llm.prices import PRICES_DATE, cost

# From the cheapest to the dearest of the package's table: what the same tokens cost there.
_MODELS = ("gpt-6-luna", "claude-haiku-4-5", "claude-sonnet-5-5", "claude-opus-5-5")


def state_of(recording: Path) -> State:
    """The evolution that a recording holds."""
    rows = recorded(recording)
    state = State(seed_of(rows), OBJECTIVES)
    for row in rows:
        state.apply(row)
    return state


def told(recording: Path) -> str:
    """Yield, cost and the best program's way."""
    state, calls = state_of(recording), _calls(recording)
    replies = [row for row in calls if row["status"] == "ok"]
    model = [one for name, one in state.tally.items() if name != "rule"]
    children = sum(one.children for one in model)
    repaired = sum(one.repaired for one in model)
    refused = {gate for one in model for gate in one.rejected}
    counts = ", ".join(
        f"{gate} {sum(one.rejected[gate] for one in model)}" for gate in sorted(refused)
    )
    tokens = [sum(row[f"tokens_{way}"] for row in replies) for way in ("in", "out")]
    front = state.front()
    lines = [
        f"# {recording.name}",
        f"{len(calls)} calls, {len(replies)} replies, {children} valid children "
        f"({100 * children / max(1, len(replies)):.0f} of 100 replies; {repaired} after a repair); "
        f"refused: {counts or 'none'}; {sum(state.keyless.values())} plans went to the rules.",
        f"{tokens[0]:,} tokens in, {tokens[1]:,} out; {len(front)} points on the front.",
        markdown(
            [f"prices of {PRICES_DATE}", "all", "for a point of the front"],
            [_money(name, replies, len(front)) for name in _MODELS],
        ),
        operator_table(state),
        _way(state, _best(state, front)),
    ]
    return "\n\n".join(lines) + "\n"


def _calls(recording: Path) -> list[Row]:
    return [row for row in recorded(recording) if row["event"] == "call"]


def _money(model: str, replies: list[Row], points: int) -> list[str]:
    spent = sum(cost(model, row["tokens_in"], row["tokens_out"]) or 0.0 for row in replies)
    return [model, f"${spent:.4f}", f"${spent / max(1, points):.4f}"]


def _best(state: State, front: list[Individual]) -> Individual:
    """The most accurate program that is small enough for the study's bar."""
    most = SMALL["mnist1d" if len(state.seed.blocks) < 5 else "cifar10"]
    return next(one for one in front if one.values["parameters"] <= most)


def _way(state: State, best: Individual) -> str:
    parts = [f"## From the seed to program {best.id}"]
    line = [state.individuals[number] for number in reversed(lineage(state, best))]
    for before, after in itertools.pairwise(line):
        parts.append(
            f"### {before.id} ({_values(before)}) -> {after.id} ({_values(after)}), "
            f"{after.operator} of {', '.join(after.blocks)}\n\n{after.rationale}"
        )
        diff = difflib.unified_diff(
            before.source.splitlines(), after.source.splitlines(), lineterm="", n=1
        )
        parts.append("```diff\n" + "\n".join(list(diff)[2:]) + "\n```")
    return "\n\n".join(parts)


def _values(one: Individual) -> str:
    if not one.values:
        return one.status
    return f"{one.values['accuracy']:.3f}, {one.values['parameters']:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", nargs="+", type=Path)
    for recording in parser.parse_args().recordings:
        print(told(recording))


if __name__ == "__main__":
    main()
