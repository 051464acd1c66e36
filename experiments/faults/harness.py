"""A cluster on this machine, one driver process a run, and the hands that break things."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

from experiments.faults.training import Task

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass
class Settings:
    """One run, as its driver reads it. Defaults: modulated trials, searcher and trials one guide.

    ``llm``: "guide", "none" (keyless) or "" (no `LLMSearcher`). ``advisor`` of the trials:
    "guide", "each" (moves weights every epoch) or "rules".
    """

    case: str
    out: str
    address: str = ""
    base_url: str = ""
    ledger: str = ""
    task: dict[str, Any] = field(default_factory=dict)
    llm: str = "guide"
    advisor: str = "each"
    scheduler: str = "llm"
    num_samples: int = 8
    concurrent: int = 4
    patience: float | None = None
    time_budget_s: float | None = None
    max_failures: int = 3
    reuse_actors: bool = True
    limits: dict[str, Any] = field(default_factory=dict)
    sabotage: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=lambda: {"cpu": 0.5, "gpu": 0.5})
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def guide(self) -> bool:
        """Whether anybody asks a model."""
        return "guide" in (self.llm, self.advisor)


class Lab:
    """A head without room for trials and worker nodes with two fake GPUs each."""

    def __init__(self, workers: int) -> None:
        head = {"num_cpus": 0, "object_store_memory": 10**8}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes: list[Any] = []
        self.fill(workers)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def fill(self, workers: int) -> None:
        """Start nodes until there are so many."""
        while len(self.nodes) < workers:
            node = self.cluster.add_node(
                num_cpus=1, num_gpus=1, object_store_memory=10**8, wait=True
            )
            self.nodes.append(node)

    def lose(self, node_id: str) -> None:
        """Kill a node's processes."""
        node = next(node for node in self.nodes if node.node_id == node_id)
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        self.cluster.shutdown()


class Run:
    """One run of a driver, watched from outside through the files of its trainings."""

    def __init__(self, lab: Lab, settings: Settings, task: Task) -> None:
        self.lab, self.settings, self.out = lab, settings, Path(settings.out)
        self.out.mkdir(parents=True)
        settings.task = asdict(task)
        settings.address = lab.address
        settings.ledger = settings.ledger or str(self.out / "ledger" / "ledger.jsonl")
        self.file = self.out / "settings.json"
        self.write()
        self.happened: list[str] = []
        self.facts: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic()

    def write(self) -> None:
        """Write the settings for the driver."""
        found = {**asdict(self.settings), "guide": self.settings.guide}
        self.file.write_text(json.dumps(found, indent=1))

    # -- the driver ----------------------------------------------------------------------------

    def start(self, action: str = "fit") -> None:
        """Start the driver; "restore" takes up what is there."""
        environment = {**os.environ, **QUIET, **self.settings.environment}
        with open(self.out / f"driver-{action}.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "experiments.faults.drive", str(self.file), action],
                env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def end(self, seconds: float = 300.0) -> int:
        """Wait for the driver; returns its exit status, or -99 for one that had to be killed."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.say(f"the driver did not end within {seconds:g} s")
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return -99

    def signal(self, which: signal.Signals) -> None:
        """Send the driver a signal."""
        assert self.process is not None
        os.kill(self.process.pid, which)

    # -- what is seen --------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Keep what happened, with the second of the run."""
        text = f"{time.monotonic() - self._begun:.1f} s: {text}"
        self.happened.append(text)
        print(f"    {text}", flush=True)

    def truth(self) -> dict[str, list[dict[str, Any]]]:
        """Every line that each trial wrote, in order."""
        return {
            path.stem: [json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted((self.out / "truth").glob("*.jsonl"))
        }

    def epochs(self) -> int:
        """Epochs trained so far, repeats included."""
        return sum("epoch" in row for rows in self.truth().values() for row in rows)

    def running(self) -> dict[str, dict[str, Any]]:
        """The last line of each trial that is in the middle of its training."""
        last = {name: rows[-1] for name, rows in self.truth().items()}
        epochs = self.settings.task["epochs"]
        return {name: row for name, row in last.items() if 1 <= row.get("epoch", 0) < epochs - 1}

    def wait_for(self, what: str, condition: Callable[[], Any], seconds: float = 180.0) -> Any:
        """Wait until something is true of the run."""
        assert self.process is not None
        end = time.monotonic() + seconds
        while not (found := condition()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.settings.case}: waited in vain for {what}")
            time.sleep(0.02)
        return found
