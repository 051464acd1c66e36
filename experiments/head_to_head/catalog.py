"""Every task by name, and groups of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from experiments.common import tables
from experiments.common.task import Task

_TABLES = tuple(tables.SOURCES)
_REAL = ("digits", "mnist_cnn", "cifar10_cnn")

GROUPS: dict[str, tuple[str, ...]] = {
    "tables": _TABLES,
    "final": tuple(name for name in _TABLES if name.startswith(("hb_", "hl_"))),
    "curves": tuple(name for name in _TABLES if not name.startswith(("hb_", "hl_"))),
    "real": _REAL,
}


def names(text: str) -> list[str]:
    """Expand "digits_noisy,final" to task names; raises ValueError for an unknown one."""
    wanted: dict[str, None] = {}
    for word in text.split(","):
        found = GROUPS.get(word, (word,) if word in _TABLES + _REAL else ())
        if not found:
            known = ", ".join([*GROUPS, *_TABLES, *_REAL])
            raise ValueError(f"{word!r} is no task; choose from {known}")
        wanted.update(dict.fromkeys(found))
    return list(wanted)


@cache
def load(
    name: str, tables_dir: Path | None, data_dir: Path | None, cache_dir: Path, preset: str
) -> Task:
    """Load a task, once a process; real trainings are kept in ``cache_dir``."""
    if name in _TABLES:
        if tables_dir is None:
            raise ValueError(f"{name} is a table: say where the tables are with --tables DIR")
        return tables.load(name, tables_dir)
    from experiments.common.real import training  # needs torch

    found = training.tasks(preset, data_dir=data_dir, cache_dir=cache_dir)
    if name not in found:
        raise ValueError(f"{name} needs images: say where they are with --data-dir DIR")
    task: Task = found[name]
    return task
