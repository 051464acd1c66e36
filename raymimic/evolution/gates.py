"""What a child must pass before it becomes a trial; it costs nothing and starts no process."""

from __future__ import annotations

import ast
from collections.abc import Collection
from dataclasses import dataclass

from raymimic.evolution.program import Program, top_names

ALLOWED_IMPORTS = frozenset(
    {"torch", "math", "functools", "itertools", "collections", "typing", "__future__", "numpy"}
)
"""Packages that a child may import beside those that the seed does."""

_LONGEST = 24_000  # characters of a block; a hundred lines are about 4,000


@dataclass(frozen=True)
class Rejection:
    """Why a child was refused: ``gate`` for counting, ``reason`` for the model."""

    gate: str
    reason: str


def check(child: Program, seed: Program, known: Collection[str]) -> Rejection | None:
    """None for a child that may be tried; ``known`` are the identities of those that were."""
    for gate in (_parses, _same_names, _imports, _size):
        reason = gate(child, seed)
        if reason is not None:
            return Rejection(gate.__name__.strip("_").replace("_", " "), reason)
    if child.identity in known:
        return Rejection("duplicate", "this program was already tried; it must differ in meaning")
    return None


def _parses(child: Program, seed: Program) -> str | None:
    del seed
    try:
        # Each block alone first: an open bracket may swallow the next one.
        for name, text in child.blocks.items():
            ast.parse(text, filename=f"block {name}")
        child.identity  # noqa: B018 - deep nesting shows only here
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        return f"the code does not parse: {error}" + (f" (line {line})" if line else "")
    return None


def _same_names(child: Program, seed: Program) -> str | None:
    for name, text in child.blocks.items():
        wanted, found = top_names(seed.blocks[name]), top_names(text)
        for defined, signature in wanted.items():
            if defined not in found:
                return f"the block must define {defined!r}"
            if found[defined] != signature:
                return (
                    f"{defined!r} must keep the required parameters of its __init__ and forward "
                    f"[{signature}], got [{found[defined]}]"
                )
        elsewhere = {
            other: block
            for block, code in seed.blocks.items()
            if block != name
            for other in top_names(code)
        }
        for defined in found:
            if defined in elsewhere and defined not in wanted:
                return f"{defined!r} belongs to the block {elsewhere[defined]!r}: use another name"
    return None


def _imports(child: Program, seed: Program) -> str | None:
    allowed = ALLOWED_IMPORTS | _imported(seed.source)
    refused = sorted(_imported(child.source) - allowed)
    if refused:
        return f"must import only {', '.join(sorted(allowed))}, got {', '.join(refused)}"
    return None


def _imported(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or ".").partition(".")[0])
    return found


def _size(child: Program, seed: Program) -> str | None:
    for name, text in child.blocks.items():
        most = max(_LONGEST, 2 * len(seed.blocks[name]))
        if len(text) > most:
            return f"the block must have at most {most} characters, got {len(text)}"
    return None
