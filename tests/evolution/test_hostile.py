"""What a candidate program must not be able to do, and what it must."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sandboxes import mechanism_of, started
from tiny_program import MIB, PROGRAM, tiny_task, with_model_code

from raymimic.errors import CandidateError, SandboxError
from raymimic.evolution import Limits
from raymimic.evolution.sandbox import landlock, probe
from raymimic.evolution.sandbox.client import Runner

# Each act runs in the candidate's process; it calls `escaped()` if it succeeds. What is refused
# raises OSError (or ends in nothing), and the candidate trains on.
PRELUDE = """
import ctypes, errno, mmap, os, resource, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def escaped(what="done"):
    raise AssertionError(f"ESCAPED: {what}")
def call(number, *arguments):
    if libc.syscall(number, *arguments) >= 0:
        escaped(number)
"""

ACTS = {
    "read a secret": "escaped(open(SECRET).read())",
    "list a folder": "escaped(os.listdir(os.path.dirname(SECRET)))",
    "the parent's environment": "escaped(open(f'/proc/{PARENT}/environ').read())",
    "the runner's memory": "escaped(open(f'/proc/{os.getppid()}/mem', 'rb'))",
    "TCP": "socket.create_connection(('127.0.0.1', PORT), 1); escaped()",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM); escaped()",
    "a unix socket": "socket.socket(socket.AF_UNIX); escaped()",
    "a pair of sockets": "socket.socketpair(); escaped()",
    "exec": "os.execv('/bin/true', ['true'])",
    "fork": "os.fork() or os._exit(0); escaped()",
    "another program": "subprocess.run(['/bin/true']); escaped()",
    "clone without threads": "call(56, 17, 0, 0, 0, 0)",
    "signal the parent": "os.kill(PARENT, 0); escaped()",
    "signal the runner": "os.kill(os.getppid(), 0); escaped()",
    "a signal through a file": "import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, PARENT); escaped()",
    "a session of its own": "os.setsid(); escaped()",
    "outlive the runner": "call(157, 1, 0, 0, 0, 0)",
    "ptrace": "call(101, 16, os.getppid(), 0, 0)",
    "read the runner's memory": "call(310, os.getppid(), 0, 0, 0, 0, 0)",
    "memory that nothing counts": "os.memfd_create('x'); escaped()",
    "io_uring": "call(425, 1, 0)",
    "a new namespace": "call(272, 0x10000000)",
    "raise its limits": "resource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6)); escaped()",
    "change a file's mode": "os.chmod(VICTIM, 0o777); escaped()",
    "change a file's times": "os.utime(VICTIM); escaped()",
    "cut a file": "os.truncate(VICTIM, 0); escaped()",
    "delete a file": "os.remove(VICTIM); escaped()",
    "rename a file": "os.rename(VICTIM, 'mine'); escaped()",
    "a link out": "os.symlink(SECRET, 'link'); escaped(open('link').read())",
    "a hard link out": "os.link(SECRET, 'link'); escaped(open('link').read())",
}

# On x86-64 only: they name calls by number.
BY_NUMBER = {name for name, act in ACTS.items() if "call(" in act}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Makes a hostile program from an act; the host's things that it is after are real."""
    secret, victim = tmp_path / "secret.txt", tmp_path / "victim.txt"
    secret.write_text("the API key")
    victim.write_text("precious")
    victim.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = (
            f"SECRET, VICTIM = {str(secret)!r}, {str(victim)!r}\n"
            f"PARENT, PORT = {os.getpid()}, {server.getsockname()[1]}\n"
            f"OUTSIDE = {str(tmp_path / 'outside.txt')!r}\n"
        )

        def program(act: str) -> str:
            tried = "\n".join(f"    {line}" for line in act.splitlines())
            guarded = f"try:\n{tried}\nexcept (OSError, ValueError):\n    pass"
            return with_model_code(PRELUDE + given + guarded)

        yield program
    assert victim.read_text() == "precious"
    assert victim.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "outside.txt").exists()


def accuracy(runner: Runner, source: str) -> float:
    return [epoch.metrics["accuracy"] for epoch in runner.evaluate(source)][-1]


@pytest.mark.parametrize("act", ACTS)
def test_a_forbidden_act_is_refused_and_the_training_goes_on(runner, place, act):
    if act in BY_NUMBER and os.uname().machine != "x86_64":
        pytest.skip("this act names a system call of x86-64")
    assert accuracy(runner, place(ACTS[act])) > 0.8


def test_writes_outside_reach_nothing(runner, place):
    assert accuracy(runner, place("open(OUTSIDE, 'w').write('x')")) > 0.8


def test_the_environment_holds_no_key(place, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "secret")
    runner = started("landlock")
    try:
        accuracy(runner, place("escaped() if 'SOME_API_KEY' in os.environ else None"))
    finally:
        runner.close()


