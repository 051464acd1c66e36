"""Where a ledger lies: in the experiment's folder, or, where that is remote, beside its uploads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pyarrow.fs import FileType, LocalFileSystem

from raymimic.ledger import UPLOADED, Ledger


def settle(ledger: Ledger, trial: Any) -> None:
    """Move a ledger into the folder of the experiment of ``trial``, if nobody named its place.

    For remote storage that is the driver's folder, whose files Tune uploads; what is stored there
    of an earlier life of the same search is fetched.
    """
    storage = getattr(trial, "storage", None)
    if storage is None:
        return
    if isinstance(storage.storage_filesystem, LocalFileSystem):
        ledger.settle(storage.experiment_fs_path)
        return
    folder = Path(storage.experiment_driver_staging_path)
    if not ledger.path.exists():
        _fetch(storage, folder / ledger.path.name)
    ledger.settle(folder, UPLOADED)


def upload(ledger: Ledger, trial: Any) -> None:
    """Bring a ledger that settled to remote storage up to date there, once a run is over."""
    storage = getattr(trial, "storage", None)
    if storage is None or isinstance(storage.storage_filesystem, LocalFileSystem):
        return
    if ledger.path.parent != Path(storage.experiment_driver_staging_path):
        return  # the user named its place
    ledger.flush()
    target = f"{storage.experiment_fs_path}/{ledger.path.name}"
    with (
        open(ledger.path, "rb") as ours,
        storage.storage_filesystem.open_output_stream(target) as stored,
    ):
        shutil.copyfileobj(ours, stored)


def _fetch(storage: Any, target: Path) -> None:
    source = f"{storage.experiment_fs_path}/{target.name}"
    remote = storage.storage_filesystem
    if target.exists() or remote.get_file_info(source).type != FileType.File:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with remote.open_input_stream(source) as stored, open(target, "wb") as ours:
        shutil.copyfileobj(stored, ours)
