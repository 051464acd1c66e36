"""Two trials at once against one: ``python -m experiments.guided_evolution.throughput --out DIR``.

One, two, one, two ... in turn, keyless programs from the seed "conv1d" on the digits. By the clock
(medians), and since a busy machine says little by the clock, by processor seconds of a program: in
the sandboxes of the trials, in Ray's processes, in the driver and its smoke tests. How many cores
one trial keeps busy says how much two can gain.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import ray
from ray import tune

from experiments.guided_evolution.faults import evolve

_SANDBOXES, _RAY, _DRIVER = "sandboxes", "Ray", "driver and smoke tests"


class Clock(tune.Callback):
    """At each program's end: seconds, and processor seconds by whose they are."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, Counter[str]]] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """One program was evaluated."""
        del iteration, trials, trial
        self.seen.append((time.monotonic(), _used()))


def _used() -> Counter[str]:
    import psutil  # Ray brings it

    own = psutil.Process()
    used = Counter({_DRIVER: sum(own.cpu_times()[:2])})
    for child in own.children(recursive=True):
        try:
            line, seconds, parent = " ".join(child.cmdline()), child.cpu_times(), child.ppid()
        except psutil.NoSuchProcess:
            continue
        if "sandbox.runner" in line:  # with the candidates that it has waited for
            used[_DRIVER if parent == own.pid else _SANDBOXES] += sum(seconds[:4])
        else:
            used[_RAY] += sum(seconds[:2])
    return used


def measured(out: Path, programs: int, concurrent: int, epochs: int, batch_size: int) -> float:
    """Programs a minute while all trials are at work; says where the processor's time went."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, address="local")
    clock = Clock()
    evolve(out, programs, concurrent, epochs=epochs, batch_size=batch_size, callbacks=[clock])
    ray.shutdown()
    # From the end of each trial's first program, which has torch's import in it, to the first end
    # after which a trial finds no further program.
    (begun, before), (ended, after) = clock.seen[concurrent - 1], clock.seen[-concurrent]
    done = len(clock.seen) - 2 * concurrent + 1
    each = {name: (after[name] - before[name]) / done for name in after}
    rate = 60 * done / (ended - begun)
    print(
        f"{concurrent} at once: {rate:.1f} programs a minute, {sum(each.values()) * rate / 60:.2f} "
        f"cores, load {os.getloadavg()[0]:.1f}; processor seconds of a program: "
        + ", ".join(f"{seconds:.2f} in {name}" for name, seconds in each.items()),
        flush=True,
    )
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--programs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rates = defaultdict(list)
    for number in range(options.rounds):
        for concurrent in (1, 2):
            out = options.out.absolute() / f"{number}_{concurrent}"
            out.mkdir(parents=True)
            rates[concurrent].append(
                measured(out, options.programs, concurrent, options.epochs, options.batch_size)
            )
    one, two = (statistics.median(rates[concurrent]) for concurrent in (1, 2))
    print(f"medians: {one:.1f} and {two:.1f} programs a minute, {two / one:.2f} times")


if __name__ == "__main__":
    main()
