"""Trains the program of a trial in a sandbox and reports each epoch to Tune."""

from __future__ import annotations

import contextlib
import math
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune

from raymimic.errors import CandidateError
from raymimic.evolution.sandbox.client import Runner
from raymimic.evolution.sandbox.probe import mechanism
from raymimic.evolution.sealed import seal
from raymimic.evolution.task import TrainingTask
from raymimic.tune.evolution_search import FAILED, PROGRAM, TESTED

_TEXT_CHARS = 2000
_RESUME, _EPOCH = "progress.pt", "epoch.txt"

# With reuse_actors a process serves many trials: the runner, with torch imported, stays.
_kept: dict[str, Runner] = {}


def program_trainable(task: TrainingTask, *, checkpoint: bool = False) -> Callable[..., None]:
    """A trainable for `GuidedEvolutionSearch`: it reports accuracy, loss and parameters.

    ``checkpoint`` keeps each epoch's progress so that a paused trial (HyperBand) or one whose node
    died goes on where it was. A program that fails ends its trial normally, with accuracy NaN and
    the reason in ``program_error``: Tune's ``max_failures`` is for nodes, not for programs. Set
    ``reuse_actors=True``: else each trial imports torch anew. Raises `SandboxError` where this
    machine cannot confine a program.
    """
    mechanism(task.sandbox)
    trainable: Callable[..., None] = tune.with_parameters(
        train_program, task=task, checkpoint=checkpoint, key=secrets.token_hex(8)
    )
    return trainable


def train_program(config: dict[str, Any], task: TrainingTask, checkpoint: bool, key: str) -> None:
    """Train one program; ``key`` names the task, so that a runner is kept for it."""
    runner = _kept.get(key)
    if runner is None:
        for old in _kept.values():
            old.close()
        _kept.clear()
        runner = _kept[key] = Runner(task)
    with tempfile.TemporaryDirectory() as folder:
        epochs = runner.evaluate(
            config[PROGRAM], resume=_resume(Path(folder)), resumable=checkpoint
        )
        try:
            with contextlib.closing(epochs):
                for epoch in epochs:
                    result = {**epoch.metrics, "sandbox": runner.mechanism}
                    if epoch.test_predictions is not None:
                        result[TESTED] = seal(epoch.test_predictions)
                    _report(result, epoch.epoch, epoch.resume)
        except CandidateError as error:
            said = f"{error.reason}: {error}"[-_TEXT_CHARS:]
            tune.report(
                {
                    "accuracy": math.nan,
                    "loss": math.nan,
                    "parameters": math.nan,
                    "sandbox": runner.mechanism,
                    FAILED: said,
                }
            )


def _report(result: dict[str, Any], epoch: int, progress: Path | None) -> None:
    if progress is None:
        tune.report(result)
        return
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(progress, Path(folder, _RESUME), follow_symlinks=False)
        Path(folder, _EPOCH).write_text(str(epoch))
        tune.report(result, checkpoint=tune.Checkpoint.from_directory(folder))


def _resume(folder: Path) -> tuple[int, Path] | None:
    """The epoch and the progress of this trial's last checkpoint, copied into ``folder``."""
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as found:
        shutil.copyfile(Path(found, _RESUME), folder / _RESUME)
        return int(Path(found, _EPOCH).read_text()), folder / _RESUME
