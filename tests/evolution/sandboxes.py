"""Runners that confine candidates in one way only."""

from __future__ import annotations

import pytest
from tiny_program import tiny_task

from raymimic.evolution.sandbox import landlock, probe, seccomp
from raymimic.evolution.sandbox.client import Runner

NO_MECHANISM = "THE SANDBOX WAS NOT TESTED: this kernel has no "


def mechanism_of(name: str) -> probe.Mechanism:
    """One of the ways to confine, alone; skips, and says so, where the kernel lacks it."""
    if not seccomp.available():
        pytest.skip(NO_MECHANISM + "seccomp filter")
    if name == "landlock":
        if not landlock.version():
            pytest.skip(NO_MECHANISM + "Landlock")
        return probe.Mechanism(landlock=True, seccomp=True)
    if probe._bubblewrap() is None:
        pytest.skip(NO_MECHANISM + "bubblewrap that works (the other mechanism was tested alone)")
    return probe.Mechanism(seccomp=True, bubblewrap=probe._bubblewrap())


def started(name: str, **settings: object) -> Runner:
    """A runner on the tiny task that uses one mechanism only, or "none"."""
    runner = Runner(tiny_task(sandbox="none", **settings))
    if name != "none":
        runner.process.mechanism, runner.process.confined = mechanism_of(name), True
    return runner
