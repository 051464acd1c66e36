"""The confined processes of one candidate: one trains it, others predict with what it left.

Or one alone, which calls a function of the candidate's on arrays (`call`).
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from raymimic.evolution.sandbox.arrays import check_file
from raymimic.evolution.sandbox.calling import call
from raymimic.evolution.sandbox.limits import Limits
from raymimic.evolution.sandbox.training import FILE_NAME, Training, predict, train

_STATE_SHARE = 2  # a state may take half of the disk limit: the next one is written beside it

Jail = Callable[[Limits, Path], None]
"""Confines the calling process within limits, to one folder."""


@dataclass
class Child:
    """One confined process: its id, its folder and where its errors go."""

    pid: int
    scratch: Path
    errors: Path
    status: int | None = None

    def ended(self) -> int | None:
        """The wait status of an ended process, None while it runs."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status

    def kill(self) -> None:
        """End it now, if it has not ended."""
        if self.ended() is None:
            os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)


class Confined:
    """What all jobs have: a source, a folder, limits, and confined processes."""

    def __init__(self, job: Mapping[str, Any], data: Mapping[str, Any], jail: Jail):
        self.source: str = job["source"]
        self.folder = Path(job["folder"])
        self.limits = Limits(**job["limits"])
        self.data, self._jail = data, jail
        self.deadline = time.monotonic() + self.limits.seconds

    def fork(
        self, name: str, scratch: Path, work: Callable[[], None], keep: tuple[int, ...] = ()
    ) -> Child:
        """Start a confined process that may write into ``scratch`` and does ``work``."""
        errors = self.folder / f"{name}.txt"
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            _in_child(work, lambda: self._jail(self.limits, scratch), errors, keep)
        return Child(pid, scratch, errors)


class CallJob(Confined):
    """One call of a candidate's function on the data; what it returns lies in ``out.npz``."""

    def __init__(self, job: Mapping[str, Any], data: Mapping[str, Any], jail: Jail):
        super().__init__(job, data, jail)
        self.function: str = job["function"]
        self.seed: int = job["seed"]

    def start(self) -> Child:
        """Fork the process that calls it."""
        scratch = self.folder / "call"
        scratch.mkdir()

        def work() -> None:
            call(self.source, self.function, self.data, self.seed, scratch / "out.npz")

        return self.fork("call", scratch, work)


class Job(Confined):
    """One candidate's training and predictions."""

    def __init__(self, job: Mapping[str, Any], data: Mapping[str, Any], jail: Jail):
        super().__init__(job, data, jail)
        self.training = Training(**job["training"])
        self.resume = job.get("resume")
        self.resumable: bool = job.get("resumable", False)
        self.notices, self._notify = os.pipe()

    def start_training(self) -> Child:
        """Fork the process that trains; it writes one byte into ``notices`` after each epoch."""
        scratch = self.folder / "train"
        scratch.mkdir()
        resume = None
        if self.resume is not None:
            epoch, given = self.resume
            own = scratch / "resumed.pt"
            own.write_bytes(Path(given).read_bytes())
            resume = (epoch, own)

        def work() -> None:
            train(
                self.source, self.data, self.training, scratch,
                self._epoch_done,
                resume, resumable=self.resumable,
            )  # fmt: skip

        child = self.fork("train", scratch, work, keep=(self._notify,))
        os.close(self._notify)
        return child

    def _epoch_done(self, epoch: int) -> None:
        del epoch  # they come in order
        os.write(self._notify, b".")

    def start_prediction(self, epoch: int, inputs: Mapping[str, Any]) -> Child:
        """Fork the process that predicts from the state after ``epoch``."""
        scratch, most = self.folder / f"predict_{epoch}", self.limits.disk // _STATE_SHARE
        scratch.mkdir()
        written, state = self.folder / "train" / f"state_{epoch}.npz", scratch / "state.npz"
        check_file(written, most)
        os.rename(written, state)

        def work() -> None:
            predict(self.source, inputs, self.training, state, scratch / "logits.npz", most)

        return self.fork(f"predict_{epoch}", scratch, work)


def _in_child(
    work: Callable[[], None], confine: Callable[[], None], errors: Path, keep: tuple[int, ...]
) -> NoReturn:
    status = 1
    try:
        _leave_only(errors, keep)
        os.chdir(errors.parent / errors.stem)
        confine()
        work()
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever it raises ends its own process only
        traceback.print_exception(error.with_traceback(_from_program(error.__traceback__)))
        sys.stderr.flush()
    finally:
        os._exit(status)


def _from_program(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the candidate's file; all of it if none does."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename != FILE_NAME:
        found = found.tb_next
    return found or trace


def _leave_only(errors: Path, keep: tuple[int, ...]) -> None:
    """Nothing of the runner's files stays open but ``keep``; output goes to ``errors``."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    last = 2
    for handle in sorted(keep):
        os.closerange(last + 1, handle)
        last = handle
    os.closerange(last + 1, 65536)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, errors="replace", closefd=False)
