"""The trusted side of a training: gives a runner candidates, turns what comes back into scores."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raymimic.errors import CandidateError
from raymimic.evolution.sandbox.probe import mechanism
from raymimic.evolution.sandbox.process import GRACE_S, RunnerProcess
from raymimic.evolution.sandbox.scoring import count_parameters, read_logits, scores
from raymimic.evolution.task import TrainingTask


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave. ``metrics``: accuracy, loss, train_accuracy, train_loss, parameters.

    After the last epoch ``test_predictions`` holds the class of each test input, unscored;
    ``resume`` is a file from which the training can go on, if that was asked for.
    """

    epoch: int
    metrics: dict[str, Any]
    test_predictions: np.ndarray | None = None
    resume: Path | None = None


class Runner:
    """Evaluates candidate programs on one task, one after the other, in a process of its own.

    Raises `SandboxError` where no mechanism confines a candidate on this machine.
    """

    def __init__(self, task: TrainingTask) -> None:
        self.task = task
        self.process = RunnerProcess(
            task.inputs,
            mechanism(task.sandbox),
            confined=task.sandbox != "none",
            gpu=task.device != "cpu",
            threads=task.limits.threads,
            scored=len(task.train_scored),
        )

    @property
    def mechanism(self) -> str:
        """What confines a candidate here, as results say it."""
        return self.process.mechanism.name

    def evaluate(
        self,
        source: str,
        *,
        resume: tuple[int, Path] | None = None,
        resumable: bool = False,
    ) -> Generator[Epoch]:
        """Train ``source``; give each epoch as it ends. Closing the iterator ends the candidate.

        Raises `CandidateError` (with the end of its traceback) where the candidate fails, returns
        what it must not, or goes beyond its limits.
        """
        with self.process.folder() as folder:
            if resume is not None:
                given = folder / "given.pt"
                shutil.copyfile(resume[1], given)
                resume = (resume[0], given)
            try:
                self.process.send(self._job(source, folder, resume, resumable))
                deadline = time.monotonic() + self.task.limits.seconds + GRACE_S
                while (event := self.process.event(deadline))["event"] == "epoch":
                    yield self._epoch(event)
                if not event["ok"]:
                    text = event["text"] or event["reason"]
                    raise CandidateError(text, reason=event["reason"])
            except GeneratorExit:
                self.process.cancel()
                raise
            except CandidateError:
                if "event" in locals() and event["event"] == "epoch":
                    self.process.cancel()
                raise

    def close(self) -> None:
        """End the runner and whatever it runs."""
        self.process.close()

    def _job(
        self, source: str, folder: Path, resume: tuple[int, Path] | None, resumable: bool
    ) -> dict[str, Any]:
        task = self.task
        return {
            "source": source,
            "folder": str(folder),
            "limits": task.limits.to_json(),
            "training": {
                "epochs": task.epochs,
                "batch_size": task.batch_size,
                "classes": task.classes,
                "seed": task.seed,
                "device": task.device,
                "threads": task.limits.threads,
            },
            "resume": None if resume is None else (resume[0], str(resume[1])),
            "resumable": resumable,
        }

    def _epoch(self, event: dict[str, Any]) -> Epoch:
        task, most = self.task, self.task.limits.disk
        predictions, state = Path(event["predictions"]), Path(event["state"])

        def logits(name: str, count: int) -> np.ndarray:
            return read_logits(predictions, name, count, task.classes, most)

        metrics = {
            **scores(logits("x_valid", len(task.y_valid)), task.y_valid, ""),
            **scores(logits("x_train", len(task.train_scored)), task.train_scored, "train_"),
            "parameters": count_parameters(state, most),
        }
        tests = 0 if task.x_test is None else len(task.x_test)
        last = event["epoch"] == task.epochs and tests
        tested = logits("x_test", tests).argmax(axis=1) if last else None
        shutil.rmtree(state.parent, ignore_errors=True)
        resume = Path(event["resume"]) if event["resume"] else None
        return Epoch(event["epoch"], metrics, tested, resume)
