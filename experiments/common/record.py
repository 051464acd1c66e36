"""Raw records: one file for each run, whole or not there, so that a study can go on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote


def file_name(name: str) -> str:
    """A method's or an arm's name as that of a folder: a model's name may have a slash."""
    return quote(name, safe=":@+")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A draft to write, which takes the place of ``path`` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    yield draft
    draft.replace(path)
