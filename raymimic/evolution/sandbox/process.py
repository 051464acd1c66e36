"""A runner's process as the trusted side holds it: started at first use, asked line by line."""

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raymimic.errors import SandboxError
from raymimic.evolution.sandbox.arrays import write_arrays
from raymimic.evolution.sandbox.bubblewrap import wrapped
from raymimic.evolution.sandbox.lines import Lines
from raymimic.evolution.sandbox.probe import Mechanism

_PACKAGE_ROOT = Path(__file__).parents[3]
# Isolated (-I), so that no variable and no folder of the user's decides what is imported.
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from raymimic.evolution.sandbox.runner import main; main()"
)
_START_S = 180.0  # torch's import on a busy machine takes tens of seconds
GRACE_S = 20.0
"""Seconds: the runner ends a candidate at its limit; only a dead runner is later than this."""


@dataclass
class RunnerProcess:
    """Starts ``python -I`` on the runner with ``inputs`` as its data, and speaks with it.

    ``scored`` are the first training samples that each prediction takes, too. Ends with `close`,
    with this object or with this process.
    """

    inputs: Callable[[], Mapping[str, np.ndarray]]
    mechanism: Mechanism
    confined: bool
    gpu: bool = False
    threads: int = 1
    scored: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _events: Lines | None = field(default=None, init=False)
    _home: Path | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        """The process that leads all others of this runner; None before the first use."""
        return None if self._process is None else self._process.pid

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for one job, in which the runner may write; the runner is started if need be."""
        self.start()
        assert self._home is not None
        made = Path(tempfile.mkdtemp(prefix="job_", dir=self._home))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def send(self, row: Mapping[str, Any]) -> None:
        """Give the runner a job."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(row).encode() + b"\n")
        self._process.stdin.flush()

    def event(self, deadline: float) -> dict[str, Any]:
        """The runner's next event; raises `SandboxError` if none comes (``time.monotonic``)."""
        assert self._events is not None
        line = self._events.next(max(0.0, deadline - time.monotonic()))
        if line is None:
            assert self._home is not None
            said = (self._home / "runner.txt").read_text(errors="replace")[-2000:].strip()
            self.close()
            raise SandboxError(f"the sandbox's runner died or does not answer. It said: {said!r}")
        event: dict[str, Any] = json.loads(line)
        return event

    def cancel(self) -> None:
        """End the job under way; a runner that does not answer is ended with it."""
        try:
            self.send({"cancel": True})
            while self.event(time.monotonic() + GRACE_S)["event"] != "end":
                pass
        except (SandboxError, OSError):
            self.close()

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

    def start(self) -> None:
        """Start the runner, unless it runs; seconds, for it imports torch."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._home = Path(tempfile.mkdtemp(prefix="raymimic_sandbox_"))
        write_arrays(self._home / "data.npz", self.inputs())
        self._process = subprocess.Popen(
            self._command(self._home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self._home / "runner.txt", "w"),  # noqa: SIM115 - the process keeps it
            env=self._environment(self._home),
            cwd=self._home,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._events = Lines(self._process.stdout.fileno())
        self.event(time.monotonic() + _START_S)

    def _command(self, home: Path) -> list[str]:
        found = self.mechanism
        settings = {
            "data": str(home / "data.npz"),
            "scored": self.scored,
            "landlock": found.landlock,
            "seccomp": found.seccomp,
            "confined": self.confined,
            "gpu": self.gpu,
        }
        command = [sys.executable, "-I", "-c", _BOOTSTRAP, str(_PACKAGE_ROOT), json.dumps(settings)]
        if found.bubblewrap is None:
            return command
        return wrapped(found.bubblewrap, command, home, _PACKAGE_ROOT, gpu=self.gpu)

    def _environment(self, home: Path) -> dict[str, str]:
        """All that a candidate may know of this process's environment."""
        kept = ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"] if self.gpu else []
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": str(self.threads),
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": str(self.threads),
            **{name: os.environ[name] for name in kept if name in os.environ},
        }
