"""From what a user names (a folder, a ledger, an experiment of Tune, a URI) to ledger files."""

from __future__ import annotations

import json
import os
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from raymimic.errors import LedgerError
from raymimic.rows import lines_of

_SUFFIX = ".jsonl"
_BEGINS_A_SEARCH = "search"
_LOOKED_AT = 20  # lines: an event "asked" or "torn" may stand before the search begins
_MOST_FILES = 1000  # of a folder on another filesystem


def find_ledgers(run: str) -> tuple[Path, ...]:
    """Return the ledger files of a run, the one that records its search first.

    ``run`` is a ledger, a results folder that holds one, or a Tune experiment's folder: then the
    ledger may lie in it or in the folder around it. A URI ("s3://bucket/run") is read with pyarrow
    and copied to a temporary folder. Where a folder holds the ledgers of several searches, the one
    written last is taken. Others in its folder that record modulated trainings follow it. Raises
    `LedgerError` where there is no ledger.
    """
    path = Path(_copied(run) if "://" in run else run)
    try:
        found = _found(path.expanduser())
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a NUL, no such home
        raise LedgerError(f"{run[:300]!r} cannot be looked into ({error!s:.200})") from None
    if not found:
        raise LedgerError(
            f"{run[:300]!r} must be a ledger, a results folder or a Tune experiment with one, and "
            f"no ledger ({_SUFFIX} file that begins with a search) is there; give the path that "
            "was printed at the start of the search"
        )
    return found


def _found(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path, *_trainings(path))
    places = [(path, f"*{_SUFFIX}"), (path, f"*/*{_SUFFIX}")]
    if any(path.glob("experiment_state-*.json")) or (path / "tuner.pkl").exists():
        places.append((path.parent, f"*{_SUFFIX}"))  # a search's own folder holds both
    for folder, pattern in places:
        files = sorted(file for file in folder.glob(pattern) if file.is_file())
        found = [file for file in files if _kind_of(file) == _BEGINS_A_SEARCH]
        if found:
            latest = max(found, key=lambda file: file.stat().st_mtime)
            return (latest, *_trainings(latest))
    return ()


def _trainings(ledger: Path) -> tuple[Path, ...]:
    """Ledgers of modulated trainings beside a search's."""
    beside = sorted(ledger.parent.glob(f"*{_SUFFIX}"))
    return tuple(file for file in beside if file != ledger and _kind_of(file) == "run")


def _kind_of(file: Path) -> str:
    """What a ledger records: "search", "run", or nothing we know."""
    try:
        for line in islice(lines_of(file), _LOOKED_AT):
            try:
                event = json.loads(line)["event"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if event in (_BEGINS_A_SEARCH, "run"):
                return str(event)
    except OSError:  # a folder or a pipe of that name, or nobody may read it
        return ""
    return ""


def _copied(uri: str) -> str:
    """A local copy of the ledgers at ``uri``: the file's path, or that of a folder with them."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSelector, FileSystem, FileType

    folder = Path(tempfile.mkdtemp(prefix="raymimic_"))
    try:
        remote, root = FileSystem.from_uri(uri)
        info = remote.get_file_info(root)
        if info.type == FileType.File:
            return str(_copy(remote, info, folder))
        found = remote.get_file_info(FileSelector(root, recursive=True, allow_not_found=True))
        for entry in [one for one in found if one.path.endswith(_SUFFIX)][:_MOST_FILES]:
            if entry.type == FileType.File:
                _copy(remote, entry, folder)
    except (OSError, ValueError, ArrowException) as error:
        raise LedgerError(f"{uri!r} cannot be read with pyarrow ({error})") from error
    return str(folder)


def _copy(remote: Any, entry: Any, folder: Path) -> Path:
    """Copy one file, under a name of its own, with its time of writing."""
    target = folder / f"{len(list(folder.iterdir()))}_{Path(entry.path).name}"
    with remote.open_input_stream(entry.path) as source:
        target.write_bytes(source.read())
    if entry.mtime is not None:
        os.utime(target, (entry.mtime.timestamp(),) * 2)
    return target
