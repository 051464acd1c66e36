"""Runs of a study as jobs: one at a time or over several processes, and how far it is in words."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a job went: ``fault`` is empty if its record was written.

    ``skipped``: what cannot be run here (a method's name); ``fault`` then says why, once for each.
    """

    job: Any
    seconds: float
    fault: str = ""
    skipped: str = ""


def run_all(
    jobs: Sequence[Any],
    work: Callable[[Any], Outcome],
    workers: int,
    *,
    noun: str,
    prepare: Callable[[], None] | None = None,
) -> bool:
    """Do ``work`` on each job in ``workers`` processes, 0 for this one; whether none broke.

    ``prepare`` begins each process. Ctrl-C ends the program with status 130.
    """
    if not jobs:
        return True
    try:
        if workers:
            return _in_processes(jobs, work, workers, noun, prepare)
        return _follow(map(work, jobs), len(jobs), noun)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here")
        raise SystemExit(130) from None


def _in_processes(
    jobs: Sequence[Any],
    work: Callable[[Any], Outcome],
    workers: int,
    noun: str,
    prepare: Callable[[], None] | None,
) -> bool:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # the processes begun below inherit it: timings stay comparable
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no worker outlives a kill
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (prepare,))
    try:
        futures = [pool.submit(work, job) for job in jobs]
        return _follow((future.result() for future in as_completed(futures)), len(jobs), noun)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(prepare: Callable[[], None] | None) -> None:
    """Begin a worker process; Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if prepare is not None:
        prepare()


def _follow(outcomes: Iterator[Outcome], total: int, noun: str) -> bool:
    """Say how far it is, and each fault; what is skipped for one reason is said once."""
    begun, said, good, spoken = time.monotonic(), set(), True, 0.0
    for done, outcome in enumerate(outcomes, start=1):
        now = time.monotonic()
        if outcome.skipped:
            if (outcome.skipped, outcome.fault) not in said:
                print(f"\nSKIPPED {outcome.skipped}: {outcome.fault}", flush=True)
            said.add((outcome.skipped, outcome.fault))
        elif outcome.fault:
            good = False
            print(f"\nFAILED {outcome.job}\n{outcome.fault}", flush=True)
        if done == total or now - spoken > (0.5 if sys.stdout.isatty() else 30.0):
            spoken, left = now, (now - begun) / done * (total - done)
            line = f"{done}/{total} {noun}, {left / 60:.1f} min to go, {outcome.job} "
            line += f"{outcome.seconds:.1f} s"
            print(f"\r\x1b[K{line}" if sys.stdout.isatty() else line, end="", flush=True)
            print(end="" if sys.stdout.isatty() else "\n", flush=True)
    print()
    return good
