"""Runners in the sandbox: each imports torch once, so a module shares one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("torch", reason="candidate programs are torch programs")

from sandboxes import NO_MECHANISM, started
from tiny_program import tiny_task

from raymimic.errors import SandboxError
from raymimic.evolution.sandbox.client import Runner


@pytest.fixture(scope="module", params=["landlock", "bubblewrap"])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """A confined runner, once for each mechanism."""
    made = started(request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def sandboxed() -> Iterator[Runner]:
    """A runner with all that this machine offers."""
    try:
        made = Runner(tiny_task())
    except SandboxError as error:
        pytest.skip(f"{NO_MECHANISM}mechanism at all: {error}")
    yield made
    made.close()
