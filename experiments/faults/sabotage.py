"""Callbacks in the driver: what breaks things from inside, and what keeps the searcher for us.

A module of its own: what a script itself defines is pickled by value, and a restored copy would be
another class.
"""

from __future__ import annotations

import resource
import shutil
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler

from raymimic import LLMSearcher, RaymimicCallback


class KillGuide(tune.Callback):
    """Kills the guide's actor once so many epochs were reported."""

    def __init__(self, name: str, after: int) -> None:
        self.name, self.left = name, after

    def on_trial_result(self, *_: Any, **__: Any) -> None:
        self.left -= 1
        if self.left == 0:
            ray.kill(ray.get_actor(self.name, namespace="raymimic"))


class PauseOnce(FIFOScheduler):
    """Pauses every trial at its third epoch; it goes on when a slot is free."""

    def __init__(self) -> None:
        super().__init__()
        self._paused: set[str] = set()

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        del tune_controller
        if result["training_iteration"] < 3 or trial.trial_id in self._paused:
            return FIFOScheduler.CONTINUE
        self._paused.add(trial.trial_id)
        return FIFOScheduler.PAUSE


class FullDisk(tune.Callback):
    """Lets no file of this process grow beyond the ledger's size, for a while."""

    def __init__(self, ledger: str, first: int, last: int) -> None:
        self.ledger, self.first, self.last, self.seen = ledger, first, last, 0

    def on_trial_result(self, *_: Any, **__: Any) -> None:
        self.seen += 1
        if self.seen == self.first:
            # A few bytes more than there are: the next event is cut off in its middle.
            limit = Path(self.ledger).stat().st_size + 40
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        elif self.seen == self.last:
            free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.setrlimit(resource.RLIMIT_FSIZE, free)


class GoneFolder(tune.Callback):
    """Deletes the ledger's folder while the search writes to it."""

    def __init__(self, folder: str, after: int) -> None:
        self.folder, self.left = folder, after

    def on_trial_result(self, *_: Any, **__: Any) -> None:
        self.left -= 1
        if self.left == 0:
            shutil.rmtree(self.folder)


class Keep(tune.Callback):
    """Gives us searcher and callback back after a restore: they are pickled with Tune's own."""

    searcher: LLMSearcher | None = None
    callback: RaymimicCallback | None = None

    def __init__(self, searcher: LLMSearcher | None, callback: RaymimicCallback) -> None:
        self._searcher, self._callback = searcher, callback

    def setup(self, **_: Any) -> None:
        Keep.searcher, Keep.callback = self._searcher, self._callback


def saboteurs(settings: dict[str, Any]) -> list[tune.Callback]:
    """The callbacks that a run's settings ask for."""
    found = settings["sabotage"]
    made: list[tune.Callback] = []
    if "kill_guide" in found:
        made.append(KillGuide(settings["case"], found["kill_guide"]))
    if "full_disk" in found:
        made.append(FullDisk(settings["ledger"], *found["full_disk"]))
    if "gone_folder" in found:
        made.append(GoneFolder(str(Path(settings["ledger"]).parent), found["gone_folder"]))
    return made
