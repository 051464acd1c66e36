"""Keyless edits of a program's syntax tree: the mutator that needs no model.

A new edit is a function with the contract of `base.Edit` and one line in a table here. Each edit of
`PRACTICE` has its source in its docstring and finds nothing to change where it was made already,
or where the seed has it; those of `RANDOM` go on for ever.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Mapping
from dataclasses import dataclass

from raymimic.evolution.edits.base import Edit
from raymimic.evolution.edits.depth import deepen, normalise, pool_head, separate, stride
from raymimic.evolution.edits.layers import activation, dropout, normalisation
from raymimic.evolution.edits.numbers import kernel_size, rate, width
from raymimic.evolution.edits.structure import order, remove, residual
from raymimic.evolution.edits.training import decay, schedule
from raymimic.evolution.program import Program

RANDOM: Mapping[str, Edit] = {
    "width": width,
    "kernel size": kernel_size,
    "rate": rate,
    "activation": activation,
    "normalisation": normalisation,
    "dropout": dropout,
    "residual": residual,
    "order": order,
}

PRACTICE: Mapping[str, Edit] = {
    "schedule": schedule,
    "weight decay": decay,
    "normalise": normalise,
    "deepen": deepen,
    "separate": separate,
    "stride": stride,
    "pool": pool_head,
    "remove": remove,
}

_PRACTICE_SHARE = 0.5
_MOST_EDITS = 3


@dataclass(frozen=True)
class Mutant:
    """A child of the keyless mutator: what was changed where, and in which words."""

    program: Program
    blocks: tuple[str, ...]
    said: str


class RuleMutator:
    """Makes a child by one to three edits, published practice and random ones in equal shares."""

    def mutate(self, program: Program, rng: random.Random) -> Mutant | None:
        """A child; None if nothing can be edited."""
        child: Mutant | None = None
        for _ in range(rng.randint(1, _MOST_EDITS)):
            tables = [PRACTICE, RANDOM] if rng.random() < _PRACTICE_SHARE else [RANDOM, PRACTICE]
            before = program if child is None else child.program
            made = edit_once(before, tables[0], rng) or edit_once(before, tables[1], rng)
            if made is None:
                break
            child = made if child is None else _both(child, made)
        return None if child is None or child.program.identity == program.identity else child


def edit_once(program: Program, edits: Mapping[str, Edit], rng: random.Random) -> Mutant | None:
    """One edit of one block, both drawn at random; None if no edit finds anything to change."""
    tries = [(name, kind) for name in program.blocks for kind in edits]
    rng.shuffle(tries)
    for name, kind in tries:
        tree = ast.parse(program.blocks[name])
        said = edits[kind](tree, rng)
        if said is None:
            continue
        child = program.with_block(name, ast.unparse(ast.fix_missing_locations(tree)))
        if child.identity != program.identity:
            return Mutant(child, (name,), f"{kind}: {said}")
    return None


def _both(first: Mutant, second: Mutant) -> Mutant:
    blocks = tuple(dict.fromkeys((*first.blocks, *second.blocks)))
    return Mutant(second.program, blocks, f"{first.said}; {second.said}")


__all__ = ["PRACTICE", "RANDOM", "Edit", "Mutant", "RuleMutator", "edit_once"]
