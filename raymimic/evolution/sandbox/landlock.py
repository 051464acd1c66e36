"""Landlock (Linux 5.13): a process gives up, for good, every file but those it names.

Called through raw system calls: there is no binding of it in libc. Numbers, bits and structures are
those of ``linux/landlock.h``; https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

# The same numbers on x86-64 and arm64.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15

# How many of the access bits each version of the interface knows (1: up to MAKE_SYM, 2: REFER,
# 3: TRUNCATE, 5: IOCTL_DEV).
_KNOWN_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}

_READ = _READ_FILE | _READ_DIR
# No sockets, pipes, devices, links: a folder for plain files and folders.
_SCRATCH = _READ | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
_DEVICE = _READ_FILE | _WRITE_FILE | _IOCTL_DEV
_OF_A_FILE = _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV

_NO_TCP = 0b11  # bind and connect, since version 4
_SCOPED = 0b11  # abstract unix sockets and signals, since version 6

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The version of Landlock that this kernel offers; 0 for none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)))


def restrict(read: Iterable[Path], scratch: Iterable[Path], devices: Iterable[Path]) -> None:
    """Confine the calling thread and all it will start to these files and folders.

    ``read`` may be read, in ``scratch`` plain files may also be written, ``devices`` may be read,
    written and controlled. Nothing may be executed, no TCP port bound or connected to (from
    version 4 on). What does not exist is left out. Needs ``no_new_privs``. Raises OSError where
    the kernel refuses.
    """
    known = version()
    bits = (1 << _KNOWN_BITS[min(known, 5)]) - 1 if known else 0
    attributes = struct.pack("=QQQ", bits, _NO_TCP, _SCOPED)
    size = 8 if known < 4 else 16 if known < 6 else 24
    ruleset = _call(_CREATE_RULESET, attributes[:size], size, 0)
    try:
        for paths, access in ((read, _READ), (scratch, _SCRATCH), (devices, _DEVICE)):
            for path in paths:
                _allow(ruleset, path, access & bits)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        allowed = access if os.path.isdir(path) else access & _OF_A_FILE
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, handle), 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: int | bytes) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock system call {number}: {os.strerror(error)}")
    return result
