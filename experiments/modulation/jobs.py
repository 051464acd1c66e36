"""A training as a job."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from experiments.common.jobs import Outcome
from experiments.common.record import file_name
from experiments.modulation import catalog, record, training
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
        return self.out / "ledgers" / file_name(self.arm) / name

    def __str__(self) -> str:
        return f"{self.study} {self.size} {self.arm} seed {self.seed}"


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
