"""Processes that end at random moments of a search: exit status, and how long the end took.

    python -m experiments.faults.ends [--count 200] [--seed 0] [--out FILE.json]

A search is under way (its Gaussian process fits in a thread of ours, or a slow stub model is asked
over HTTP) when the process ends: at the end of the script, by sys.exit in a callback, at a time
budget, by Ctrl-C (caught by the script, or not), by an exception. Each runs in a fork of one
process that has imported everything, and goes through the interpreter's real end. Expected: the
status that the script gives itself (0 where it ends well), nothing about "terminate called", and
ends that take at most two seconds longer (median) than that of a process without a search right
after. Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import NoReturn

import openai  # noqa: F401 - before the fork, as all of this
from ray import tune

import raymimic.advisor.propose.gp  # noqa: F401
from experiments.common.markdown import table
from raymimic import LLMSearcher, OpenAILLM
from raymimic.testing.server import StubServer

# An interrupt that nobody catches is status 1 under `python -m`.
STATUS = {"end": 0, "sys.exit": 0, "time budget": 0, "Ctrl-C caught": 0, "Ctrl-C": 1,
          "exception": 1, "control": 0}  # fmt: skip
PROPOSERS = ("keyless", "stub model")
_LONGEST_S = 2.0
_GIVE_UP_S = 60.0
SPACE = {"lr": tune.loguniform(1e-5, 1.0), "width": tune.choice([32, 64, 128])}


class Slow(StubServer):
    """Answers after up to a second."""

    def reply(self, user: str) -> str:
        del user
        time.sleep(random.random())
        items = [
            {"config": {"lr": 10 ** random.uniform(-5, 0), "width": 64}, "rationale": "r"}
            for _ in range(4)
        ]
        return json.dumps({"belief": {}, "proposals": items})


def serve() -> NoReturn:
    """The stub model, in a process of its own: prints its address."""
    with Slow().running() as stub:
        print(f"http://{stub.host}/v1", flush=True)
        while True:
            time.sleep(60)


def script(kind: str, proposer: str, address: str, seconds: float, folder: Path) -> None:
    """What a user's script does in the child; it ends after about ``seconds``, as ``kind`` says."""
    if kind == "control":
        _say(folder)
        return
    llm = "none" if proposer == "keyless" else OpenAILLM("m", base_url=address)
    searcher = LLMSearcher(
        SPACE, "loss", "min", llm=llm, seed=1, patience=0.05, ledger=folder / "ledger.jsonl"
    )
    until = time.monotonic() + (_GIVE_UP_S if kind.startswith("Ctrl-C") else seconds)
    (folder / "begun").touch()
    try:
        _search(searcher, until, kind, folder)
    except KeyboardInterrupt:
        _say(folder)
        if kind == "Ctrl-C":
            raise
    else:
        _say(folder)
    if kind == "exception":
        raise ValueError("in the user's script")


def _search(searcher: LLMSearcher, until: float, kind: str, folder: Path) -> None:
    number = 0
    while time.monotonic() < until:
        config = searcher.suggest(f"t{number}")
        if config is None:
            time.sleep(0.01)
            continue
        searcher.on_trial_complete(f"t{number}", {"loss": config["lr"], "training_iteration": 1})
        number += 1
    if kind == "sys.exit":
        _say(folder)
        sys.exit(0)


def _say(folder: Path) -> None:
    (folder / "ends").write_text(repr(time.time()))


def one(kind: str, proposer: str, address: str, seconds: float) -> tuple[int, float, str]:
    """Run one child; its status, the seconds its end took, and what it wrote to stderr.

    In the child this never returns to the caller's loop: it ends the process.
    """
    folder = Path(tempfile.mkdtemp())
    child = os.fork()
    if child == 0:
        error = os.open(folder / "stderr", os.O_CREAT | os.O_WRONLY)
        os.dup2(error, 2)
        os.dup2(error, 1)
        raise Child(kind, proposer, address, seconds, folder)
    if kind.startswith("Ctrl-C"):
        while not (folder / "begun").exists():
            time.sleep(0.01)
        time.sleep(seconds)
        os.kill(child, signal.SIGINT)
    status = _waited_for(child)
    took = time.time() - float((folder / "ends").read_text())
    said = (folder / "stderr").read_text(errors="replace")
    shutil.rmtree(folder)
    return status, took, said


class Child(BaseException):
    """Unwinds a forked child to the top of the module, where its script runs."""


def _waited_for(child: int) -> int:
    until = time.monotonic() + _GIVE_UP_S
    while time.monotonic() < until:
        done, raw = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(raw)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 999


def main(arguments: argparse.Namespace) -> int:
    rng = random.Random(arguments.seed)
    server = subprocess.Popen(
        [sys.executable, "-m", "experiments.faults.ends", "--serve"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    kinds = [kind for kind in STATUS if kind != "control"]
    rows = defaultdict(list)
    try:
        for number in range(arguments.count):
            kind = kinds[number % len(kinds)]
            proposer = PROPOSERS[number // len(kinds) % 2]
            end = one(kind, proposer, address, rng.uniform(0.0, 2.0))
            rows[kind, proposer].append((*end, one("control", proposer, address, 0.0)[1]))
    finally:
        if os.getpid() == _PARENT:  # a child has no server to stop
            server.kill()
    lines, bad = [], 0
    for (kind, proposer), ends in rows.items():
        other = Counter(status for status, *_ in ends if status != STATUS[kind])
        died = sum("terminate called" in said for _, _, said, _ in ends)
        longer = median(took - control for _, took, _, control in ends)
        bad += other.total() + died + (longer > _LONGEST_S)
        others = ", ".join(f"{status} x {count}" for status, count in other.items())
        right = f"{len(ends) - other.total()} of {len(ends)}"
        slowest = max(took for _, took, *_ in ends)
        lines.append((f"{kind}, {proposer}", right, f"{longer:.2f} s", f"{slowest:.2f} s", others))
    controls = [control for ends in rows.values() for *_, control in ends]
    slowest_control = f"{max(controls):.2f} s"
    lines.append(
        ("without a search", f"{len(controls)} of {len(controls)}", "", slowest_control, "")
    )
    header = ("end, proposer", "as it should be", "longer than without a search, median",
              "slowest end", "other statuses")  # fmt: skip
    text = table(header, lines)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    return int(bad > 0)


_PARENT = os.getpid()

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", action="store_true")
    given = parser.parse_args()
    if given.serve:
        serve()
    try:
        exit_status = main(given)
    except Child as child:
        script(*child.args)
        exit_status = 0
    if os.getpid() == _PARENT:
        sys.exit(exit_status)
