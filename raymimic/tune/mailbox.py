"""The mailbox: a tiny actor where the scheduler leaves what a running trial shall take over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.tune import Checkpoint
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raymimic.tune.actors import NAMESPACE

# An actor ends when its first handle is gone, however many others are looked up later: the first
# ones live here, as long as the driver does.
_kept: dict[str, Any] = {}


@dataclass(frozen=True)
class Handover:
    """Another trial's checkpoint to go on from; the trial answers with ``serial``."""

    checkpoint: Checkpoint
    serial: int


@dataclass(frozen=True)
class Parcel:
    """What waits for a trial; values that come with a handover belong to it."""

    values: Mapping[str, float]
    handover: Handover | None = None


class MailboxActor:
    """One parcel a trial. What was taken is gone: each value is taken over once."""

    def __init__(self) -> None:
        self._waiting: dict[str, Parcel] = {}

    def push(
        self, trial_id: str, values: Mapping[str, float], handover: Handover | None = None
    ) -> None:
        """Leave new values for a trial; later ones for the same knob replace earlier ones.

        Those of a handover replace all that waited.
        """
        before = self._waiting.get(trial_id)
        if before is not None and handover is None:
            values, handover = {**before.values, **values}, before.handover
        self._waiting[trial_id] = Parcel(values, handover)

    def take(self, trial_id: str) -> Parcel:
        """Give what waits for a trial, and forget it."""
        return self._waiting.pop(trial_id, Parcel({}))

    def forget(self, trial_id: str) -> None:
        """Throw away what waits for a trial that ended or starts again."""
        self._waiting.pop(trial_id, None)


class RayMailbox:
    """The scheduler's side of it: `scheduling.redirects.Mailbox`, sent and not waited for."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def push(
        self, trial_id: str, values: Mapping[str, float], checkpoint: Any = None, serial: int = 0
    ) -> None:
        """Leave new values for a trial, with a ``checkpoint`` those of a clone."""
        handover = None if checkpoint is None else Handover(checkpoint, serial)
        self._actor.push.remote(trial_id, dict(values), handover)

    def forget(self, trial_id: str) -> None:
        """Throw away what waits for a trial."""
        self._actor.forget.remote(trial_id)


def mailbox_name() -> str:
    """The actor's name: one for each Ray job, so that its driver and its trials know it alike.

    Raises RuntimeError in a process that is not connected to Ray.
    """
    if not ray.is_initialized():  # asking for the job would start a Ray of its own
        raise RuntimeError("this process is not connected to Ray")
    return f"mailbox-{ray.get_runtime_context().get_job_id()}"


def open_mailbox() -> Any:
    """Start this job's mailbox on the driver's node, or find it, and return its handle.

    Does not wait until it runs. Raises what Ray raises.
    """
    name = mailbox_name()
    here = ray.get_runtime_context().get_node_id()
    actor = (
        ray.remote(MailboxActor)
        .options(
            name=name,
            namespace=NAMESPACE,
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        )
        .remote()
    )
    if _kept.get(name) != actor:  # equal handles are of the same actor
        _kept[name] = actor
    return actor


def ray_mailbox() -> RayMailbox:
    """Open this job's mailbox for the scheduler; raises what Ray raises."""
    return RayMailbox(open_mailbox())
