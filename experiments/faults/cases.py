"""The faults, one function each: it starts a run, breaks something, and sees it to its end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.faults.harness import Lab, Run, Settings
from experiments.faults.stub import StubModel
from experiments.faults.training import Task


@dataclass
class Bench:
    """What a case works with."""

    lab: Lab
    stub: StubModel
    out: Path

    def run(self, case: str, *, task: dict[str, Any] | None = None, **settings: Any) -> Run:
        """Make a run; its driver is not started yet."""
        out = self.out / case
        self.stub.seen.clear()
        chosen = Settings(case, str(out), base_url=self.stub.base_url, **settings)
        return Run(self.lab, chosen, Task(str(out), **(task or {})))


Case = Callable[[Bench], Run]
CASES: dict[str, tuple[str, Case]] = {}


def case(name: str, title: str) -> Callable[[Case], Case]:
    """Enter a fault in the list."""

    def enter(function: Case) -> Case:
        CASES[name] = (title, function)
        return function

    return enter


def see_to_the_end(run: Run) -> Run:
    """Wait for the driver and keep its exit status."""
    run.facts["exit"] = run.end()
    run.say(f"the driver ended with status {run.facts['exit']}")
    return run


def _by_node(run: Run) -> Counter[str]:
    return Counter(row["node"] for row in run.running().values())


@case("none", "nothing is broken")
def undisturbed(bench: Bench) -> Run:
    run = bench.run("none")
    run.start()
    return see_to_the_end(run)


@case("node", "a worker node is lost")
def one_node(bench: Bench) -> Run:
    run = bench.run("node", reuse_actors=False, task={"epochs": 8, "nap": 0.5})
    run.start()
    run.wait_for("epochs", lambda: len(run.running()) >= 3)
    node, count = _by_node(run).most_common(1)[0]
    run.say(f"node lost with {count} of {len(run.running())} trainings on it")
    bench.lab.lose(node)
    see_to_the_end(run)
    bench.lab.fill(3)
    return run


@case("two_nodes", "two of three worker nodes are lost at once")
def two_nodes(bench: Bench) -> Run:
    run = bench.run("two_nodes", advisor="guide")
    run.start()
    run.wait_for("epochs", lambda: len(_by_node(run)) >= 2)
    lost = _by_node(run).most_common(2)
    run.say(f"nodes lost with {sum(n for _, n in lost)} of {len(run.running())} trainings on them")
    for node, _ in lost:
        bench.lab.lose(node)
    see_to_the_end(run)
    bench.lab.fill(3)
    return run


@case("trial", "trial processes are killed (SIGKILL)")
def trial_process(bench: Bench) -> Run:
    run = bench.run("trial", advisor="guide")
    run.start()
    killed: set[str] = set()
    for _ in range(3):
        alive = run.wait_for(
            "a training", lambda: {n: r for n, r in run.running().items() if n not in killed}
        )
        name, row = sorted(alive.items())[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(row["pid"], signal.SIGKILL)
        killed.add(name)
        run.say(f"process of {name} killed after its epoch {row['epoch']}")
    return see_to_the_end(run)


@case("guide", "the Guide actor is killed")
def guide_actor(bench: Bench) -> Run:
    run = bench.run("guide", advisor="guide", num_samples=14, sabotage={"kill_guide": 8})
    run.start()
    return see_to_the_end(run)


def _kill_and_restore(bench: Bench, run: Run, which: signal.Signals, epochs: int) -> Run:
    run.start()
    run.wait_for("epochs", lambda: run.epochs() >= epochs)
    run.say(f"{which.name} to the driver after {run.epochs()} epochs; "
            f"{len(run.running())} trainings under way")  # fmt: skip
    run.signal(which)
    run.facts["first_exit"] = run.end()
    run.facts["calls_before"] = bench.stub.received
    run.say(f"it ended with status {run.facts['first_exit']}; restored at once")
    run.start("restore")
    return see_to_the_end(run)


@case("driver", "kill -9 of the driver, Tuner.restore in a new process")
def driver(bench: Bench) -> Run:
    run = bench.run("driver", advisor="guide", num_samples=12)
    return _kill_and_restore(bench, run, signal.SIGKILL, 40)


@case("driver_often", "the same, Tune saving every second")
def driver_often(bench: Bench) -> Run:
    run = bench.run("driver_often", environment={"TUNE_GLOBAL_CHECKPOINT_S": "1"})
    return _kill_and_restore(bench, run, signal.SIGKILL, 20)


@case("driver_early", "kill -9 of the driver in the first epochs")
def driver_early(bench: Bench) -> Run:
    return _kill_and_restore(bench, bench.run("driver_early"), signal.SIGKILL, 1)


@case(
    "driver_first", "kill -9 before the first trial and Tune's first checkpoint: Tune starts over"
)
def driver_first(bench: Bench) -> Run:
    run, usual = bench.run("driver_first", patience=30.0), bench.stub.latency
    bench.stub.latency = 5.0
    run.start()
    run.wait_for("the first question", lambda: bench.stub.received)
    run.say("SIGKILL to the driver before its first trial")
    run.signal(signal.SIGKILL)
    run.facts["first_exit"] = run.end()
    bench.stub.latency = usual
    run.start("restore")
    return see_to_the_end(run)


@case("interrupt", "Ctrl-C (SIGINT) to the driver, Tuner.restore")
def interrupt(bench: Bench) -> Run:
    return _kill_and_restore(bench, bench.run("interrupt", advisor="guide"), signal.SIGINT, 20)


@case("raises", "exceptions in the trainable, two retries allowed")
def raises(bench: Bench) -> Run:
    run = bench.run("raises", task={"odd": "raises"}, max_failures=2, num_samples=5)
    run.start()
    return see_to_the_end(run)


@case("asha", "ASHA stops trials, the searcher keeps their curves")
def asha(bench: Bench) -> Run:
    run = bench.run("asha", scheduler="asha")
    run.start()
    return see_to_the_end(run)


@case("pause", "a scheduler pauses every trial and takes it up again")
def pause(bench: Bench) -> Run:
    run = bench.run("pause", scheduler="pause", advisor="guide")
    run.start()
    return see_to_the_end(run)


@case("hyperband", "HyperBand pauses trials and stops them in their pause")
def hyperband(bench: Bench) -> Run:
    run = bench.run("hyperband", scheduler="hyperband", num_samples=14)
    run.start()
    return see_to_the_end(run)


@case("pbt", "PBT pauses trials and copies checkpoints (it takes no searcher)")
def pbt(bench: Bench) -> Run:
    run = bench.run("pbt", scheduler="pbt", llm="", advisor="guide", num_samples=4,
                    task={"epochs": 8})  # fmt: skip
    run.start()
    return see_to_the_end(run)


@case("time_budget", "time_budget_s ends the run")
def time_budget(bench: Bench) -> Run:
    run = bench.run("time_budget", time_budget_s=25.0, num_samples=200, task={"epochs": 12})
    run.start()
    return see_to_the_end(run)


@case("values", "trials report NaN, a string, infinity, and no metric at all")
def values(bench: Bench) -> Run:
    run = bench.run(
        "values", task={"odd": "values", "epochs": 7},
        environment={"TUNE_DISABLE_STRICT_METRIC_CHECKING": "1"},
    )  # fmt: skip
    run.start()
    return see_to_the_end(run)


@case("full_disk", "the disk is full for a while: the ledger cannot grow")
def full_disk(bench: Bench) -> Run:
    run = bench.run("full_disk", sabotage={"full_disk": [12, 30]})
    run.start()
    return see_to_the_end(run)


@case("gone_folder", "the ledger's folder is deleted")
def gone_folder(bench: Bench) -> Run:
    run = bench.run("gone_folder", sabotage={"gone_folder": 14})
    run.start()
    return see_to_the_end(run)


@case("dead_model", "the model is dead from the start")
def dead_model(bench: Bench) -> Run:
    run = bench.run("dead_model", num_samples=10)
    run.settings.base_url = "http://127.0.0.1:9/v1"  # the discard port: nobody listens
    run.write()
    run.start()
    return see_to_the_end(run)
