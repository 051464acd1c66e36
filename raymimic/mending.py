"""Takes care of a ledger's file: mends what a killed process left in it, and moves it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

_LOOKS, _LOOK_S = 2, 0.05


def mend(path: Path) -> int:
    """End an earlier process's file with a whole line; return the number of the next event."""
    if not path.exists() or path.stat().st_size == 0:
        return 0
    data = _at_rest(path)
    count, kept = data.count(b"\n"), data.rfind(b"\n") + 1
    following = max(count, _number_of(data[:kept]) + 1)
    if kept == len(data):
        return following
    try:
        json.loads(data[kept:])
    except ValueError:
        torn = {"event": "torn", "n": following, "t": round(time.time(), 3)}
        tail = json.dumps({**torn, "bytes": len(data) - kept}).encode() + b"\n"
    else:
        tail = data[kept:] + b"\n"  # only the line's end was missing
    with open(path, "r+b") as file:
        file.seek(kept)
        file.write(tail)
        file.truncate()
    return max(following, _number_of(tail)) + 1


def _at_rest(path: Path) -> bytes:
    """The file's bytes; a last line that another process is just writing is waited for."""
    data = path.read_bytes()
    for _ in range(_LOOKS):
        if data.endswith(b"\n"):
            break
        time.sleep(_LOOK_S)
        data = path.read_bytes()
    return data


def _number_of(lines: bytes) -> int:
    """The number of the last of these whole lines; -1 where it says none."""
    try:
        number = json.loads(lines[lines.rfind(b"\n", 0, -1) + 1 :])["n"]
    except (ValueError, KeyError, TypeError):
        return -1
    return number if isinstance(number, int) else -1


def move(old: Path, new: Path) -> bool:
    """Move a file, if it is there, to a place whose folder is made; raises OSError."""
    new.parent.mkdir(parents=True, exist_ok=True)
    if old.exists():
        shutil.move(old, new)
    return True
