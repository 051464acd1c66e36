"""The commands that read a run: each adds itself to ``raymimic``'s command line."""

from __future__ import annotations

import argparse
from pathlib import Path

RUN_HELP = "a ledger, a results folder, a Tune experiment's folder, or a URI that pyarrow reads"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add all commands of this room."""
    _add_report(commands)


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = commands.add_parser(
        "report", help="write one HTML page about a run: finished, running or killed"
    )
    report.set_defaults(run=_report)
    report.add_argument("target", metavar="RUN", help=RUN_HELP)
    report.add_argument(
        "-o", "--out", type=Path, help="the file; default: report.html beside the ledger"
    )


def _report(options: argparse.Namespace) -> None:
    from raymimic.report.find import find_ledgers
    from raymimic.report.page import page_of
    from raymimic.report.payload import headline, payload_of
    from raymimic.report.reading import read_run

    ledgers = find_ledgers(options.target)
    run = read_run(ledgers)
    out: Path = options.out or ledgers[0].with_name("report.html")
    page = page_of(payload_of(run), f"{headline(run)} · raymimic")
    out.write_text(page, encoding="utf-8")
    print(f"{headline(run)}: {out} ({out.stat().st_size / 1e6:.1f} MB)")
