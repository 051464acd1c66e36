"""The command line: ``raymimic demo`` shows a search, ``prompt`` what a model would be sent."""

from __future__ import annotations

import argparse
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raymimic import __version__
from raymimic.cli.scripts import add_scripts
from raymimic.errors import MissingExtra, RaymimicError
from raymimic.evolve.command import add_evolve
from raymimic.invent.command import add_invent
from raymimic.report.commands import add_commands

if TYPE_CHECKING:
    from raymimic.advisor import SearchEvidence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status. Our own errors are one line, no traceback."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # PYTHONIOENCODING=ascii must not end a command
        sys.stdout.reconfigure(errors="replace")
    try:
        options.run(options)
    except RaymimicError as error:
        print(f"raymimic: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("raymimic: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="raymimic", description="A Ray Tune searcher that reads learning curves."
    )
    parser.add_argument("--version", action="version", version=f"raymimic {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    add_scripts(commands)
    _add_prompt(commands)
    _add_lessons(commands)
    add_evolve(commands)
    add_invent(commands)
    add_commands(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser("demo", help="search a small CNN's settings and watch it")
    demo.set_defaults(run=_demo)
    demo.add_argument(
        "--data",
        choices=["digits", "mnist", "fashion-mnist", "cifar10"],
        default="digits",
        help="digits ships with scikit-learn; the others need --data-dir",
    )
    demo.add_argument("--data-dir", type=Path, help="where the data set's files lie")
    demo.add_argument(
        "--searcher", choices=["llm", "optuna", "random"], default="llm", help="who proposes"
    )
    demo.add_argument(
        "--llm",
        default="auto",
        help='"auto" (a key in the environment, else keyless), "none", "anthropic:MODEL", '
        '"openai:MODEL", "transformers:FOLDER", "llamacpp:FILE.gguf"',
    )
    demo.add_argument("--trials", type=_positive, default=16, help="default: 16")
    demo.add_argument("--epochs", type=_positive, help="epochs a trial; default: by data set")
    demo.add_argument("--train-samples", type=_positive, help="default: by data set")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--out", type=Path, help="results folder; default: a new one here")


def _add_prompt(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    prompt = commands.add_parser(
        "prompt",
        help="print the exact prompt of the next call, its tokens and price, without spending",
    )
    prompt.set_defaults(run=_prompt)
    prompt.add_argument(
        "target", type=Path, help="a script (.py) that starts a search, or a search's ledger"
    )
    prompt.add_argument("--llm", default="auto", help="whose price to show; as for demo")
    prompt.add_argument(
        "-n", type=_positive, help="how many configurations to ask for; default: as the search"
    )


def _add_lessons(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    lessons = commands.add_parser(
        "lessons", help="write what a search learnt, for people and for the next search"
    )
    lessons.set_defaults(run=_lessons)
    lessons.add_argument("ledger", type=Path, help="the search's ledger; a dead run's will do")
    lessons.add_argument(
        "-o", "--out", type=Path, required=True, help="file for LLMSearcher(lessons=...)"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _demo(options: argparse.Namespace) -> None:
    try:
        from raymimic.demo.run import DemoSettings, run_demo
    except ModuleNotFoundError as error:
        raise MissingExtra(f'the demo needs {error.name}: pip install "raymimic[demo]"') from None
    run_demo(
        DemoSettings(
            data=options.data,
            data_dir=options.data_dir,
            searcher=options.searcher,
            llm=options.llm,
            trials=options.trials,
            train_samples=options.train_samples,
            epochs=options.epochs,
            seed=options.seed,
            out=options.out,
        )
    )


def _prompt(options: argparse.Namespace) -> None:
    from raymimic.advisor import build_request
    from raymimic.llm import PROVIDERS, cost, estimate_tokens, resolve_llm

    logging.getLogger("raymimic").setLevel(logging.WARNING)
    llm = resolve_llm(options.llm)
    model = llm.model if llm is not None else PROVIDERS["anthropic"].provider.model
    evidence, n = _question(options.target)
    request = build_request(evidence, options.n or n)
    print(f"--- system\n{request.system}\n\n--- user\n{request.user}\n")
    tokens = estimate_tokens(request.system + request.user)
    price = cost(model, tokens, request.max_tokens)
    paid = "of unknown price" if price is None else f"at most ${price:.4f}"
    note = "" if llm is not None else " (no model is set: this is the default one)"
    print(
        f"--- about {tokens:,} tokens in, at most {request.max_tokens:,} out: {paid} "
        f"with {model}{note}. Nothing was sent."
    )


def _lessons(options: argparse.Namespace) -> None:
    from raymimic.advisor import evidence_from_ledger, lessons_text, write_lessons_file
    from raymimic.ledger import read_events

    evidence = evidence_from_ledger(read_events(options.ledger))
    write_lessons_file(options.out, lessons_text(evidence))
    print(f"{len(evidence.trials)} trials: {options.out}")


def _question(target: Path) -> tuple[SearchEvidence, int]:
    if target.suffix == ".py":
        from raymimic.tune.dry_run import searcher_of

        question: tuple[SearchEvidence, int] = searcher_of(target).next_question()
        return question
    from raymimic.advisor import evidence_from_ledger, question_to_guide
    from raymimic.ledger import read_events

    events = read_events(target)
    evidence, search = evidence_from_ledger(events), events.search or {}
    wanted = evidence.budget.cap(search.get("batch", 1))
    return question_to_guide(evidence, wanted, search.get("seed", 0))
