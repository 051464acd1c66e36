"""A process confines itself: what it gives up here it cannot take back."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import site
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from raymimic.evolution.sandbox import landlock, seccomp
from raymimic.evolution.sandbox.limits import Limits

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_OPEN_FILES = 256
_CPU_GRACE_S = 5  # the wall clock comes first; this is for a process that nobody watches

# What interpreter and torch still read after their import: shared libraries, time zones, the
# number of cores.
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache",
    "/etc/localtime", "/usr/share/zoneinfo", "/sys/devices/system/cpu", "/proc/cpuinfo",
    "/proc/meminfo", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random",
)  # fmt: skip
_WRITABLE_DEVICES = ("/dev/null",)
# CUDA's driver: device files, and what it reads to find the cards.
_GPU_READ = ("/proc/driver/nvidia", "/proc/self", "/proc/devices", "/sys/bus/pci", "/sys/devices",
             "/sys/module", "/usr/share", "/etc/nvidia", "/usr/local/cuda")  # fmt: skip
_GPU_DEVICES = "nvidia*"


@dataclass(frozen=True)
class Confinement:
    """What to apply: the mechanisms (`probe.Mechanism`), the limits, the one writable folder."""

    landlock: bool
    seccomp: bool
    limits: Limits
    scratch: Path
    gpu: bool = False


def confine(confinement: Confinement) -> None:
    """Give up everything that a candidate program does not need; raises OSError if that fails.

    Must be called in a process of one thread (after a fork): limits to files and calls hold for
    the calling thread and those it starts.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    limit_resources(confinement.limits, gpu=confinement.gpu)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    if confinement.landlock:
        devices = [Path(name) for name in _WRITABLE_DEVICES]
        if confinement.gpu:
            devices += Path("/dev").glob(_GPU_DEVICES)
        landlock.restrict(readable(gpu=confinement.gpu), [confinement.scratch], devices)
    if confinement.seccomp:
        seccomp.refuse()


def close_memory() -> None:
    """Let no other process of this user read or write this one's memory through /proc.

    Its children inherit it. Landlock forbids that as well; without it, inside bubblewrap, a
    candidate could otherwise change the runner.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def readable(*, gpu: bool) -> list[Path]:
    """Where the interpreter, its libraries and the system's shared libraries lie."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= set(site.getsitepackages())
    paths |= {entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))}
    paths |= set(_SYSTEM) | (set(_GPU_READ) if gpu else set())
    return [Path(path) for path in sorted(paths)]


def limit_resources(limits: Limits, *, gpu: bool) -> None:
    """Bound memory, processor time, file sizes and open files.

    RLIMIT_DATA counts private memory only, so the address space is bounded, too; loosely, since
    threads and allocators reserve much more than they use. CUDA reserves terabytes: not there.
    """
    data, space = _memory_now()
    cpu = math.ceil(limits.seconds * limits.threads) + _CPU_GRACE_S
    bounds = {
        resource.RLIMIT_DATA: data + limits.memory,
        resource.RLIMIT_FSIZE: limits.disk,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if gpu:
        del bounds[resource.RLIMIT_DATA], bounds[resource.RLIMIT_MEMLOCK]
    else:
        bounds[resource.RLIMIT_AS] = space + 2 * limits.memory
    for kind, bound in bounds.items():
        hard = resource.getrlimit(kind)[1]
        value = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (value, value))


def _memory_now() -> tuple[int, int]:
    """Bytes of private data and of address space that this process has now."""
    pages = Path(f"/proc/{os.getpid()}/statm").read_text().split()
    size = os.sysconf("SC_PAGE_SIZE")
    return int(pages[5]) * size, int(pages[0]) * size
