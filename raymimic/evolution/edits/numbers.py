"""Edits of numbers: widths, kernel sizes, rates."""

from __future__ import annotations

import ast
import random

from raymimic.evolution.edits.base import calls, last_name

_FACTORS = (0.5, 0.75, 1.25, 1.5, 2.0)
_NARROWEST, _WIDEST = 4, 4096
_LARGEST_KERNEL = 11
_RATE_FACTORS = (0.1, 0.3, 0.5, 2.0, 3.0)
_CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")

# Where a convolution takes them among its positional arguments.
_KERNEL_SIZE, _PADDING = ("kernel_size", 2), ("padding", 4)


def width(tree: ast.Module, rng: random.Random) -> str | None:
    """Scale a whole number, wherever it stands in the block: a width is said at both ends."""
    convolutions = calls(tree, *_CONVOLUTIONS)
    others = {id(node) for call in convolutions for node in call.args[2:]}
    others |= {id(word.value) for call in convolutions for word in call.keywords}
    found: list[tuple[ast.Constant, int]] = []
    for node in ast.walk(tree):
        value = _whole(node)
        if value is not None and _NARROWEST <= value <= _WIDEST and id(node) not in others:
            assert isinstance(node, ast.Constant)
            found.append((node, value))
    if not found:
        return None
    old = rng.choice(sorted({value for _, value in found}))
    new = min(_WIDEST, max(_NARROWEST, round(old * rng.choice(_FACTORS))))
    for node, value in found:
        if value == old:
            node.value = new
    return f"width {old} -> {new}"


def kernel_size(tree: ast.Module, rng: random.Random) -> str | None:
    """Make a convolution's kernel two larger or smaller, and its padding one."""
    able = [call for call in calls(tree, *_CONVOLUTIONS) if _whole(_argument(call, *_KERNEL_SIZE))]
    if not able:
        return None
    call = rng.choice(able)
    size, padding = _argument(call, *_KERNEL_SIZE), _argument(call, *_PADDING)
    old = _whole(size)
    assert isinstance(size, ast.Constant)
    assert old is not None
    new = max(1, min(_LARGEST_KERNEL, old + rng.choice((-2, 2))))
    size.value = new
    padded = _whole(padding)
    if isinstance(padding, ast.Constant) and padded is not None:
        padding.value = max(0, padded + (new - old) // 2)
    elif padding is None and new > old:
        call.keywords.append(ast.keyword("padding", ast.Constant((new - old) // 2)))
    return f"kernel of {last_name(call)} {old} -> {new}"


def rate(tree: ast.Module, rng: random.Random) -> str | None:
    """Scale a fraction: a learning rate, a weight decay, a momentum's distance from one."""
    found = [
        (node, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and 0 < node.value < 1
    ]
    if not found:
        return None
    node, old = rng.choice(found)
    factor = rng.choice(_RATE_FACTORS)
    scaled = 1 - min(1.0, (1 - old) * factor) if old > 0.5 else min(0.5, old * factor)
    node.value = float(f"{scaled:.3g}")
    return f"{old:g} -> {node.value:g}"


def _argument(call: ast.Call, name: str, place: int) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[place] if len(call.args) > place else None


def _whole(node: ast.AST | None) -> int | None:
    """A constant's whole number; None for anything else, True and False among it."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None
