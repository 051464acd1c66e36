"""The contract of a keyless edit: it changes one place of a block's syntax tree, at random."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator

Edit = Callable[[ast.Module, random.Random], "str | None"]
"""Changes the tree in place and says what it did; None where there is nothing to change."""


def calls(tree: ast.AST, *endings: str) -> list[ast.Call]:
    """Calls of functions whose last name is one of ``endings`` ("Conv1d" finds nn.Conv1d)."""
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and last_name(node) in endings
    ]


def last_name(node: ast.AST) -> str:
    """The last name of what is called or named: "Conv1d" of nn.Conv1d(...)."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def layer_calls(tree: ast.AST) -> Iterator[tuple[ast.Assign, ast.Call]]:
    """Statements ``self.name = call(...)`` with their call."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and isinstance(node.targets[0], ast.Attribute)
        ):
            yield node, node.value


def expression(text: str) -> ast.expr:
    """The syntax tree of an expression."""
    return ast.parse(text, mode="eval").body


def replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    """Put ``new`` where ``old`` is, wherever in the tree that is."""

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is old else self.generic_visit(node)

    Put().visit(tree)
