"""``raymimic tell``: steers a running search in words, from any terminal that sees its folder."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raymimic.errors import LedgerError

_WAIT_S = 15.0
_LOOK_S = 0.2

_HELP = """\
Tell a running search what you wish. The search answers within seconds, each wish gets a number,
and wishes and answers stand in its ledger. Several wishes are separated by ";".

limits, which every proposal keeps to, whoever makes it:
  lr below 0.01            width between 64 and 512      width * depth <= 2048
  activation is not tanh   stop trying sgd               only adam or adamw
leanings, which proposals follow until results speak against them:
  prefer small models      prefer adam                   lr around 3e-4
a configuration to run next; what you leave out is as in the best trial so far:
  enqueue lr=3e-4, width=128
orders:
  pause                    resume                        stop after the running trials
  stop trial ab12cd        more trials 20                take back 2
Anything else is read by the language model, if the search has one.
"""
_EXAMPLES = """\
examples:
  raymimic tell ~/ray_results/mnist "prefer small models; stop trying sgd"
  raymimic tell ledger.jsonl                   what was wished so far
"""


def add_tell(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    tell = commands.add_parser(
        "tell",
        help="steer a running search in words",
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tell.add_argument(
        "target", metavar="RUN", help="its ledger, results folder or Tune experiment's folder"
    )
    tell.add_argument("words", metavar="WISH", nargs="*", help="none: list what was wished so far")
    tell.add_argument(
        "--wait", type=float, default=_WAIT_S, metavar="SECONDS",
        help=f"for the answer; default: {_WAIT_S:.0f}",
    )  # fmt: skip
    tell.set_defaults(run=_tell)


def _tell(options: argparse.Namespace) -> None:
    from raymimic.report.find import find_ledgers
    from raymimic.search.inbox import post

    if "://" in options.target:
        raise LedgerError(
            f"{options.target!r}: a wish is written beside the ledger, which must be a file on "
            "this machine or in a folder it shares; give that path"
        )
    ledger = find_ledgers(options.target)[0]
    rows = _search_of(ledger)
    if not options.words:
        _list([row for row in rows if row["event"] == "wish"])
        return
    text = " ".join(options.words)
    _check(text, rows, ledger)
    size = ledger.stat().st_size
    tell = post(ledger, text, str(rows[0].get("search", "")))
    answers = _answers(ledger, size, tell, options.wait)
    for row in answers:
        print(f"{row['number']}. {row['text']}: {row['answer']}")
    if not answers:
        raise LedgerError(
            f"no answer within {options.wait:g} s. The wish is kept beside {str(ledger)!r}; a "
            "search that is there reads it, and so does one that is restored. If it runs: is its "
            "folder the same as this one?"
        )


def _search_of(ledger: Path) -> list[dict[str, Any]]:
    """The events of the last search in the ledger, which begins them."""
    from raymimic.ledger import Events, read_events

    events = read_events(ledger)
    begins = [at for at, row in enumerate(events.rows) if row["event"] == "search"]
    if not begins:
        raise LedgerError(
            f"a wish is for a search, and {str(ledger)!r} records none; give the file that "
            "LLMSearcher named at its start"
        )
    search = str(events.rows[begins[-1]].get("search", ""))
    return list(Events(events.rows[begins[-1] :]).of_search(search).rows)


def _check(text: str, rows: list[dict[str, Any]], ledger: Path) -> None:
    """Raise `LedgerError` for a wish that nobody would hear or that is none."""
    from raymimic.search.steering import MOST_TEXT

    if not text.strip():
        raise LedgerError(
            'a wish needs words, such as "lr below 0.01"; raymimic tell --help has more'
        )
    if len(text) > MOST_TEXT:
        raise LedgerError(f"a wish must have at most {MOST_TEXT:,} characters, got {len(text):,}")
    life = [row["event"] for row in rows if row["event"] in ("search", "start", "summary")]
    if life[-1:] == ["summary"]:
        raise LedgerError(
            f"the run of {str(ledger)!r} has ended, so nobody would hear it; begin a new one, with "
            f"instruction={text[:60]!r} if you like"
        )


def _answers(ledger: Path, size: int, tell: str, seconds: float) -> list[Mapping[str, Any]]:
    """Wait for the answers to a message, in the part of the ledger that is written from now on."""
    found: list[Mapping[str, Any]] = []
    end = time.monotonic() + seconds
    with open(ledger, "rb") as file:
        file.seek(size)
        rest = b""
        while time.monotonic() < end:
            *lines, rest = (rest + file.read()).split(b"\n")
            found += [row for row in _wishes(lines) if row.get("tell") == tell]
            if found and len(found) >= found[0].get("parts", 1):
                break
            time.sleep(_LOOK_S)
    return found


def _wishes(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if b'"event": "wish"' in line:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            yield row


def _list(wishes: list[dict[str, Any]]) -> None:
    """Print what was wished so far, and what came of it."""
    if not wishes:
        print("nothing was wished yet; raymimic tell --help says what can be")
    for row in wishes:
        whose = "" if row["who"] == "you" else f" [{row['who']}]"
        print(f"{row['number']}. {row['text']}{whose}: {row['answer']}")
