"""Finished trainings on disk: equal settings, configuration and seed are one training."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Config = dict[str, Any]


@dataclass
class Training:
    """What a training has given so far: a dict of metrics and the seconds of every epoch.

    ``error`` says why it failed, "" if it did not; ``test`` is NaN unless it ran to its end.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    test: float = math.nan
    error: str = ""

    def complete(self, epochs: int) -> bool:
        """Whether there is nothing more to come."""
        return bool(self.error) or len(self.rows) >= epochs


class TrainingCache:
    """One small JSON file for each (task, settings, seed, configuration); None keeps nothing.

    Writing is atomic, so several processes may share a folder and an interrupted study goes on
    where it stopped. A configuration is known by its exact values.
    """

    def __init__(self, folder: Path | None, task: str, settings: dict[str, Any]) -> None:
        self._folder = None if folder is None else folder / f"{task}-{_digest(settings)[:8]}"
        self._settings = settings

    def key(self, config: Config) -> str:
        """Return the name of a configuration."""
        return _digest(config)[:16]

    def read(self, config: Config, seed: int) -> Training:
        """Return what is known of a training, an empty `Training` if nothing is."""
        path = self._path(config, seed)
        if path is None or not path.is_file():
            return Training()
        stored = json.loads(path.read_text())
        return Training(**stored["training"])

    def write(self, config: Config, seed: int, training: Training) -> None:
        """Keep a training, in place of what was known of it."""
        path = self._path(config, seed)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "settings": self._settings,
            "config": config,
            "seed": seed,
            "training": asdict(training),
        }
        new = path.with_suffix(f".{os.getpid()}.tmp")
        new.write_text(json.dumps(content, default=_plain))
        os.replace(new, path)

    def _path(self, config: Config, seed: int) -> Path | None:
        return self._folder and self._folder / str(seed) / f"{self.key(config)}.json"


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as Python's own number."""
    return value.item()
