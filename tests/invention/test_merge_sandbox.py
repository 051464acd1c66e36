"""Programs that merge, in the sandbox: what they get, what they may return, what they may do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="merging programs are torch programs")

from merges import tiny_merge  # noqa: E402

from raymimic.errors import CandidateError, MergeError, SandboxError  # noqa: E402
from raymimic.evolution import Limits  # noqa: E402
from raymimic.invention import MergeRunner, MergeTask  # noqa: E402
from raymimic.invention.random_programs import random_program  # noqa: E402
from raymimic.invention.template import program_of  # noqa: E402


@pytest.fixture(scope="module")
def runner() -> Iterator[MergeRunner]:
    try:
        made = MergeRunner(tiny_merge(limits=Limits(seconds=20.0)))
    except SandboxError as error:
        pytest.skip(f"THE SANDBOX WAS NOT TESTED: {error}")
    yield made
    made.close()


def merge(body: str) -> str:
    return program_of(f"def merge(task_vectors, base):\n    {body}\n").source


def test_what_a_program_returns_is_added_to_the_base(runner: MergeRunner) -> None:
    body = "return {n: sum(m[n] for m in task_vectors.values()) for n in base}"
    state = runner.apply(merge(body))
    assert state["w"].tolist() == [1.0, 2.0]
    assert state["steps"] == 3  # whole numbers are no weights


def test_random_programs_run(runner: MergeRunner) -> None:
    import random

    for seed in range(12):
        code, _ = random_program(random.Random(seed), 2)
        assert torch.isfinite(runner.apply(program_of(code).source)["w"]).all()


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        ("return {}", "bad tensors", "missing \\['w'\\]"),
        ("return {**task_vectors['up'], 'more': torch.ones(1)}", "bad tensors", "unknown"),
        ("return {'w': torch.ones(3)}", "bad tensors", r"shape \(2,\)"),
        ("return {'w': torch.tensor([float('nan'), 1.0])}", "bad tensors", "NaN"),
        ("return [1.0]", "error", "must return a dict"),
        ("return {'w': 1.0}", "error", "tensors by name"),
        ("return {'w': undefined}", "error", "NameError"),
        ("open('/etc/passwd').read()", "error", "PermissionError|FileNotFoundError"),
        ("import os; os.fork()", "error", "PermissionError|Operation not permitted"),
        ("import socket; socket.socket()", "error", "PermissionError|not permitted"),
        ("torch.zeros(10**12)", "memory limit|error", "memory"),
    ],
)
def test_a_program_that_fails_says_why(
    runner: MergeRunner, body: str, reason: str, words: str
) -> None:
    with pytest.raises(CandidateError, match=words) as caught:
        runner.apply(merge(body))
    assert caught.value.reason in reason.split("|")


def test_an_endless_program_is_ended() -> None:
    try:
        runner = MergeRunner(tiny_merge(limits=Limits(seconds=1.0)))
    except SandboxError as error:
        pytest.skip(f"THE SANDBOX WAS NOT TESTED: {error}")
    with pytest.raises(CandidateError) as caught:
        runner.apply(merge("\n    while True: pass"))
    assert caught.value.reason == "time limit"
    runner.close()


@pytest.mark.parametrize(
    ("base", "experts", "words"),
    [
        ({"w": torch.zeros(2)}, {}, "at least one tuned model"),
        ({"w": torch.zeros(2)}, {"a": {"w": torch.zeros(3)}}, "shape"),
        ({"n": torch.tensor(1)}, {"a": {"n": torch.tensor(1)}}, "floating-point"),
        ({"a//b": torch.zeros(1)}, {"a": {"a//b": torch.zeros(1)}}, "must not hold"),
    ],
)
def test_models_that_do_not_fit_are_refused(base: dict, experts: dict, words: str) -> None:
    with pytest.raises(MergeError, match=words):
        MergeTask(base, experts)
