"""Applies the program of a trial in a sandbox and reports the user's score of the result."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from ray import tune

from raymimic.errors import CandidateError
from raymimic.evolution.sandbox.probe import mechanism
from raymimic.invention import MergeRunner, MergeTask
from raymimic.tune.evolution_search import FAILED, PROGRAM
from raymimic.tune.invention_search import ERROR_OF_SCORE, SCORE

_TEXT_CHARS = 2000

# With reuse_actors a process serves many trials: the runner, with torch imported, stays.
_kept: dict[str, MergeRunner] = {}


def merge_trainable(
    task: MergeTask, evaluate: Callable[[dict[str, Any]], float | Mapping[str, float]]
) -> Callable[..., None]:
    """A trainable for `SelfDevelopingSearch`.

    ``evaluate(state)`` scores a merged state dict on the dev data: the score as a number, or a dict
    with "score", its standard error "score_error" (programs that differ by less make no pair) and
    whatever else shall stand in the results. It runs in the trial's process, which never runs the
    program. A program that fails ends its trial normally with the reason in ``program_error``. Set
    ``reuse_actors=True``: else each trial imports torch anew. Raises `SandboxError` where this
    machine cannot confine a program.
    """
    mechanism(task.sandbox)
    trainable: Callable[..., None] = tune.with_parameters(
        merge_program, task=task, evaluate=evaluate, key=secrets.token_hex(8)
    )
    return trainable


def merge_program(
    config: dict[str, Any],
    task: MergeTask,
    evaluate: Callable[[dict[str, Any]], float | Mapping[str, float]],
    key: str,
) -> None:
    """Score one program; ``key`` names the task, so that a runner is kept for it."""
    runner = _kept.get(key)
    if runner is None:
        for old in _kept.values():
            old.close()
        _kept.clear()
        runner = _kept[key] = MergeRunner(task)
    try:
        state = runner.apply(config[PROGRAM])
    except CandidateError as error:
        said = f"{error.reason}: {error}"[-_TEXT_CHARS:]
        tune.report(
            {
                SCORE: math.nan,
                ERROR_OF_SCORE: math.nan,
                "sandbox": runner.mechanism,
                FAILED: said,
            }
        )
        return
    scored = evaluate(state)
    values = dict(scored) if isinstance(scored, Mapping) else {SCORE: float(scored)}
    tune.report({**values, "sandbox": runner.mechanism})
