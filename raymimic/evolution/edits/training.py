"""Edits of the optimizer, as published practice has it: a schedule to the end, decoupled decay."""

from __future__ import annotations

import ast
import random

from raymimic.evolution.edits.base import calls, expression, last_name

_STEPS = "steps"  # the parameter that says how many batches there will be
_PEAKS = (1, 2, 4)  # of a one-cycle schedule over the constant rate it replaces
_DECAYS = (0.01, 0.05)
_SCHEDULES = ("OneCycleLR", "CosineAnnealingLR")


def schedule(tree: ast.Module, rng: random.Random) -> str | None:
    """Let the rate end at zero: one cycle (Smith and Topin 2018) or a cosine.

    For a function with a parameter ``steps`` that returns the optimizer and a schedule.
    """
    found = _pair_returned(tree)
    if found is None or calls(tree, *_SCHEDULES):
        return None
    function, end = found
    assert isinstance(end.value, ast.Tuple)
    made = end.value.elts[0]
    if not isinstance(made, ast.Name):
        assign = ast.Assign([ast.Name("optimizer", ast.Store())], made, lineno=end.lineno)
        function.body.insert(function.body.index(end), assign)
        made = ast.Name("optimizer", ast.Load())
    if rng.random() < 0.25:
        text, said = f"CosineAnnealingLR({made.id}, {_STEPS})", "cosine"
    else:
        peak = rng.choice(_PEAKS)
        rates = f"[{peak} * group['lr'] for group in {made.id}.param_groups]"
        text = f"OneCycleLR({made.id}, {rates}, total_steps={_STEPS} + 1)"
        said = f"one cycle up to {peak} times the rate"
    end.value.elts = [made, expression(f"torch.optim.lr_scheduler.{text}")]
    return said


def _pair_returned(tree: ast.Module) -> tuple[ast.FunctionDef, ast.Return] | None:
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        end = function.body[-1]
        if (
            any(one.arg == _STEPS for one in function.args.args)
            and isinstance(end, ast.Return)
            and isinstance(end.value, ast.Tuple)
            and len(end.value.elts) == 2
        ):
            return function, end
    return None


def decay(tree: ast.Module, rng: random.Random) -> str | None:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    found = calls(tree, "Adam")
    if not found or not isinstance(found[0].func, ast.Attribute):
        return None
    call, value = found[0], rng.choice(_DECAYS)
    call.func = ast.Attribute(found[0].func.value, "AdamW", ast.Load())
    call.keywords = [word for word in call.keywords if word.arg != "weight_decay"]
    call.keywords.append(ast.keyword("weight_decay", ast.Constant(value)))
    return f"{last_name(call)} with weight decay {value}"
