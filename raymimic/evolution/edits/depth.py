"""Edits of convolutions and their surroundings, as published practice has them.

Widths are read from the convolutions: ``self.name = nn.Conv1d(in, out, kernel, ...)``, alone or in
a Sequential.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator

from raymimic.evolution.edits.base import calls, expression, last_name, layer_calls
from raymimic.evolution.edits.layers import NORMS

_CONVOLUTIONS = ("Conv1d", "Conv2d")


def normalise(tree: ast.Module, rng: random.Random) -> str | None:
    """Batch normalisation after every convolution (Ioffe and Szegedy 2015).

    A block whose normalisations are layers of their own has them where it wants them.
    """
    del rng
    layers = list(layer_calls(tree))
    bare = [pair for pair in layers if last_name(pair[1]) in _CONVOLUTIONS]
    apart = any(last_name(call) in NORMS for _, call in layers)
    if not bare or apart or any(len(call.args) < 2 for _, call in bare):
        return None
    for statement, call in bare:
        norm = f"nn.BatchNorm{_dimensions(call)}d({ast.unparse(call.args[1])})"
        statement.value = expression(f"nn.Sequential({ast.unparse(call)}, {norm})")
    return "batch normalisation after every convolution"


def deepen(tree: ast.Module, rng: random.Random) -> str | None:
    """One more convolution with a residual around it, after a step that convolves (He et al. 2016).

    Behind a grouped convolution it is depthwise, as its neighbour: a full one may be larger than
    the whole network.
    """
    found = list(_convolving_steps(tree))
    if not found:
        return None
    made, forward, step, name, call = rng.choice(found)
    width, dimensions = ast.unparse(call.args[1]), _dimensions(call)
    grouped = any(word.arg == "groups" for word in call.keywords)
    groups = f"groups={width}, " if grouped else ""
    fresh = _fresh(tree)
    layer = (
        f"self.{fresh} = nn.Sequential(nn.Conv{dimensions}d({width}, {width}, 3, padding=1, "
        f"{groups}bias=False), nn.BatchNorm{dimensions}d({width}), nn.ReLU())"
    )
    made.body.append(ast.parse(layer).body[0])
    added = ast.parse(f"{name} = {name} + self.{fresh}({name})").body[0]
    forward.body.insert(forward.body.index(step) + 1, added)
    return f"one more convolution with a residual after {ast.unparse(step)}"


def separate(tree: ast.Module, rng: random.Random) -> str | None:
    """Make a convolution depthwise separable: far fewer parameters (Howard et al. 2017)."""
    found = [
        call
        for call in calls(tree, *_CONVOLUTIONS)
        if len(call.args) > 2
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[2], ast.Constant)
        and call.args[2].value != 1
        and not any(word.arg == "groups" for word in call.keywords)
    ]
    if not found:
        return None
    call = rng.choice(found)
    said = ast.unparse(call)
    kind, width, out = ast.unparse(call.func), ast.unparse(call.args[0]), ast.unparse(call.args[1])
    call.args[1] = call.args[0]
    call.keywords.append(ast.keyword("groups", call.args[0]))
    both = expression(f"nn.Sequential({ast.unparse(call)}, {kind}({width}, {out}, 1))")
    assert isinstance(both, ast.Call)
    call.func, call.args, call.keywords = both.func, both.args, both.keywords
    return f"{said} depthwise separable"


def stride(tree: ast.Module, rng: random.Random) -> str | None:
    """Shrink by pooling after a convolution that sees every position, or not at all there."""
    found = [
        call
        for call in calls(tree, *_CONVOLUTIONS)
        for word in call.keywords
        if word.arg == "stride"
        and isinstance(word.value, ast.Constant)
        and word.value.value == 2
        and len(call.args) > 2
        and isinstance(call.args[2], ast.Constant)
        and isinstance(call.args[2].value, int)
    ]
    if not found:
        return None
    call = rng.choice(found)
    said = ast.unparse(call)
    kernel = call.args[2]
    assert isinstance(kernel, ast.Constant)
    padding = ast.keyword("padding", ast.Constant((int(str(kernel.value)) - 1) // 2))
    others = [one for one in call.keywords if one.arg not in ("stride", "padding")]
    call.keywords = [*others, padding]
    if rng.random() < 0.5:
        return f"no stride in {said}"
    pool = f"nn.MaxPool{_dimensions(call)}d(2)"
    both = expression(f"nn.Sequential({ast.unparse(call)}, {pool})")
    assert isinstance(both, ast.Call)
    call.func, call.args, call.keywords = both.func, both.args, both.keywords
    return f"{pool} in the place of the stride of {said}"


def pool_head(tree: ast.Module, rng: random.Random) -> str | None:
    """Pool over all positions before a linear layer (Lin et al. 2014), means or means and maxima.

    For a layer of ``channels * positions`` inputs that is given ``x.flatten(1)``.
    """
    flat = [call for call in calls(tree, "flatten") if _is_flattening(call)]
    linear = [
        call
        for call in calls(tree, "Linear")
        if call.args
        and isinstance(call.args[0], ast.BinOp)
        and isinstance(call.args[0].op, ast.Mult)
    ]
    if len(flat) != 1 or len(linear) != 1:
        return None
    size = linear[0].args[0]
    assert isinstance(size, ast.BinOp)
    assert isinstance(flat[0].func, ast.Attribute)
    channels, x = ast.unparse(size.left), ast.unparse(flat[0].func.value)
    if rng.random() < 0.5:
        inputs, said = f"{x}.flatten(2).mean(2)", "means"
        linear[0].args[0] = expression(channels)
    else:
        inputs = f"torch.cat([{x}.flatten(2).mean(2), {x}.flatten(2).amax(2)], 1)"
        said = "means and maxima"
        linear[0].args[0] = expression(f"2 * {channels}")
    pooled = expression(inputs)
    assert isinstance(pooled, ast.Call)
    flat[0].func, flat[0].args, flat[0].keywords = pooled.func, pooled.args, pooled.keywords
    return f"{said} of the positions before the linear layer"


def _is_product(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)


def _is_flattening(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and len(call.args) == 1
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value == 1
    )


def _dimensions(call: ast.Call) -> str:
    return last_name(call)[-2]


def _fresh(tree: ast.Module) -> str:
    """A name of a layer that the block does not use yet."""
    text, number = ast.unparse(tree), 1
    while f"extra{number}" in text:
        number += 1
    return f"extra{number}"


def _convolving_steps(
    tree: ast.Module,
) -> Iterator[tuple[ast.FunctionDef, ast.FunctionDef, ast.Assign, str, ast.Call]]:
    """(__init__, forward, step, variable, convolution) of each ``x = ... self.conv(...) ...``."""
    for made in tree.body:
        methods = {
            one.name: one
            for one in getattr(made, "body", ())
            if isinstance(made, ast.ClassDef) and isinstance(one, ast.FunctionDef)
        }
        if not methods.keys() >= {"__init__", "forward"}:
            continue
        layers = dict(_convolutions(methods["__init__"]))
        for step in methods["forward"].body:
            if not (isinstance(step, ast.Assign) and isinstance(step.targets[0], ast.Name)):
                continue
            for call in ast.walk(step.value):
                name = last_name(call) if isinstance(call, ast.Call) else ""
                if name in layers:
                    yield (
                        methods["__init__"], methods["forward"], step,
                        step.targets[0].id, layers[name],
                    )  # fmt: skip
                    break


def _convolutions(made: ast.FunctionDef) -> Iterator[tuple[str, ast.Call]]:
    """Names of layers and the last convolution in each."""
    for statement, call in layer_calls(made):
        found = [one for one in calls(call, *_CONVOLUTIONS) if len(one.args) > 1]
        if found:
            yield last_name(statement.targets[0]), found[-1]
