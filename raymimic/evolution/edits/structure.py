"""Edits of structure: residuals, the order of steps, a step less."""

from __future__ import annotations

import ast
import random
from typing import Any

from raymimic.evolution.edits.base import calls


def residual(tree: ast.Module, rng: random.Random) -> str | None:
    """Make ``x = f(x)`` in a forward ``x = x + f(x)``, or take such a sum back."""
    found = [
        statement
        for statement in _forward_steps(tree)
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id
        in {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
    ]
    if not found:
        return None
    statement = rng.choice(found)
    target = statement.targets[0]
    assert isinstance(target, ast.Name)
    value = statement.value
    if (
        isinstance(value, ast.BinOp)
        and isinstance(value.op, ast.Add)
        and isinstance(value.left, ast.Name)
        and value.left.id == target.id
    ):
        statement.value = value.right
        return f"no residual around {ast.unparse(value.right)}"
    statement.value = ast.BinOp(ast.Name(target.id, ast.Load()), ast.Add(), value)
    return f"residual around {ast.unparse(value)}"


def order(tree: ast.Module, rng: random.Random) -> str | None:
    """Swap two neighbouring layers of a Sequential or two neighbouring steps of a forward."""
    rows: list[list[Any]] = [call.args for call in calls(tree, "Sequential") if len(call.args) > 1]
    for function in _forwards(tree):
        if sum(isinstance(step, ast.Assign) for step in function.body) > 1:
            rows.append(function.body)
    if not rows:
        return None
    row = rng.choice(rows)
    able = [
        place
        for place in range(len(row) - 1)
        if not any(isinstance(one, (ast.Return, ast.Expr)) for one in row[place : place + 2])
    ]
    if not able:
        return None
    place = rng.choice(able)
    row[place : place + 2] = reversed(row[place : place + 2])
    return f"{ast.unparse(row[place])} now before {ast.unparse(row[place + 1])}"


def remove(tree: ast.Module, rng: random.Random) -> str | None:
    """Take a layer out of a Sequential: depth can often be cut (Huang et al. 2016)."""
    rows = [call.args for call in calls(tree, "Sequential") if len(call.args) > 2]
    if not rows:
        return None
    row = rng.choice(rows)
    return f"without {ast.unparse(row.pop(rng.randrange(len(row))))}"


def _forwards(tree: ast.AST) -> list[ast.FunctionDef]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "forward"
    ]


def _forward_steps(tree: ast.AST) -> list[ast.stmt]:
    return [step for function in _forwards(tree) for step in function.body]
