"""Programs to begin with, as files; they are read, never imported."""

from __future__ import annotations

from pathlib import Path

from raymimic.evolution.program import Program

SEEDS = {"conv1d": "conv1d.py", "exquisite-net-v2": "exquisite_net_v2.py"}


def seed_program(name_or_path: str | Path) -> Program:
    """A program that ships with this package by its name, or a file of the user's.

    Raises `ProgramError` for a file that cannot be evolved.
    """
    file = SEEDS.get(str(name_or_path))
    return Program.read(name_or_path if file is None else Path(__file__).with_name(file))
