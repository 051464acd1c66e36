"""Arrays that come out of a sandbox: npz files read without pickle, of bounded size.

An npz file is a zip of npy files. What a candidate wrote may be anything: a bomb that unpacks to
terabytes, objects that run code when unpickled, a link to another file.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from raymimic.errors import CandidateError

Shape = tuple[int, ...]

# Numbers that a state may hold; wider ones could hide two weights in one.
STATE_TYPES = ("float32", "float16", "int64", "int32", "uint8", "bool")
SEPARATOR = "//"
"""Between the names of an argument and of what it holds, in the names of arrays for a call."""

_HEADER_BYTES = 10_000
_MOST_ARRAYS = 10_000


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays uncompressed, so that a reader never sees half of them."""
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))
    os.replace(part, path)


def read_arrays(path: Path, most_bytes: int) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote; raises `CandidateError` for anything else."""
    check_file(path, most_bytes)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise CandidateError(f"not plain arrays: {error}", reason="bad arrays") from None


def read_shapes(path: Path, most_bytes: int) -> dict[str, tuple[Shape, str]]:
    """Shape and type of each array in a file, without reading the numbers."""
    check_file(path, most_bytes)
    shapes: dict[str, tuple[Shape, str]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    major, _ = np.lib.format.read_magic(file)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if major == 1
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, kind = read(file, max_header_size=_HEADER_BYTES)
                shapes[member.filename.removesuffix(".npy")] = (shape, str(kind))
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise CandidateError(f"not plain arrays: {error}", reason="bad arrays") from None
    return shapes


def check_file(path: Path, most_bytes: int) -> None:
    """Raise `CandidateError` unless it is one plain zip whose content is as long as it says."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise CandidateError(f"{path.name} is no plain file", reason="bad arrays")
        if found.st_size > most_bytes:
            raise CandidateError(
                f"{path.name} has {found.st_size} bytes, the limit is {most_bytes}",
                reason="bad arrays",
            )
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise CandidateError(f"not plain arrays: {error}", reason="bad arrays") from None
    if len(members) > _MOST_ARRAYS or len({one.filename for one in members}) < len(members):
        raise CandidateError("too many arrays, or two of one name", reason="bad arrays")
    if any(one.compress_type != zipfile.ZIP_STORED for one in members):
        raise CandidateError("the arrays are compressed", reason="bad arrays")
