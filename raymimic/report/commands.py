"""The commands that read a run: ``report``, ``watch``, ``why``, ``lab-book``, ``export``."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from raymimic.errors import LedgerError
from raymimic.report.tell import add_tell

if TYPE_CHECKING:
    from raymimic.report.run import Run

_RUN = "a ledger, a results folder, a Tune experiment's folder, or a URI that pyarrow reads"
_INDENT = 12  # columns of a story's headings
_SUGGESTED = 8  # trials named where the one asked for is not there


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add all commands of this room."""
    report = commands.add_parser(
        "report", help="write one HTML page about a run: finished, running or killed"
    )
    report.add_argument("target", metavar="RUN", help=_RUN)
    report.add_argument("-o", "--out", type=Path, help="default: report.html beside the ledger")
    report.set_defaults(run=_report)

    watch = commands.add_parser("watch", help="show that page live while the run goes on")
    watch.add_argument("target", metavar="RUN", help=_RUN)
    watch.add_argument("--port", type=int, default=0, help="default: any free one")
    watch.set_defaults(run=_watch)

    why = commands.add_parser(
        "why", help="tell a trial's story: why it was tried, what was expected, why it ended"
    )
    why.add_argument("trial", metavar="TRIAL", help='its id or the beginning of it, or "best"')
    why.add_argument("target", metavar="RUN", help=_RUN)
    why.set_defaults(run=_why)

    book = commands.add_parser(
        "lab-book", help="write a run up as a researcher would, failed hypotheses included"
    )
    book.add_argument("target", metavar="RUN", help=_RUN)
    book.add_argument("-o", "--out", type=Path, help="a Markdown file; default: print it")
    book.set_defaults(run=_lab_book)

    add_tell(commands)

    export = commands.add_parser("export", help="a run for other tools")
    export.add_argument("target", metavar="RUN", help=_RUN)
    export.add_argument(
        "--optuna", type=Path, metavar="DB", help="a new SQLite file for optuna-dashboard"
    )
    export.add_argument("--parquet", type=Path, metavar="FILE", help="one row a trial")
    export.add_argument("--csv", type=Path, metavar="FILE", help="one row a trial")
    export.set_defaults(run=_export, parser=export)


def _read(target: str) -> Run:
    from raymimic.report.find import find_ledgers
    from raymimic.report.reading import read_run

    return read_run(find_ledgers(target))


def _report(options: argparse.Namespace) -> None:
    from raymimic.report.page import packed, page_of
    from raymimic.report.payload import headline, payload_of

    run = _read(options.target)
    out: Path = options.out or Path(run.ledger).with_name("report.html")
    page = page_of(packed(payload_of(run)), f"{headline(run)} · raymimic")
    out.write_text(page, encoding="utf-8", errors="replace")
    print(f"{headline(run)}: {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _watch(options: argparse.Namespace) -> None:
    from raymimic.report.watch import Watch

    with Watch(options.target, options.port) as watch:
        print(f"{watch.address}\nlive until Ctrl-C; only this machine can open it", flush=True)
        watch.serve()


def _why(options: argparse.Namespace) -> None:
    from raymimic.report.story import story_of
    from raymimic.summary import show

    run = _read(options.target)
    index = _wanted(run, options.trial)
    trial = run.trials[index]
    settings = ", ".join(f"{name}={show(value)}" for name, value in trial.config.items())
    width = max(40, shutil.get_terminal_size().columns)
    for heading, text in [(f"Trial {trial.trial_id}", settings), *story_of(run, index)]:
        lead = heading.ljust(_INDENT) + "  "
        for line in text.splitlines() or [""]:
            print(textwrap.fill(_visible(line), width, initial_indent=lead,
                                subsequent_indent=" " * (_INDENT + 2)))  # fmt: skip
            lead = " " * (_INDENT + 2)


def _wanted(run: Run, name: str) -> int:
    """The trial that is meant; raises `LedgerError` where none or several are."""
    index = run.scored[0] if name == "best" and run.scored else run.index(name)
    if index is None:
        known = [trial.trial_id for trial in run.trials]
        alike = [one for one in known if one.startswith(name[:2])] or known
        raise LedgerError(
            f"{name!r} names no single trial of {run.ledger} ({len(known):,} trials); there are "
            f"{', '.join(alike[:_SUGGESTED]) or 'none'}"
        )
    return index


def _visible(text: str) -> str:
    """Foreign text without what would steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def _lab_book(options: argparse.Namespace) -> None:
    from raymimic.report.lab_book import lab_book

    text = lab_book(_read(options.target))
    if options.out is None:
        print("\n".join(map(_visible, text.splitlines())))
    else:
        options.out.write_text(text, encoding="utf-8", errors="replace")
        print(options.out)


def _export(options: argparse.Namespace) -> None:
    from raymimic.report.export import write_csv, write_parquet, write_study

    if not (options.optuna or options.parquet or options.csv):
        options.parser.error("say what for: --optuna DB, --parquet FILE or --csv FILE")
    run = _read(options.target)
    if options.optuna:
        name = write_study(run, options.optuna)
        print(f"{options.optuna}: study {name!r}; optuna-dashboard sqlite:///{options.optuna}")
    for path, write in ((options.parquet, write_parquet), (options.csv, write_csv)):
        if path:
            write(run, path)
            print(f"{path}: {len(run.trials):,} trials")
