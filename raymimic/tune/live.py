"""Live knobs: numbers of a running trial that an `LLMScheduler` may turn without a restart."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.fs
import ray
from ray import tune
from ray.tune import Checkpoint

from raymimic.records import Knob
from raymimic.tune.actors import find_actor
from raymimic.tune.mailbox import Handover, Parcel, mailbox_name
from raymimic.tune.results import KNOB_PREFIX, LOST, TAKEN

logger = logging.getLogger(__name__)

_TAKE_S = 5.0  # longest wait for the mailbox at an epoch's start; a millisecond or two is usual
_PAUSE_S = 60.0  # before a mailbox that could not be reached is tried again


class LiveKnobs:
    """Knobs of a training function, declared on the driver and given to ``LLMScheduler``.

    Outside of a trial, too, a training that uses them runs as it is:

    >>> from raymimic import Knob, LiveKnobs, LLMScheduler
    >>> live = LiveKnobs({"lr": Knob(1e-5, 1e-1, "learning rate"), "dropout": Knob(0.0, 0.6)})
    >>> def train(config):
    ...     knobs = live.start({"lr": config["lr"], "dropout": 0.1})
    ...     for epoch in range(2):
    ...         knobs.update()  # between two epochs
    ...         if knobs.checkpoint is not None:  # only with LLMScheduler(population=True)
    ...             ...  # go on from a better trial's weights
    ...         loss = 1.0 / (1 + epoch) + knobs["lr"] + knobs["dropout"]
    ...         yield {"loss": loss, **knobs.metrics()}  # in a trial: tune.report(...)
    >>> list(train({"lr": 0.01}))[-1]
    {'loss': 0.61, 'raymimic/live/lr': 0.01, 'raymimic/live/dropout': 0.1}
    >>> scheduler = LLMScheduler(knobs=live, llm="none")

    A plain value: it pickles and holds no connection. Raises ValueError without any knob.
    """

    def __init__(self, knobs: Mapping[str, Knob]) -> None:
        if not knobs:
            raise ValueError("LiveKnobs needs at least one knob, got none; leave it out then")
        self.declared: dict[str, Knob] = dict(knobs)

    def start(
        self, values: Mapping[str, float] | None = None, trial_id: str | None = None
    ) -> TrialKnobs:
        """Begin inside a trial, or in a plain loop, where the values just stay.

        Knobs without a value start at their own; class trainables give ``self.trial_id``. Raises
        ValueError for a knob that was not declared and a value that is no finite number.
        """
        return TrialKnobs(self, values or {}, trial_id or _trial_id())


class TrialKnobs(Mapping[str, float]):
    """The knobs of one trial with their present values; they change in `update` alone.

    >>> from raymimic import Knob, LiveKnobs
    >>> knobs = LiveKnobs({"lr": Knob(1e-5, 1.0)}).start({"lr": 0.1})
    >>> knobs["lr"]
    0.1
    """

    def __init__(self, live: LiveKnobs, values: Mapping[str, float], trial_id: str | None) -> None:
        self._declared = live.declared
        self._values = {name: knob.value for name, knob in live.declared.items()}
        self._set(values)
        self._trial_id = trial_id
        self._mailbox: Any = None
        self._handover: Handover | None = None
        self._serials: dict[str, float] = {}
        self._said = self._said_gone = False
        self._retry_at = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mailbox": None, "_handover": None, "_retry_at": 0.0}

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def update(self) -> dict[str, float]:
        """Take over what was pushed since the last call and return it: call it once an epoch.

        Look at ``checkpoint`` afterwards, if the scheduler clones.

        Takes 1-2 ms, at most 5 s. Where nothing can be reached the values stay: said once, tried
        again after a minute.
        """
        self._handover = None
        if self._trial_id is None or time.monotonic() < self._retry_at:
            return {}
        try:
            if self._mailbox is None:
                self._mailbox = find_actor(mailbox_name(), _TAKE_S)
            parcel: Parcel = ray.get(self._mailbox.take.remote(self._trial_id), timeout=_TAKE_S)
        except Exception as error:  # noqa: BLE001 - Ray raises RayError, ValueError, RuntimeError, ...
            self._lost(error)
            return {}
        if parcel.handover is not None and not self._is_there(parcel.handover):
            return {}
        self._handover = parcel.handover
        new = {
            name: self._bounded(name, value)
            for name, value in parcel.values.items()
            if name in self._declared
        }
        self._values.update(new)
        return new

    @property
    def checkpoint(self) -> Checkpoint | None:
        """A better trial's checkpoint that the last `update` brought with its knob values, or None.

        Load it at once: its trial goes on and may replace it. Who never looks here is stopped.
        """
        if self._handover is None:
            return None
        self._serials[TAKEN] = float(self._handover.serial)
        return self._handover.checkpoint

    def metrics(self) -> dict[str, float]:
        """What to report beside the training's own metrics, so that the scheduler knows them."""
        return {KNOB_PREFIX + name: value for name, value in self._values.items()} | self._serials

    def state_dict(self) -> dict[str, float]:
        """The values; save them with the training's checkpoint."""
        return dict(self._values)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on with saved values; raises ValueError as `LiveKnobs.start` does."""
        self._set(state)

    def _set(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if name not in self._declared:
                known = ", ".join(self._declared)
                raise ValueError(f"live knobs are {known}; got {name!r}: declare it in LiveKnobs")
            if not math.isfinite(value):
                raise ValueError(f"live knob {name!r} must start at a finite number, got {value!r}")
            self._values[name] = float(value)

    def _is_there(self, handover: Handover) -> bool:
        """Whether the checkpoint was not replaced (``num_to_keep``) since it was sent."""
        found = handover.checkpoint
        try:
            info = found.filesystem.get_file_info(found.path)
            there = info.type == pyarrow.fs.FileType.Directory
        except (OSError, ValueError):  # pyarrow's errors are these
            there = False
        if there:
            return True
        self._serials[LOST] = float(handover.serial)
        if not self._said_gone:
            logger.warning(
                "raymimic: trial %s was sent checkpoint %s, which is gone (said once); it goes on "
                "with its own weights. A CheckpointConfig with a larger num_to_keep helps.",
                self._trial_id,
                found.path,
            )
        self._said_gone = True
        return False

    def _bounded(self, name: str, value: float) -> float:
        knob = self._declared[name]
        return min(max(float(value), knob.low), knob.high)

    def _lost(self, error: Exception) -> None:
        self._mailbox = None
        self._retry_at = time.monotonic() + _PAUSE_S
        if not self._said:
            logger.warning(
                "raymimic: trial %s cannot reach the mailbox of live knobs (%s; said once); it "
                "goes on with its values. Is LiveKnobs given to LLMScheduler(knobs=...)?",
                self._trial_id,
                type(error).__name__,
            )
        self._said = True


def _trial_id() -> str | None:
    """The trial that this process runs, None outside of one."""
    if not ray.is_initialized():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Tune warns where there is none
        found: str | None = tune.get_context().get_trial_id()
    return found
