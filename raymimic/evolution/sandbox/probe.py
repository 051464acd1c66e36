"""Which mechanisms confine a candidate on this machine, found out once per process."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from raymimic.errors import SandboxError
from raymimic.evolution.sandbox import landlock, seccomp

logger = logging.getLogger(__name__)

Sandbox = Literal["auto", "none"]

_PROBE_S = 10.0


@dataclass(frozen=True)
class Mechanism:
    """What confines a candidate; ``name`` says it as results carry it."""

    landlock: bool = False
    seccomp: bool = False
    bubblewrap: str | None = None  # the program's path

    @property
    def name(self) -> str:
        """ "bubblewrap+landlock+seccomp+rlimits", or "none"."""
        parts = {
            "bubblewrap": self.bubblewrap is not None,
            "landlock": self.landlock,
            "seccomp": self.seccomp,
        }
        there = [part for part, on in parts.items() if on]
        return "+".join([*there, "rlimits"]) if there else "none"


def mechanism(sandbox: Sandbox) -> Mechanism:
    """The mechanisms to use on this machine.

    Calls must be filtered, and files held by Landlock or by bubblewrap. Raises `SandboxError` where
    the machine cannot do it, unless ``sandbox`` is "none".
    """
    if sandbox == "none":
        return Mechanism()
    if sandbox != "auto":
        raise SandboxError(f'sandbox must be "auto" or "none", got {sandbox!r}')
    found = Mechanism(
        landlock=sys.platform == "linux" and landlock.version() > 0,
        seccomp=sys.platform == "linux" and seccomp.available(),
        bubblewrap=_bubblewrap(),
    )
    if found.seccomp and (found.landlock or found.bubblewrap):
        return found
    raise SandboxError(
        "a candidate program needs seccomp, and Landlock (Linux 5.13) or bubblewrap, to be kept "
        f"from this machine's files and network; found here: {found.name}. Run on such a machine, "
        'or type sandbox="none" to run the candidates with your own rights'
    )


@functools.cache
def _bubblewrap() -> str | None:
    """The path of a bubblewrap that works here; in many containers it may make no namespaces."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    command = [path, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "/bin/true"]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_S, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("raymimic: bubblewrap (%s) does not run here: %s", path, error)
        return None
    if tried.returncode:
        logger.warning(
            "raymimic: bubblewrap (%s) does not work here (%s); going on without it.",
            path,
            tried.stderr.strip(),
        )
        return None
    return os.path.abspath(path)
