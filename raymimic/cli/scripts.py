"""``raymimic run`` and ``raymimic check``: what is said about, and done with, a user's script."""

from __future__ import annotations

import argparse
from pathlib import Path

_SCRIPT = """\
The script defines what is trained and what is searched, and is not started as a program:

  train_fn(config), trainable or train
      a function or class for Ray Tune that reports its metrics every epoch, or a function
      that returns a number or a dict at its end; lists in the dict are learning curves
  param_space or search_space
      Tune's domains, or plain Python: {"lr": (1e-5, 1e-1), "act": ["relu", "tanh"]}.
      A tuple is a range whose scale is inferred and said, a list a choice
  model, in place of a space
      an estimator of scikit-learn, XGBoost or LightGBM; train_fn finds a copy with the
      trial's parameters in config["model"]

It may also set metric = "val_loss", mode = "min" or minimize = True, and epochs = 20;
metric = ["val_loss", "latency"] searches for the front of trials that no other beats in both.
"""


def add_scripts(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands to the parser."""
    run = commands.add_parser(
        "run",
        help="search the settings of a script of yours: a training function and a space",
        description="Search the settings of a script of yours.",
        epilog=_SCRIPT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.set_defaults(run=_run)
    _add_common(run)
    run.add_argument("--seed", type=int, help="makes the keyless part repeatable")
    run.add_argument("--seconds", type=_seconds, help="stop starting and end trials after so long")
    run.add_argument(
        "--out", type=Path, default=Path("raymimic_results"), help="default: ./raymimic_results"
    )

    check = commands.add_parser(
        "check",
        help="try one epoch of such a script: what it reports, what a search would take",
        description="Train one epoch of a script of yours and say what a search would find.",
        epilog=_SCRIPT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.set_defaults(run=_check)
    _add_common(check)
    check.add_argument("--epochs", type=_positive, help="of a whole training, for the estimate")
    check.add_argument(
        "--seconds", type=_seconds, default=120.0, help="most for the epoch; default: 120"
    )


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("script", type=Path, help="a Python file, see below")
    command.add_argument("--metric", help='what trials are judged by; several with commas; default:'
                         ' as the script says, "score" of a function that returns')  # fmt: skip
    command.add_argument(
        "--mode", help="min or max, one for each metric; default: as the script says, else by name"
    )
    command.add_argument("--trials", type=_positive, default=20, help="default: 20")
    command.add_argument(
        "--llm",
        default="auto",
        help='who proposes: "auto" (a key in the environment, else keyless), "none", '
        '"anthropic:MODEL", "openai:MODEL", "transformers:FOLDER", "llamacpp:FILE.gguf"',
    )
    command.add_argument(
        "--concurrent", type=_positive, help="trials at once; default: one a CPU, at most 8"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def _run(options: argparse.Namespace) -> None:
    from raymimic.tune.script_run import RunSettings, run_script

    names = RunSettings.__dataclass_fields__
    run_script(RunSettings(**{k: v for k, v in vars(options).items() if k in names}), print)


def _check(options: argparse.Namespace) -> None:
    from raymimic.tune.script_check import check_script
    from raymimic.tune.script_run import RunSettings

    settings = RunSettings(
        options.script, options.metric, options.mode, options.trials, options.llm,
        concurrent=options.concurrent,
    )  # fmt: skip
    for line in check_script(settings, options.epochs, options.seconds):
        print(line, flush=True)
