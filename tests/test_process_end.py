"""A program ends with status 0, whatever a thread of ours is doing at that moment."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

# At the very end (registered first, so run last) no thread of ours may be at work: inside C++ code
# it would take the process down.
SCRIPT = """
import atexit, sys, threading, time

steps = []

def look():
    before = len(steps)
    time.sleep(0.1)
    print("steps after the end:", len(steps) - before, flush=True)

atexit.register(look)
from raymimic.inquiry import Background

def job():
    while True:
        steps.append(1)
        time.sleep(0.001)  # stands for many short steps of native code

background = Background()
background.submit(job)
time.sleep(0.05)
{end}
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('in the script')", 1),
        ("raise KeyboardInterrupt", -2),
        ("background.abandon()", 0),
    ],
)
def test_no_thread_of_ours_is_at_work_when_the_interpreter_ends(end: str, status: int) -> None:
    script = SCRIPT.format(end=end)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (status, "steps after the end: 0\n"), run.stderr


def test_an_idle_thread_holds_nothing_up() -> None:
    script = SCRIPT.format(end="background.wait(9); begun = time.monotonic()")
    script = script.replace("while True", "for _ in range(9)").replace(
        "before = len(steps)", "assert time.monotonic() - begun < 1; before = len(steps)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "steps after the end: 0\n"), run.stderr


def test_a_job_that_cannot_be_stopped_holds_the_end_up_for_a_second_or_two_only() -> None:
    script = SCRIPT.format(end="").replace("time.sleep(0.001)", "time.sleep(60)")
    begun = time.monotonic()
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0
    assert time.monotonic() - begun < 30
