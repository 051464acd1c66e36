"""The arguments of ``raymimic invent``."""

from __future__ import annotations

import argparse
from pathlib import Path

from raymimic.errors import MissingExtra


def add_invent(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    invent = commands.add_parser(
        "invent",
        help="invent algorithms that improve a model by merging it with models tuned from it",
        description="A setup file defines task (a raymimic.MergeTask) and evaluate(state), the "
        "score of a merged state dict on the dev data; if it defines test(state), too, the best "
        "programs are scored by it once, at the end.",
    )
    invent.set_defaults(run=_invent)
    invent.add_argument("setup", type=Path, help="a Python file with task and evaluate")
    invent.add_argument("--llm", default="auto", help="who invents; as for demo")
    invent.add_argument("--iterations", type=_positive, default=3, help="default: 3")
    invent.add_argument("--programs", type=_positive, default=48, help="of each; default: 48")
    invent.add_argument(
        "--learn",
        choices=["dpo", "elites", "none"],
        help="what an iteration teaches; default: dpo for a model in this process, else elites",
    )
    invent.add_argument("--mode", choices=["max", "min"], default="max", help="default: max")
    invent.add_argument("--concurrent", type=_positive, default=2, help="default: 2")
    invent.add_argument("--calls", type=_positive, help="most calls to the model")
    invent.add_argument("--usd", type=float, help="most US dollars for calls to the model")
    invent.add_argument("--seed", type=int, default=0)
    invent.add_argument("--out", type=Path, help="results folder; one that is there goes on")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _invent(options: argparse.Namespace) -> None:
    try:
        from raymimic.invent.run import InventSettings, run_invent
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"raymimic invent needs {error.name}: pip install {error.name}"
        ) from None
    names = InventSettings.__dataclass_fields__
    run_invent(InventSettings(**{k: v for k, v in vars(options).items() if k in names}))
