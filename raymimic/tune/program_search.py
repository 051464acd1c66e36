"""What searchers whose trials are programs share: concurrency, faults, saving and restoring."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ray import cloudpickle
from ray.tune.search import Searcher

from raymimic.foreign import trace_text
from raymimic.ledger import UPLOADED, Ledger
from raymimic.tune.guarded import guarded

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """What holds the programs; `raymimic.evolution.Evolution`, `raymimic.invention.Invention`."""

    ledger: Ledger
    state: Any

    def take_up(self, path: Path) -> None:
        """Fold the events that a ledger holds."""

    def release_running(self, except_for: Sequence[str] = ()) -> None:
        """Programs whose trials died with an earlier process wait again."""


class ProgramSearch(Searcher):
    """Base of the searchers over programs. ``_engine`` is set by the subclass."""

    _engine: Engine

    def __init__(self, metric: str | None, mode: str | None) -> None:
        super().__init__(metric=metric, mode=mode)
        self._metric, self._mode = metric, mode
        self._seen: dict[str, Any] = {}
        self._concurrency, self._faults = 1, 0
        self._said = False

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Learn how many trials run at once; Tune's limiter still does the limiting."""
        self._concurrency = max_concurrent
        return False

    def fault(self, hook: str, error: Exception) -> None:
        """Say that raymimic itself failed in a hook (once); the search goes on."""
        self._faults += 1
        if self._faults == 1:
            trace = trace_text(error)
            logger.warning("raymimic failed in %s (said once; it goes on).\n%s", hook, trace)

    @property
    def ledger_path(self) -> Path:
        """The file with the record of everything."""
        return self._engine.ledger.path

    def save(self, checkpoint_path: str) -> None:
        """Write what is known to ``checkpoint_path``; called by Tune while it runs."""
        part = Path(f"{checkpoint_path}.part")
        saved = (self._engine, self._seen, self._metric, self._mode, self._concurrency)
        part.write_bytes(cloudpickle.dumps(saved))
        os.replace(part, checkpoint_path)

    @guarded
    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """As Tune's own, but a full disk does not end the run: the last checkpoint stays.

        A ledger whose place nobody named moves there: Tune uploads what lies in the folder.
        """
        self._engine.ledger.settle(checkpoint_dir, UPLOADED)
        super().save_to_dir(checkpoint_dir, session_str)

    def restore(self, checkpoint_path: str) -> None:
        """Take up what was saved; what its ledger knows beyond the checkpoint comes back, too.

        Trials that Tune knew at the checkpoint are run again by Tune under their old names.
        """
        with open(checkpoint_path, "rb") as file:
            engine, self._seen, metric, mode, self._concurrency = cloudpickle.load(file)
        self._metric, self._mode = self._metric or metric, self._mode or mode
        beside = Path(checkpoint_path).parent
        if not engine.ledger.path.exists() and (beside / engine.ledger.path.name).exists():
            engine.ledger.settle(beside, UPLOADED)  # the experiment's folder was moved
        kept = [one.trial_id or "" for one in engine.state.of_status("running")]
        engine.take_up(engine.ledger.path)
        engine.release_running(except_for=kept)
        self._engine = engine
