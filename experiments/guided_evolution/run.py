"""Guided Evolution on small data: ``python -m experiments.guided_evolution.run --help``.

Arms: "rules" (keyless edits, NSGA-II), "random" (random edits of the seed, no selection), "full"
(a model, all operators), "plain" (the same model without Evolution of Thought and role play).

A ledger in ``--work`` goes on where it ended. Ctrl-C or SIGTERM ends a run with the results that it
has; the same command goes on with what is missing. With ``--cassette`` the replies of a recording
are given again, plan by plan, to the seed that it began with; what it lacks is the keyless
mutator's.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

from experiments.guided_evolution.cassette import insert, record, recorded, seed_of
from experiments.guided_evolution.data import SEEDS, task_of
from experiments.guided_evolution.loop import evolve, random_search
from experiments.guided_evolution.report import row_of, table
from raymimic.evolution import (
    Evolution,
    Settings,
    Shares,
    TrainingTask,
    seed_program,
    test_front,
    write_results,
)
from raymimic.evolution.operators import PLAIN
from raymimic.llm import ReplayLLM, resolve_llm

ARMS = ("rules", "random", "full", "plain")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = _options()
    repeats = range(options.first, options.first + options.repeats)
    for repeat, arm in itertools.product(repeats, options.arms):
        print(f"--- {arm}, repeat {repeat}", flush=True)
        task, labels = task_of(options.data, repeat, options.folder)
        made = _run(options, arm, repeat, task)
        if made.state.front():
            test_front(made, labels)
            _keep(options, made, arm, repeat)
        if len(made.state.of_status("done", "failed")) < options.evaluations:
            break
    _report(options.out / options.data)


def _keep(options: argparse.Namespace, made: Evolution, arm: str, repeat: int) -> None:
    """Write an evolution's results and, of a model's, the recording."""
    if made.llm is not None and not options.cassette:
        made.ledger.flush()
        name = f"{options.data}_{arm}_{repeat}.jsonl.gz"
        record(made.ledger.path, options.out / "minds" / name)
    out = options.out / options.data / f"{arm}_{repeat}"
    write_results(made.state, out)
    row = row_of(made.state, arm, repeat, options.data)
    (out / "row.json").write_text(json.dumps(row, indent=1) + "\n")
    print(row, flush=True)


def _run(options: argparse.Namespace, arm: str, repeat: int, task: TrainingTask) -> Evolution:
    program = seed_program(SEEDS[options.data])
    ledger = options.work / options.data / f"{arm}_{repeat}.jsonl"

    def say(text: str) -> None:
        print(text, flush=True)

    if arm == "random":
        return random_search(program, task, ledger, options.evaluations, seed=repeat, say=say)
    shares = Shares() if arm != "plain" else Shares(thought=0.0, voices={PLAIN: 1.0})
    llm = None
    if arm != "rules":
        llm = ReplayLLM([]) if options.cassette else resolve_llm(options.llm)
        if options.cassette:
            insert(options.cassette, ledger)
            program = seed_of(recorded(options.cassette))
    settings = Settings(seed=repeat, shares=shares, timeout=options.timeout)
    return evolve(
        program, task, ledger, options.evaluations,
        llm=llm, settings=settings, at_once=options.at_once, say=say,
    )  # fmt: skip


def _report(folder: Path) -> None:
    """The table over all evolutions whose rows lie in the folder."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*/row.json"))]
    if rows:
        (folder / "report.md").write_text(table(rows))
        print(table(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=SEEDS, default="mnist1d")
    parser.add_argument("--folder", type=Path, help="where CIFAR-10's parquet files lie")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["rules", "random"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number of the first repeat")
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--llm", default="auto", help="who mutates in the arms full and plain")
    parser.add_argument("--cassette", type=Path, help="a recording to be replayed")
    parser.add_argument(
        "--at-once", type=int, default=1, help="questions that are asked side by side"
    )
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds a reply may take")
    parser.add_argument("--work", type=Path, default=Path("guided_evolution_ledgers"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
