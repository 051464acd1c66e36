"""Trainings as jobs: one at a time or over several processes, with a word on how far it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from experiments.modulation import arms, catalog, record, training
from experiments.modulation.task import StudyError


@dataclass(frozen=True)
class Job:
    """One training."""

    study: str
    size: int
    arm: str
    seed: int
    out: Path
    data: Path | None
    recipe: dict[str, float] | None = None
    tested: bool = True
    metric: str | None = None

    @property
    def path(self) -> Path:
        return record.path_of(self.out, self.study, self.size, self.arm, self.seed)

    @property
    def ledger(self) -> Path | None:
        """Where to keep the ledger: what a real model said cost money and can be read again."""
        if "@" not in self.arm:
            return None
        name = f"{self.study}-{self.size}-{self.seed}.jsonl"
        return self.out / "ledgers" / arms.file_name(self.arm) / name

    def __str__(self) -> str:
        return f"{self.study} {self.size} {self.arm} seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """How a training went: ``fault`` is empty if its record was written."""

    job: Job
    seconds: float
    fault: str = ""


def work(job: Job) -> Outcome:
    """Run one training and write its record."""
    begun = time.perf_counter()
    try:
        if job.ledger:
            job.ledger.parent.mkdir(parents=True, exist_ok=True)
            job.ledger.unlink(missing_ok=True)  # of a training that was cut off
        done = training.train(
            catalog.STUDIES[job.study], job.size, job.arm, job.seed, job.data, job.recipe,
            job.ledger, job.tested, job.metric,
        )  # fmt: skip
        record.write(job.path, done)
    except StudyError as reason:
        return Outcome(job, 0.0, str(reason))
    except Exception:  # noqa: BLE001  one training that breaks must not end the others
        return Outcome(job, 0.0, traceback.format_exc())
    return Outcome(job, time.perf_counter() - begun)


def run_all(jobs: list[Job], workers: int) -> bool:
    """Run the jobs in ``workers`` processes (one: in this one); whether none of them broke."""
    if workers == 1:
        try:
            return _follow(map(work, jobs), len(jobs))
        except KeyboardInterrupt:
            print("\nstopped; the same command goes on from here")
            raise SystemExit(130) from None
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # the processes begun below inherit it
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no worker outlives a kill
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)
    )  # Ctrl-C is the parent's business
    try:
        futures = [pool.submit(work, job) for job in jobs]
        return _follow((future.result() for future in as_completed(futures)), len(jobs))
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        print("\nstopped; the same command goes on from here")
        raise SystemExit(130) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _follow(outcomes: Iterator[Outcome], total: int) -> bool:
    """Say how far it is, and each fault."""
    begun, good, spoken = time.monotonic(), True, 0.0
    for done, outcome in enumerate(outcomes, start=1):
        now = time.monotonic()
        if outcome.fault:
            good = False
            print(f"\nFAILED {outcome.job}\n{outcome.fault}", flush=True)
        if done == total or now - spoken > (0.5 if sys.stdout.isatty() else 30.0):
            spoken, left = now, (now - begun) / done * (total - done)
            line = f"{done}/{total} trainings, {left / 60:.1f} min to go, {outcome.job} "
            line += f"{outcome.seconds:.1f} s"
            print(f"\r\x1b[K{line}" if sys.stdout.isatty() else line, end="", flush=True)
            print(end="" if sys.stdout.isatty() else "\n", flush=True)
    print()
    return good
