"""The trusted side: starts a runner, gives it candidates, turns what comes back into scores."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raymimic.errors import CandidateError, SandboxError
from raymimic.evolution.sandbox.arrays import write_arrays
from raymimic.evolution.sandbox.bubblewrap import wrapped
from raymimic.evolution.sandbox.lines import Lines
from raymimic.evolution.sandbox.probe import mechanism
from raymimic.evolution.sandbox.scoring import count_parameters, read_logits, scores
from raymimic.evolution.task import TrainingTask

_PACKAGE_ROOT = Path(__file__).parents[3]
# Isolated (-I), so that no variable and no folder of the user's decides what is imported.
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from raymimic.evolution.sandbox.runner import main; main()"
)
_START_S = 180.0  # torch's import on a busy machine takes tens of seconds
_GRACE_S = 20.0  # the runner ends a candidate at its limit; only a dead runner is later than this


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


@dataclass
class Runner:
    """Evaluates candidate programs on one task, one after the other, in a process of its own.

    Starts at the first use, ends with `close`, with this object or with this process. Raises
    `SandboxError` where no mechanism confines a candidate on this machine.
    """

    task: TrainingTask
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _events: Lines | None = field(default=None, init=False)
    _home: Path | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._mechanism = mechanism(self.task.sandbox)

    @property
    def mechanism(self) -> str:
        """What confines a candidate here, as results say it."""
        return self._mechanism.name

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
        self._start()
        assert self._home is not None
        folder = Path(tempfile.mkdtemp(prefix="job_", dir=self._home))
        if resume is not None:
            given = folder / "given.pt"
            shutil.copyfile(resume[1], given)
            resume = (resume[0], given)
        try:
            self._send(self._job(source, folder, resume, resumable))
            deadline = time.monotonic() + self.task.limits.seconds + _GRACE_S
            while (event := self._event(deadline))["event"] == "epoch":
                yield self._epoch(event)
            if not event["ok"]:
                text = event["text"] or event["reason"]
                raise CandidateError(text, reason=event["reason"])
        except GeneratorExit:
            self._cancel()
            raise
        except CandidateError:
            if "event" in locals() and event["event"] == "epoch":
                self._cancel()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """End the runner and whatever it runs."""
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def __del__(self) -> None:
        self.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._home = Path(tempfile.mkdtemp(prefix="raymimic_sandbox_"))
        write_arrays(self._home / "data.npz", self.task.inputs())
        self._process = subprocess.Popen(
            self._command(self._home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self._home / "runner.txt", "w"),  # noqa: SIM115 - the process keeps it
            env=_environment(self._home, self.task),
            cwd=self._home,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._events = Lines(self._process.stdout.fileno())
        self._event(time.monotonic() + _START_S)

    def _command(self, home: Path) -> list[str]:
        gpu = self.task.device != "cpu"
        found = self._mechanism
        settings = {
            "data": str(home / "data.npz"),
            "scored": len(self.task.train_scored),
            "landlock": found.landlock,
            "seccomp": found.seccomp,
            "confined": self.task.sandbox != "none",
            "gpu": gpu,
        }
        command = [sys.executable, "-I", "-c", _BOOTSTRAP, str(_PACKAGE_ROOT), json.dumps(settings)]
        if found.bubblewrap is None:
            return command
        return wrapped(found.bubblewrap, command, home, _PACKAGE_ROOT, gpu=gpu)

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

    def _send(self, row: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(row).encode() + b"\n")
        self._process.stdin.flush()

    def _cancel(self) -> None:
        """End the job under way; a runner that does not answer is ended with it."""
        try:
            self._send({"cancel": True})
            while self._event(time.monotonic() + _GRACE_S)["event"] != "end":
                pass
        except (SandboxError, OSError):
            self.close()

    def _event(self, deadline: float) -> dict[str, Any]:
        assert self._events is not None
        line = self._events.next(max(0.0, deadline - time.monotonic()))
        if line is None:
            assert self._home is not None
            said = (self._home / "runner.txt").read_text(errors="replace")[-2000:].strip()
            self.close()
            raise SandboxError(f"the sandbox's runner died or does not answer. It said: {said!r}")
        event: dict[str, Any] = json.loads(line)
        return event


def _environment(home: Path, task: TrainingTask) -> dict[str, str]:
    """All that a candidate may know of this process's environment."""
    threads = str(task.limits.threads)
    kept = ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"] if task.device != "cpu" else []
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": threads,
        **{name: os.environ[name] for name in kept if name in os.environ},
    }
