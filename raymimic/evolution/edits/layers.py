"""Edits of layers: activations, normalisations, dropout."""

from __future__ import annotations

import ast
import random

from raymimic.evolution.edits.base import calls, expression, last_name, layer_calls, replace

_MODULES = ("ReLU", "SiLU", "GELU", "Hardswish", "LeakyReLU", "ELU", "Mish")
_FUNCTIONS = ("relu", "silu", "gelu", "hardswish", "leaky_relu", "elu", "mish")
NORMS = ("BatchNorm1d", "BatchNorm2d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d")
_RATES = (0.1, 0.2, 0.3, 0.5)


def activation(tree: ast.Module, rng: random.Random) -> str | None:
    """Put another activation in one place."""
    found = calls(tree, *_MODULES, *_FUNCTIONS)
    if not found:
        return None
    call = rng.choice(found)
    old = last_name(call)
    family = _MODULES if old in _MODULES else _FUNCTIONS
    new = rng.choice([name for name in family if name != old])
    if isinstance(call.func, ast.Attribute):
        call.func.attr = new
    elif isinstance(call.func, ast.Name):
        call.func.id = new
    call.keywords = [word for word in call.keywords if word.arg == "inplace" and new in _MODULES]
    return f"activation {old} -> {new}"


def normalisation(tree: ast.Module, rng: random.Random) -> str | None:
    """Add batch normalisation after a convolution, or take one out, or change its kind."""
    bare = [
        (statement, call)
        for statement, call in layer_calls(tree)
        if last_name(call) in ("Conv1d", "Conv2d") and len(call.args) > 1
    ]
    there = calls(tree, *NORMS)
    if there and (not bare or rng.random() < 0.4):
        return _change_norm(tree, rng.choice(there), rng)
    if not bare:
        return None
    statement, call = rng.choice(bare)
    kind = f"BatchNorm{last_name(call)[-2:]}"
    width = ast.unparse(call.args[1])
    statement.value = expression(f"nn.Sequential({ast.unparse(call)}, nn.{kind}({width}))")
    return f"{kind} after {ast.unparse(statement.targets[0])}"


def _change_norm(tree: ast.Module, call: ast.Call, rng: random.Random) -> str:
    old = last_name(call)
    if rng.random() < 0.3 or not call.args:
        replace(tree, call, expression("nn.Identity()"))
        return f"{old} taken out"
    width = ast.unparse(call.args[-1])
    new = f"nn.GroupNorm(1, {width})" if old != "GroupNorm" else f"nn.BatchNorm1d({width})"
    replace(tree, call, expression(new))
    return f"{old} -> {new}"


def dropout(tree: ast.Module, rng: random.Random) -> str | None:
    """Change a dropout's rate, or put dropout before a linear layer or after a convolution."""
    there = calls(tree, "Dropout", "Dropout1d", "Dropout2d")
    if there and rng.random() < 0.7:
        call = rng.choice(there)
        rate = rng.choice(_RATES)
        old = ast.unparse(call)
        call.args, call.keywords = [ast.Constant(rate)], []
        return f"{old} -> {ast.unparse(call)}"
    found = [
        (statement, call)
        for statement, call in layer_calls(tree)
        if last_name(call) in ("Linear", "Conv1d", "Conv2d")
    ]
    if not found:
        return None
    statement, call = rng.choice(found)
    layer, drop = ast.unparse(call), f"nn.Dropout({rng.choice(_RATES)})"
    order = f"{drop}, {layer}" if last_name(call) == "Linear" else f"{layer}, {drop}"
    statement.value = expression(f"nn.Sequential({order})")
    return f"{drop} at {ast.unparse(statement.targets[0])}"
