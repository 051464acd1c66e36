"""Trains any study under any arms over paired seeds, and writes the report.

    python -m experiments.modulation.run --study mnist --sizes 10,100,600 --arms plain,guided \
        --seeds 20 --data-dir DIR --out OUT --workers 1

Each (study, size, arm, seed) is one JSON file under OUT/raw; what is there is not run again, so an
interrupted call goes on where it stopped (to run an arm again, delete its folder there). The arm
`fixed` first trains the candidates of its random search. Then report.md, results.parquet and
plot.png go into OUT. What the arms do is in arms.py, what `fixed` costs in recipes.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from experiments.common.jobs import run_all
from experiments.modulation import arms, catalog, recipes
from experiments.modulation.jobs import Job, work
from experiments.modulation.task import StudyError


def tuning(options: argparse.Namespace) -> list[Job]:
    """The trainings from which `fixed` takes its recipes."""
    if not any("fixed" in arm_names for _, _, arm_names in plan(options)):
        return []
    return [
        Job(
            study,
            size,
            name,
            seed,
            options.out,
            options.data_dir,
            recipe,
            tested=False,
            metric=options.metric,
        )
        for study, size, arm_names in plan(options)
        if "fixed" in arm_names
        for seed in recipes.tuning_seeds(options.tuning_seeds)
        for name, recipe in recipes.candidates(options.candidates).items()
    ]


def trainings(options: argparse.Namespace) -> list[Job]:
    """The trainings of the study itself, small sizes and paired seeds first."""
    found = []
    for study, size, arm_names in plan(options):
        recipe = None
        if "fixed" in arm_names:
            recipe = recipes.chosen(
                options.out, study, size, options.candidates, options.tuning_seeds
            )
            print(f"fixed holds {recipe or 'the same as plain'} for {study} {size}", flush=True)
        found += [
            Job(
                study,
                size,
                arm,
                seed,
                options.out,
                options.data_dir,
                recipe if arm == "fixed" else None,
                metric=options.metric,
            )
            for seed in range(options.first_seed, options.first_seed + options.seeds)
            for arm in arm_names
        ]
    return found


def plan(options: argparse.Namespace) -> Iterable[tuple[str, int, tuple[str, ...]]]:
    """(study, size, arms) as asked for; a study that cannot run here is said and left out."""
    for name in options.study:
        study = catalog.STUDIES[name]
        for size in options.sizes or study.sizes:
            yield name, size, options.arms or study.arms


def drop_impossible(options: argparse.Namespace) -> bool:
    """Take out the studies that cannot run here, loudly; whether there were none."""
    asked, options.study = options.study, []
    for name in asked:
        try:
            catalog.STUDIES[name].check()
            options.study.append(name)
        except StudyError as reason:
            print(f"SKIPPED {name}: {reason}", flush=True)
    return len(asked) == len(options.study)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", default="mnist", help="names and groups by comma")
    parser.add_argument("--sizes", help="by comma; default: those of the study")
    parser.add_argument("--arms", help="names by comma; default: those of the study")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--candidates", type=int, default=recipes.CANDIDATES)
    parser.add_argument("--tuning-seeds", type=int, default=recipes.TUNING_SEEDS)
    parser.add_argument("--metric", help="validation metric, such as val_accuracy")
    parser.add_argument("--data-dir", type=Path, help="folder that holds MNIST/raw")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="only write the report")
    options = parser.parse_args(arguments)
    try:
        options.study = catalog.names(options.study)
        options.sizes = [int(size) for size in options.sizes.split(",")] if options.sizes else None
    except ValueError as error:
        parser.error(str(error))
    options.arms = tuple(options.arms.split(",")) if options.arms else None
    for arm in options.arms or ():
        if not arms.known(arm):
            parser.error(f"there is no arm {arm!r}; known: {', '.join(arms.NAMES)}, guided@MODEL")
    return options


def settle_metric(options: argparse.Namespace) -> None:
    """Hold one folder to one metric; ends the program for another."""
    kept, wanted = options.out / "metric.txt", options.metric or "the study's own"
    if kept.exists() and kept.read_text().strip() != wanted:
        raise SystemExit(f"{kept} says {kept.read_text().strip()}: use another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    kept.write_text(wanted + "\n")


def main() -> None:
    options = parse()
    good = True
    if not options.report:
        settle_metric(options)
        good = drop_impossible(options)
        for jobs_of in (tuning, trainings):  # the recipes are read from the tuning's records
            jobs = [job for job in jobs_of(options) if not job.path.exists()]
            print(f"{len(jobs)} trainings to run ({jobs_of.__name__})", flush=True)
            workers = options.workers if options.workers > 1 else 0
            good = run_all(jobs, work, workers, noun="trainings") and good
            if jobs_of is tuning and not good and jobs:
                raise SystemExit("a candidate of `fixed` broke: no recipe without it")
    from experiments.modulation import report

    report.write(options.out)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
