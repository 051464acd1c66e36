"""Keyless edits of a program's syntax tree: the mutator that needs no model, and the control.

A new edit is a function with the contract of `base.Edit` and one line in `EDITS`.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Mapping

from raymimic.evolution.edits.base import Edit
from raymimic.evolution.edits.layers import activation, dropout, normalisation
from raymimic.evolution.edits.numbers import kernel_size, rate, width
from raymimic.evolution.edits.structure import order, residual
from raymimic.evolution.program import Program

EDITS: Mapping[str, Edit] = {
    "width": width,
    "kernel size": kernel_size,
    "rate": rate,
    "activation": activation,
    "normalisation": normalisation,
    "dropout": dropout,
    "residual": residual,
    "order": order,
}


class RuleMutator:
    """Makes a child by one random edit of one random block; knows nothing of results."""

    def mutate(self, program: Program, rng: random.Random) -> tuple[Program, str, str] | None:
        """The child, the changed block's name and what was done; None if nothing can be edited."""
        tries = [(name, kind) for name in program.blocks for kind in EDITS]
        rng.shuffle(tries)
        for name, kind in tries:
            tree = ast.parse(program.blocks[name])
            said = EDITS[kind](tree, rng)
            if said is None:
                continue
            text = ast.unparse(ast.fix_missing_locations(tree))
            child = program.with_block(name, text)
            if child.identity != program.identity:
                return child, name, f"{kind}: {said}"
        return None


__all__ = ["EDITS", "Edit", "RuleMutator"]
