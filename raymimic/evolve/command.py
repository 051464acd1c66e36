"""The arguments of ``raymimic evolve``."""

from __future__ import annotations

import argparse
from pathlib import Path

from raymimic.errors import MissingExtra


def add_evolve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    evolve = commands.add_parser(
        "evolve", help="evolve a program's blocks: a model or keyless rules mutate, Tune trains"
    )
    evolve.set_defaults(run=_evolve)
    evolve.add_argument(
        "program", help='a Python file with marked blocks, "conv1d" or "exquisite-net-v2"'
    )
    evolve.add_argument(
        "--data", default="digits", help='an npz file, "digits" (default) or "mnist1d"'
    )
    evolve.add_argument("--llm", default="auto", help="who mutates; as for demo")
    evolve.add_argument("--trials", type=_positive, default=30, help="default: 30")
    evolve.add_argument("--epochs", type=_positive, default=10, help="of each; default: 10")
    evolve.add_argument("--batch-size", type=_positive, default=100, help="default: 100")
    evolve.add_argument("--concurrent", type=_positive, default=2, help="default: 2")
    evolve.add_argument("--seconds", type=float, help="time budget of the whole evolution")
    evolve.add_argument("--calls", type=_positive, help="most calls to the model")
    evolve.add_argument("--usd", type=float, help="most US dollars for calls to the model")
    evolve.add_argument("--paper", action="store_true", help="the published generations")
    evolve.add_argument(
        "--sandbox",
        choices=["auto", "none"],
        default="auto",
        help='"none" runs the programs with your own rights',
    )
    evolve.add_argument("--seed", type=int, default=0)
    evolve.add_argument("--out", type=Path, help="results folder; one that is there goes on")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _evolve(options: argparse.Namespace) -> None:
    try:
        from raymimic.evolve.run import EvolveSettings, run_evolve
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"raymimic evolve needs {error.name}: pip install {error.name}"
        ) from None
    names = EvolveSettings.__dataclass_fields__
    run_evolve(EvolveSettings(**{k: v for k, v in vars(options).items() if k in names}))
