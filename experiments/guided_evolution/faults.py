"""Faults under a real Ray: ``python -m experiments.guided_evolution.faults CASE --out DIR``.

"driver": kill -9 in the middle of a published generation, then the same command again. "node": two
nodes with one CPU each, one of which is killed while both train. Checked in both: every program is
evaluated once, no reply is paid twice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.cluster_utils import Cluster

from raymimic import GuidedEvolutionSearch, Reply, Request, program_trainable, read_events
from raymimic.evolve.data import make_task, read_data

_PROGRAMS, _EPOCHS = 10, 12
_KILL_AFTER = 4  # programs that have ended
_MEMORY = 10**8  # bytes of each node's object store


class EditingLLM:
    """Adds a new name to the block that it is shown: each answer is another program."""

    model = "editing"

    def __init__(self) -> None:
        self._numbers = itertools.count(int(time.time() * 1000))

    def complete(self, request: Request) -> Reply:
        """Answer at once."""
        shown = re.findall(r"~~~python\n(.*?)\n~~~", request.user, re.DOTALL)[-1]
        code = [*shown.splitlines(), "", f"EDIT_{next(self._numbers)} = 0"]
        return Reply(json.dumps({"rationale": "a name", "code": code}), self.model, 100, 50)


def evolve(
    out: Path,
    programs: int,
    concurrent: int,
    *,
    llm: Any = "none",
    paper: bool = False,
    epochs: int = _EPOCHS,
    batch_size: int = 100,
    callbacks: list[Any] | None = None,
) -> None:
    """Train what is left of ``programs`` programs under Tune; the ledger lies in ``out``."""
    arrays = read_data("digits")
    task = make_task(arrays, epochs=epochs, batch_size=batch_size)
    search = GuidedEvolutionSearch(
        "conv1d", llm=llm, task=task, paper=paper, seed=0, ledger=out / "ledger.jsonl"
    )
    left = programs - len(search.evolution.state.of_status("done", "failed"))
    tune.Tuner(
        program_trainable(task, checkpoint=True),
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", search_alg=search, num_samples=left,
            max_concurrent_trials=concurrent, reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            verbose=0, storage_path=str(out / "tune"), callbacks=callbacks or [],
            failure_config=tune.FailureConfig(max_failures=3),
        ),
    ).fit()  # fmt: skip
    search.evolution.close()


def lose_driver(out: Path) -> None:
    """Kill a driver and its Ray in mid-generation, and go on."""
    command = [sys.executable, "-m", "experiments.guided_evolution.faults", "drive"]
    command += ["--out", str(out)]
    with open(out / "driver.log", "wb") as log:
        quiet: dict[str, Any] = {"stdout": log, "stderr": log, "start_new_session": True}
        first = subprocess.Popen(command, **quiet)
        while _ended(out) < _KILL_AFTER and first.poll() is None:
            time.sleep(0.2)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        print(f"killed after {_ended(out)} programs", flush=True)
        subprocess.run(command, check=True, **quiet)


def lose_node(out: Path) -> None:
    """Kill one of two nodes while both train, and add another."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": _MEMORY}
    )
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=_MEMORY) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        evolve(out, _PROGRAMS, 2, llm=EditingLLM(), callbacks=[NodeKiller(cluster, nodes[0])])
    finally:
        ray.shutdown()
        cluster.shutdown()


class NodeKiller(tune.Callback):
    """Kills a node once a few programs have ended and two trials are in their third epoch."""

    def __init__(self, cluster: Cluster, node: Any) -> None:
        self._cluster, self._node = cluster, node
        self._epochs: dict[str, int] = {}
        self._ended = 0

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks; processes do not pickle

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """One program was evaluated."""
        del iteration, trials
        self._ended += 1
        self._epochs.pop(trial.trial_id, None)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        """One epoch ended."""
        del iteration, trials
        self._epochs[trial.trial_id] = result["training_iteration"]
        under_way = [epoch for epoch in self._epochs.values() if 3 <= epoch < _EPOCHS]
        if self._node is None or self._ended < _KILL_AFTER or len(under_way) < 2:
            return
        print(f"node killed; trials are in epochs {sorted(under_way)}", flush=True)
        self._cluster.remove_node(self._node, allow_graceful=False)
        self._node = None
        self._cluster.add_node(num_cpus=1, object_store_memory=_MEMORY)


def checked(out: Path) -> dict[str, Any]:
    """What the ledger says: each program's evaluations, each question's calls."""
    found = read_events(out / "ledger.jsonl")
    ends = Counter(row["individual"] for row in found.of("individual_end"))
    calls = Counter((row["plan"], row["step"], row["repair"]) for row in found.of("call"))
    curves = [len(row["curve"]) for row in found.of("individual_end")]
    return {
        "evaluated": len(ends),
        "evaluated twice": sum(count > 1 for count in ends.values()),
        "failed": sum(row["status"] != "done" for row in found.of("individual_end")),
        "lost and tried again": len(list(found.of("individual_lost"))),
        "curves that lack epochs": sum(length != _EPOCHS for length in curves),
        "calls": sum(calls.values()),
        "paid twice": sum(count > 1 for count in calls.values()),
        "generations": len(list(found.of("generation"))),
    }


def _ended(out: Path) -> int:
    ledger = out / "ledger.jsonl"
    return ledger.read_text().count('"individual_end"') if ledger.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=["driver", "node", "drive"])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if options.case == "drive":
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, address="local")
        evolve(out, _PROGRAMS, 2, llm=EditingLLM(), paper=True)
        return
    {"driver": lose_driver, "node": lose_node}[options.case](out)
    print(json.dumps(checked(out)))


if __name__ == "__main__":
    main()
