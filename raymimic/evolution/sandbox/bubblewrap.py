"""Bubblewrap around the runner: namespaces of its own for files, processes and network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raymimic.evolution.sandbox.confine import readable


def wrapped(
    path: str, command: Sequence[str], work: Path, package_root: Path, *, gpu: bool
) -> list[str]:
    """``command`` inside bubblewrap (at ``path``): it sees its libraries, and ``work`` to write.

    ``package_root`` is where this package is imported from. It ends with the runner, which ends
    with its stdin; not with the thread that started it, as ``--die-with-parent`` would.
    """
    arguments = [
        path,
        "--unshare-all",
        "--cap-drop",
        "ALL",
        "--clearenv",
        "--dev",
        "/dev",
    ]
    arguments += ["--proc", "/proc", "--tmpfs", "/tmp"]
    sources = {*readable(gpu=gpu), package_root / "raymimic", *_interpreter(command[0])}
    sources -= {source for source in sources if source.parts[1:2] in (("dev",), ("proc",))}
    for source in sorted(source for source in sources if source.exists()):
        arguments += ["--ro-bind", str(source), str(source)]
    if gpu:
        for device in sorted(Path("/dev").glob("nvidia*")):
            arguments += ["--dev-bind", str(device), str(device)]
    return [*arguments, "--bind", str(work), str(work), "--chdir", str(work), *command]


def _interpreter(python: str) -> set[Path]:
    """The interpreter's file behind all its links, and its environment's settings."""
    link = Path(python).absolute()
    found = {link.parent, link.resolve().parent, link.parent.parent / "pyvenv.cfg"}
    return {path for path in found if path.exists()}
