"""The command line of a study in which one mind answers one search, task after task."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from experiments.common import tables
from experiments.common.quiet import silence

Run = Callable[[str, int, list[str], Path, Path], None]
"""What is searched with, seed, tasks, folder of the tables, folder of the results."""


def main(
    about: str | None,
    flag: str,
    arms: Iterable[str],
    tasks: Iterable[str],
    run: Run,
    show: Callable[[Path], str],
) -> None:
    """Parse ``run`` (one of the ``arms``, by ``flag``) or ``show`` (what is there), and do it."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument(flag, dest="arm", required=True, choices=list(arms))
    runs.add_argument("--seed", type=int, required=True)
    runs.add_argument("--tasks", nargs="+", default=list(tasks), choices=list(tables.SOURCES))
    runs.add_argument("--tables", type=Path, required=True)
    runs.add_argument("--out", type=Path, required=True)
    shows = commands.add_parser("show")
    shows.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.command == "show":
        print(show(options.out))
        return
    silence()
    run(options.arm, options.seed, options.tasks, options.tables, options.out)
