"""Seccomp: a small BPF program in the kernel that refuses system calls, for good.

Built here with the standard library: the bindings on PyPI (pyseccomp, 2021) are not maintained, and
libseccomp's own is not on PyPI. Instructions are those of ``linux/bpf_common.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from raymimic.evolution.sandbox.syscalls import (
    ARCHITECTURES,
    AUDIT_ARCH,
    CLONE,
    CLONE3,
    FCNTL,
    IOCTL,
    PRCTL,
    PRLIMIT64,
    REFUSED,
    TGKILL,
    Numbers,
)

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_REFUSE, _NO_SUCH_CALL = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS

# Offsets in `struct seccomp_data`; arguments are 64 bits, the lower half first (little endian).
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_X32_CALLS = 0x40000000  # x86-64's second table of calls

_CLONE_THREAD = 0x10000
_SET_PDEATHSIG = 1
# Ways of having a signal sent to another process: F_SETOWN, F_SETSIG, F_SETOWN_EX.
_SIGNAL_BY_FCNTL = (8, 10, 15)
# FIOSETOWN and SIOCSPGRP do the same; TIOCSTI types into the terminal.
_REFUSED_IOCTLS = (0x8901, 0x8902, 0x5412)

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _PR_GET_SECCOMP = 22, 2, 21

_libc = ctypes.CDLL(None, use_errno=True)

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, value


def available() -> bool:
    """Whether this kernel filters system calls and we know its numbers of them."""
    return (
        platform.machine() in ARCHITECTURES and int(_libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)) >= 0
    )


def refuse() -> None:
    """Refuse the calls of `syscalls` to the calling thread and all it will start.

    Needs ``no_new_privs``; raises OSError where the kernel does not take the filter.
    """
    code = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in program(ARCHITECTURES[platform.machine()], os.getpid())
    )
    text = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(text))
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp filter: {os.strerror(error)}")


def program(architecture: int, pid: int) -> list[Instruction]:
    """The filter for one architecture and a process that may send signals to itself alone."""

    def number(numbers: Numbers) -> int:
        found = numbers[architecture]
        assert found is not None
        return found

    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, AUDIT_ARCH[architecture]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if architecture == ARCHITECTURES["x86_64"]:
        code += [(_JUMP_GREATER_EQUAL, 0, 1, _X32_CALLS), (_RETURN, 0, 0, _REFUSE)]
    for numbers in REFUSED.values():
        if numbers[architecture] is not None:
            code += [(_JUMP_EQUAL, 0, 1, number(numbers)), (_RETURN, 0, 0, _REFUSE)]
    # glibc starts a thread by clone3 and falls back to clone, whose flags can be read here.
    code += [(_JUMP_EQUAL, 0, 1, number(CLONE3)), (_RETURN, 0, 0, _NO_SUCH_CALL)]
    code += _when(number(CLONE), 0, [(_JUMP_SET, 1, 0, _CLONE_THREAD), (_RETURN, 0, 0, _REFUSE)])
    code += _when(number(TGKILL), 0, [(_JUMP_EQUAL, 1, 0, pid), (_RETURN, 0, 0, _REFUSE)])
    code += _when(number(PRCTL), 0, _refused_values((_SET_PDEATHSIG,)))
    code += _when(number(FCNTL), 1, _refused_values(_SIGNAL_BY_FCNTL))
    code += _when(number(IOCTL), 1, _refused_values(_REFUSED_IOCTLS))
    # Reading limits is fine (the new limit is a null pointer), setting them is not.
    null = [(_JUMP_EQUAL, 1, 0, 0), (_RETURN, 0, 0, _REFUSE)]
    upper = [(_LOAD, 0, 0, _ARGUMENTS + 2 * 8 + 4), *null]
    code += _when(number(PRLIMIT64), 2, [*null, *upper])
    code.append((_RETURN, 0, 0, _ALLOW))
    return code


def _when(call: int, argument: int, test: list[Instruction]) -> list[Instruction]:
    """Look at the lower half of one argument of ``call``; after ``test``, go on with the next."""
    body = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), *test, (_LOAD, 0, 0, _NUMBER)]
    return [(_JUMP_EQUAL, 0, len(body), call), *body]


def _refused_values(values: tuple[int, ...]) -> list[Instruction]:
    code: list[Instruction] = []
    for value in values:
        code += [(_JUMP_EQUAL, 0, 1, value), (_RETURN, 0, 0, _REFUSE)]
    return code
