"""The last gate: does a child build, train for two batches and predict, in the sandbox?"""

from __future__ import annotations

import threading
from typing import Any

from raymimic.errors import CandidateError
from raymimic.evolution.gates import Rejection
from raymimic.evolution.sandbox.client import Runner
from raymimic.evolution.task import TrainingTask

_TEXT_CHARS = 2000


class SmokeTest:
    """Runs children one after the other on two batches of a task.

    Its runner starts at the first use and stays; it is left behind when this is pickled. Raises
    `SandboxError` where no mechanism confines a candidate on this machine.
    """

    def __init__(self, task: TrainingTask) -> None:
        self._task = task.smoke()
        self._open()

    def _open(self) -> None:
        self._runner = Runner(self._task)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"_task": self._task}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def mechanism(self) -> str:
        """What confines a candidate here."""
        return self._runner.mechanism

    def check(self, source: str) -> Rejection | None:
        """None for a child that runs."""
        with self._lock:
            try:
                for _ in self._runner.evaluate(source):
                    pass
            except CandidateError as error:
                return Rejection(f"smoke: {error.reason}", str(error)[-_TEXT_CHARS:])
        return None

    def close(self) -> None:
        """End the runner; the next check starts another."""
        self._runner.close()