BOMBS = {
    "memory": ("x = []\nwhile True: x.append(bytearray(2**24))", {"memory limit"}),
    "shared memory": (
        "x = []\nwhile True:\n    x.append(mmap.mmap(-1, 2**24))\n    x[-1].write(b'x' * 2**24)",
        {"memory limit"},
    ),
    "one large file": (
        "with open('big', 'wb') as f:\n    while True: f.write(b'x' * 2**20)",
        {"disk limit"},
    ),
    "many files": (
        "for i in range(10**9):\n    with open(f'f{i}', 'wb') as f: f.write(b'x' * 2**20)",
        {"disk limit"},
    ),
    "empty files": ("for i in range(10**9): open(f'f{i}', 'wb').close()", {"disk limit"}),
    "files that come and go": (
        "for i in range(10**9):\n    open('f', 'wb').close()\n    os.remove('f')",
        {"time limit"},
    ),
    "endless loop": ("while True: pass", {"time limit"}),
    "sleep": ("time.sleep(10**6)", {"time limit"}),
    "deadlock": ("lock = threading.Lock()\nlock.acquire()\nlock.acquire()", {"time limit"}),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_ended(runner, monkeypatch, bomb):
    code, reasons = BOMBS[bomb]
    seconds = 1 if reasons == {"time limit"} else 60
    limits = Limits(seconds=seconds, memory=256 * MIB, disk=8 * MIB)
    monkeypatch.setattr(runner, "task", replace(runner.task, limits=limits))
    with pytest.raises(CandidateError) as caught:
        accuracy(runner, with_model_code(PRELUDE + code))
    assert caught.value.reason in reasons
    monkeypatch.undo()
    assert accuracy(runner, PROGRAM) > 0.8  # the runner serves the next candidate


def processes_of_session(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def test_nothing_survives_a_closed_runner(place):
    daemon = "if os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)"
    runner = started("landlock")
    accuracy(runner, place(daemon))
    leader = runner.process.pid
    assert leader in processes_of_session(leader)
    assert len(processes_of_session(leader)) == 1  # the runner alone: no candidate, no daemon
    runner.close()
    assert processes_of_session(leader) == []


@pytest.mark.parametrize("name", ["landlock", "bubblewrap"])
def test_a_runner_outlives_the_thread_that_started_it(name):
    runner = started(name)
    thread = threading.Thread(target=accuracy, args=(runner, PROGRAM))
    thread.start()
    thread.join()
    leader = runner.process.pid
    assert accuracy(runner, PROGRAM) > 0.8
    assert runner.process.pid == leader
    runner.close()


TRIAL = """
import sys
sys.path[:0] = [{here!r}]
from sandboxes import mechanism_of, started
from tiny_program import with_model_code

runner = started({name!r})
runner.process.start()
print(runner.process.pid, flush=True)
list(runner.evaluate(with_model_code("import time; time.sleep(10**6)")))
"""


@pytest.mark.parametrize("name", ["landlock", "bubblewrap"])
def test_a_killed_trial_takes_its_runner_and_candidate_along(name):
    mechanism_of(name)
    here = Path(__file__).parent
    code = TRIAL.format(here=str(here), name=name)
    trial = subprocess.Popen(
        [sys.executable, "-c", code], cwd=here.parents[1], stdout=subprocess.PIPE
    )
    leader = int(trial.stdout.readline())
    assert processes_of_session(leader)
    trial.kill()
    trial.wait()
    end = time.monotonic() + 60
    while processes_of_session(leader) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_of_session(leader) == []


def test_a_candidate_ends_when_it_is_no_longer_wanted(runner):
    epochs = runner.evaluate(with_model_code("import time"))
    next(epochs)
    epochs.close()
    assert accuracy(runner, PROGRAM) > 0.8


def test_threads_training_and_saving_still_work(runner):
    code = """
import threading, torch
torch.set_num_threads(2)
done = []
threads = [threading.Thread(target=lambda: done.append(torch.ones(50, 50) @ torch.ones(50, 50)))
           for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
assert len(done) == 4
torch.save({'w': torch.ones(3)}, 'mine.pt')
assert torch.load('mine.pt')['w'].sum() == 3
"""
    assert accuracy(runner, with_model_code(code)) > 0.8


POSSIBLE = [
    "read a secret", "list a folder", "TCP", "UDP", "a unix socket", "a pair of sockets", "fork",
    "another program", "signal the runner", "a session of its own", "change a file's times",
    "memory that nothing counts", "a link out", "a hard link out", "the parent's environment",
]  # fmt: skip


def test_without_a_sandbox_these_acts_succeed_so_the_tests_above_mean_something(place):
    runner = started("none")
    try:
        for act in POSSIBLE:
            with pytest.raises(CandidateError, match="ESCAPED"):
                accuracy(runner, place(ACTS[act]))
    finally:
        runner.close()


def test_the_mechanism_is_named_and_none_must_be_typed(monkeypatch):
    assert probe.mechanism("none").name == "none"
    assert probe.Mechanism(landlock=True, seccomp=True).name == "landlock+seccomp+rlimits"
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(probe, "_bubblewrap", lambda: None)
    with pytest.raises(SandboxError, match='type sandbox="none"'):
        Runner(tiny_task())
