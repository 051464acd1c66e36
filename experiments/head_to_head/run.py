"""Searches any set of tasks with any set of methods over paired seeds, and writes the report.

    python -m experiments.head_to_head.run --methods tpe,gp,raymimic --tasks final \
        --seeds 20 --trials 50 --workers 2 --tables DIR --out results/final

Each (task, method, seed) is one Parquet file under OUT/raw; what is there is not run again, so an
interrupted call goes on where it stopped. Then report.md, results.parquet and plots go into OUT.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from experiments.common import trial_rows
from experiments.common.jobs import Outcome, run_all
from experiments.common.quiet import silence
from experiments.common.record import file_name
from experiments.common.task import NotApplicable
from experiments.head_to_head import catalog, methods
from raymimic.errors import LLMSetupError


@dataclass(frozen=True)
class Job:
    """One search."""

    task: str
    method: str
    seed: int
    trials: int
    out: Path
    tables: Path | None
    data: Path | None
    preset: str

    @property
    def path(self) -> Path:
        return trial_rows.path_of(self.out, self.task, self.method, self.seed)

    @property
    def ledger(self) -> Path | None:
        """Where to keep the ledger: what a real model said cost money and can be replayed."""
        if "@" not in self.method:
            return None
        folder = self.out / "ledgers" / file_name(self.method)
        return methods.ledger_of(folder, self.task, self.seed)

    def __str__(self) -> str:
        return f"{self.task} {self.method} seed {self.seed}"


def search(job: Job) -> Outcome:
    """Run one search and write its record."""
    begun = time.perf_counter()
    try:
        task = catalog.load(job.task, job.tables, job.data, job.out / "trainings", job.preset)
        method = methods.find(job.method)
        with tempfile.TemporaryDirectory() as folder:
            ledger = job.ledger or Path(folder, "ledger.jsonl")
            ledger.unlink(missing_ok=True)  # of a search that was cut off
            rows = method.run(job.method, task, job.seed, job.trials, ledger)
        trial_rows.write(job.path, rows, job.trials)
    except (NotApplicable, LLMSetupError) as reason:
        return Outcome(job, 0.0, str(reason), skipped=job.method)
    except Exception:  # noqa: BLE001  one search that breaks must not end the others
        return Outcome(job, 0.0, traceback.format_exc())
    return Outcome(job, time.perf_counter() - begun)


def missing(options: argparse.Namespace) -> list[Job]:
    """The searches whose record is not there yet, paired seeds first."""
    jobs = [
        Job(
            task,
            method,
            seed,
            options.trials,
            options.out,
            options.tables,
            options.data_dir,
            options.preset,
        )
        for seed in range(options.seeds)
        for task in options.tasks
        for method in options.methods
    ]
    for job in jobs:
        budget = trial_rows.budget_of(job.path)
        if budget not in (None, job.trials):
            raise SystemExit(
                f"{job.path} was searched with {budget} trials, not {job.trials}: "
                "searchers know their budget, so use another --out"
            )
    return [job for job in jobs if trial_rows.budget_of(job.path) is None]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default="all", help="names by comma, or all")
    parser.add_argument("--tasks", default="tables", help="names and groups by comma")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tables", type=Path, help="folder of the tables")
    parser.add_argument("--data-dir", type=Path, help="folder of the image data")
    parser.add_argument(
        "--preset",
        default="cpu",
        help="size of the CNN trainings: cpu or full, or changed: cpu,image_size=16,epochs=3",
    )
    parser.add_argument("--report", action="store_true", help="only write the report")
    options = parser.parse_args(arguments)
    try:
        options.tasks = catalog.names(options.tasks)
        options.methods = methods.names(options.methods)
    except ValueError as error:
        parser.error(str(error))
    return options


def settle_preset(options: argparse.Namespace) -> None:
    """Hold one folder to one size of trainings; ends the program for another or an unknown one."""
    if set(options.tasks).isdisjoint(catalog.GROUPS["real"]):
        return
    from experiments.common.real import cnn_training  # needs torch

    try:
        cnn_training.settings_of(options.preset)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    kept = options.out / "preset.txt"
    if kept.exists() and kept.read_text().strip() != options.preset:
        raise SystemExit(f"{kept} says {kept.read_text().strip()}: use another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    kept.write_text(options.preset + "\n")


def main() -> None:
    options = parse()
    good = True
    if not options.report:
        settle_preset(options)
        jobs = missing(options)
        print(f"{len(jobs)} searches to run", flush=True)
        good = run_all(jobs, search, options.workers, noun="searches", prepare=silence)
    write_report(options.out)
    raise SystemExit(0 if good else 1)


def write_report(out: Path) -> None:
    try:
        from experiments.head_to_head import report
    except ImportError as error:
        print(f"no report written: {error}")
        return
    report.write(out)


if __name__ == "__main__":
    main()
