"""The trusted process around candidates: started by `client.Runner` as ``python -I``.

It imports torch and reads the data once, then serves jobs, one at a time: for each it forks a
process that confines itself and trains the candidate, and after each epoch another that confines
itself and predicts from the state that the first left (or one that calls a function of the
candidate's on the data). The runner itself never runs the candidate's code; it watches time, memory
and disk, and ends whatever goes beyond.

A line on stdin is a job or {"cancel": true}; the end of stdin (the trial is gone) ends everything.
A line on stdout is an event: "ready", "epoch" (files of state and predictions), "end".
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raymimic.errors import CandidateError
from raymimic.evolution.sandbox.confine import Confinement, close_memory, confine, limit_resources
from raymimic.evolution.sandbox.job import CallJob, Child, Confined, Jail, Job
from raymimic.evolution.sandbox.limits import Limits
from raymimic.evolution.sandbox.lines import Lines

_WATCH_S = 0.1
_ERROR_CHARS = 4000
_BLOCK = 4096  # bytes of disk that a file takes at least


class Stopped(Exception):
    """A candidate was ended; ``reason`` in one word or two."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.reason, self.text = reason, text


class Supervisor:
    """Runs one job at a time and says what happens."""

    def __init__(self, data: Mapping[str, Any], scored: int, jail: Jail, orders: Lines) -> None:
        self._orders = orders
        self._data, self._scored, self._jail = data, scored, jail

    def run(self, row: Mapping[str, Any]) -> None:
        """Run a job to its end."""
        if "function" in row:
            self._call(CallJob(row, self._data, self._jail))
        else:
            self._train(Job(row, self._data, self._jail))

    def _call(self, job: CallJob) -> None:
        child = job.start()
        try:
            self._await_end(job, child)
            _say(event="end", ok=True, out=str(child.scratch / "out.npz"))
        except Stopped as stopped:
            _say(event="end", ok=False, reason=stopped.reason, text=stopped.text)

    def _train(self, job: Job) -> None:
        inputs = {
            "x_valid": self._data["x_valid"],
            "x_train": self._data["x_train"][: self._scored],
        }
        last = {name: self._data[name] for name in ("x_test",) if name in self._data}
        trainer = job.start_training()
        first = 1 if job.resume is None else job.resume[0] + 1
        try:
            for epoch in range(first, job.training.epochs + 1):
                self._await_epoch(job, trainer)
                given = inputs | (last if epoch == job.training.epochs else {})
                self._predict(job, trainer, epoch, given)
            _say(event="end", ok=True)
        except Stopped as stopped:
            _say(event="end", ok=False, reason=stopped.reason, text=stopped.text)
        finally:
            os.close(job.notices)
            trainer.kill()

    def _await_epoch(self, job: Job, trainer: Child) -> None:
        while True:
            watched = [job.notices, self._orders.descriptor]
            ready, _, _ = select.select(watched, [], [], _WATCH_S)
            self._heed(trainer)
            if job.notices in ready and os.read(job.notices, 1):
                return
            status = trainer.ended()
            if status is not None:
                raise Stopped(_why(status, trainer), _tail(trainer.errors))
            _watch(job, trainer)

    def _predict(self, job: Job, trainer: Child, epoch: int, inputs: Mapping[str, Any]) -> None:
        try:
            child = job.start_prediction(epoch, inputs)
        except (CandidateError, OSError) as error:
            raise Stopped("bad arrays", str(error)) from None
        self._await_end(job, child, trainer)
        _say(
            event="epoch",
            epoch=epoch,
            state=str(child.scratch / "state.npz"),
            predictions=str(child.scratch / "logits.npz"),
            resume=str(trainer.scratch / f"resume_{epoch}.pt") if job.resumable else None,
        )

    def _await_end(self, job: Confined, child: Child, *others: Child) -> None:
        """Wait for a process that does one thing; raises `Stopped` unless it did it."""
        handle = os.pidfd_open(child.pid)
        try:
            while (status := child.ended()) is None:
                select.select([handle, self._orders.descriptor], [], [], _WATCH_S)
                self._heed(child, *others)
                for watched in (*others, child):
                    _watch(job, watched)
        except Stopped:
            child.kill()
            raise
        finally:
            os.close(handle)
        if status:
            raise Stopped(_why(status, child), _tail(child.errors))

    def _heed(self, *children: Child) -> None:
        """While a job runs the trial may cancel it, or be gone."""
        if self._orders.next(0.0) is not None:
            raise Stopped("cancelled")
        if self._orders.ended:
            for child in children:
                child.kill()
            os._exit(0)


def _watch(job: Confined, child: Child) -> None:
    if time.monotonic() > job.deadline:
        raise Stopped("time limit", f"not done within {job.limits.seconds:g} s")
    if _used(job.folder) > job.limits.disk:
        raise Stopped("disk limit", f"more than {job.limits.disk} bytes of files")
    resident = _resident(child.pid)
    if resident > 2 * job.limits.memory + _own_resident:
        raise Stopped("memory limit", f"{resident} bytes in memory")


def _used(folder: Path) -> int:
    """Bytes of all files below; an empty one takes a block, too. Files come and go meanwhile."""
    used = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                used += os.lstat(os.path.join(where, name)).st_size + _BLOCK
    return used


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


_own_resident = 0


# What the end of a traceback says where a limit was met.
_SAID = {
    "MemoryError": "memory limit",
    "an't allocate memory": "memory limit",
    "annot allocate memory": "memory limit",
    "File too large": "disk limit",
}


def _why(status: int, child: Child) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return {
            signal.SIGXCPU: "time limit",
            signal.SIGXFSZ: "disk limit",
            signal.SIGSYS: "forbidden call",
        }.get(signal.Signals(number), f"signal {number}")
    text = _tail(child.errors)
    for words, reason in _SAID.items():
        if words in text:
            return reason
    return "error" if os.WEXITSTATUS(status) else "ended early"


def _tail(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _ERROR_CHARS))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _say(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Import torch, read the data, serve jobs until stdin ends."""
    global _own_resident
    settings = json.loads(sys.argv[-1])
    with np.load(settings["data"], allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    os.unlink(settings["data"])

    def jail(limits: Limits, scratch: Path) -> None:
        gpu = settings["gpu"]
        if settings["confined"]:
            confine(Confinement(settings["landlock"], settings["seccomp"], limits, scratch, gpu))
        else:
            limit_resources(limits, gpu=gpu)

    # The first optimizer imports half of torch: once here, not in each candidate.
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    close_memory()
    gc.freeze()  # else a candidate's collections touch, and so copy, all of this memory
    _own_resident = _resident(os.getpid())
    orders = Lines(sys.stdin.fileno())
    supervisor = Supervisor(data, settings["scored"], jail, orders)
    _say(event="ready", torch=torch.__version__)
    while (line := orders.next(None)) is not None:
        row = json.loads(line)
        if "cancel" not in row:  # a cancel of a job that has just ended
            supervisor.run(row)
