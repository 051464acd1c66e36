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


def width(tree: ast.Module, rng: random.Random) -> str | None:
    """Scale a whole number, wherever it stands in the block: a width is said at both ends."""
    kernels = {id(node) for call in calls(tree, *_CONVOLUTIONS) for node in call.args[2:]}
    kernels |= {id(word.value) for call in calls(tree, *_CONVOLUTIONS) for word in call.keywords}
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and type(node.value) is int
        and _NARROWEST <= node.value <= _WIDEST
        and id(node) not in kernels
    ]
    if not found:
        return None
    old = rng.choice(sorted({node.value for node in found}))
    new = min(_WIDEST, max(_NARROWEST, round(old * rng.choice(_FACTORS))))
    for node in found:
        if node.value == old:
            node.value = new
    return f"width {old} -> {new}"


def kernel_size(tree: ast.Module, rng: random.Random) -> str | None:
    """Make a convolution's kernel two larger or smaller, and its padding one."""
    able = [call for call in calls(tree, *_CONVOLUTIONS) if _whole(_argument(call, 2)) is not None]
    if not able:
        return None
    call = rng.choice(able)
    size, padding = _argument(call, 2), _argument(call, 4)
    assert size is not None
    old = size.value
    new = max(1, min(_LARGEST_KERNEL, old + rng.choice((-2, 2))))
    size.value = new
    if padding is not None and _whole(padding) is not None:
        padding.value = max(0, padding.value + (new - old) // 2)
    elif new > old:
        call.keywords.append(ast.keyword("padding", ast.Constant((new - old) // 2)))
    return f"kernel of {last_name(call)} {old} -> {new}"


_NAMES = {2: "kernel_size", 4: "padding"}


def _argument(call: ast.Call, place: int) -> ast.Constant | None:
    value: ast.expr | None = call.args[place] if len(call.args) > place else None
    for keyword in call.keywords:
        if keyword.arg == _NAMES[place]:
            value = keyword.value
    return value if isinstance(value, ast.Constant) else None


def _whole(node: ast.Constant | None) -> int | None:
    return node.value if node is not None and type(node.value) is int else None


def rate(tree: ast.Module, rng: random.Random) -> str | None:
    """Scale a fraction: a learning rate, a weight decay, a momentum's distance from one."""
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) is float and 0 < node.value < 1
    ]
    if not found:
        return None
    node = rng.choice(found)
    old, factor = node.value, rng.choice(_RATE_FACTORS)
    scaled = 1 - min(1.0, (1 - old) * factor) if old > 0.5 else min(0.5, old * factor)
    node.value = float(f"{scaled:.3g}")
    return f"{old:g} -> {node.value:g}"
