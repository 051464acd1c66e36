"""What programs merge, and the trusted side of one merge."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from raymimic.errors import CandidateError, MergeError
from raymimic.evolution.sandbox.arrays import SEPARATOR, read_arrays
from raymimic.evolution.sandbox.limits import Limits
from raymimic.evolution.sandbox.probe import Sandbox, mechanism
from raymimic.evolution.sandbox.process import GRACE_S, RunnerProcess
from raymimic.invention.template import FUNCTION

if TYPE_CHECKING:  # torch is heavy, and a search that only hands out programs needs none
    import torch

    State = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class MergeTask:
    """A base model and models tuned from it, as state dicts of one architecture.

    >>> import torch
    >>> from raymimic import MergeTask
    >>> base = {"w": torch.zeros(2)}
    >>> MergeTask(base, {"a": {"w": torch.ones(2)}, "b": {"w": torch.zeros(2)}}).names
    ('w',)

    Args:
        base: The model that is to be improved; what a program returns is added to it.
        experts: The tuned models by name, at least one.
        limits: What a program may use.
        sandbox: "auto" (refuses to start where no mechanism works) or "none".
        seed: Of a program's own random numbers.

    Programs see task vectors and base alone, in float32; nothing that scores them is in their
    process. Raises `MergeError` for models of different architectures.
    """

    base: State
    experts: Mapping[str, State]
    limits: Limits = field(default_factory=lambda: Limits(seconds=60.0))
    sandbox: Sandbox = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.experts:
            raise MergeError("experts must hold at least one tuned model, got none")
        for name in (*self.experts, *self.base):
            if SEPARATOR in name:
                raise MergeError(f"names of models and tensors must not hold {SEPARATOR!r}: {name}")
        if not self.names:
            raise MergeError("the base must hold tensors of floating-point numbers, got none")
        from raymimic.merging import task_vectors

        task_vectors(self.base, self.experts)

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors that a merge may change."""
        return tuple(name for name, tensor in self.base.items() if tensor.is_floating_point())

    def arrays(self) -> dict[str, np.ndarray]:
        """What goes into the sandbox."""
        from raymimic.merging import task_vectors

        arrays = {f"base{SEPARATOR}{name}": self.base[name].float().numpy() for name in self.names}
        for expert, vectors in task_vectors(self.base, self.experts).items():
            for name, vector in vectors.items():
                arrays[SEPARATOR.join(("task_vectors", expert, name))] = vector.numpy()
        return arrays


class MergeRunner:
    """Applies programs to a task, one after the other, each in a confined process.

    Raises `SandboxError` where no mechanism confines a program on this machine.
    """

    def __init__(self, task: MergeTask) -> None:
        self.task = task
        self.process = RunnerProcess(
            task.arrays,
            mechanism(task.sandbox),
            confined=task.sandbox != "none",
            threads=task.limits.threads,
        )

    @property
    def mechanism(self) -> str:
        """What confines a program here, as results say it."""
        return self.process.mechanism.name

    def apply(self, source: str) -> dict[str, torch.Tensor]:
        """The base's state with what the program gains it, in the base's dtypes.

        Raises `CandidateError` where the program fails, returns what it must not, or goes beyond
        its limits.
        """
        task = self.task
        with self.process.folder() as folder:
            self.process.send(
                {
                    "source": source,
                    "function": FUNCTION,
                    "folder": str(folder),
                    "limits": task.limits.to_json(),
                    "seed": task.seed,
                }
            )
            event = self.process.event(time.monotonic() + task.limits.seconds + GRACE_S)
            if not event["ok"]:
                raise CandidateError(event["text"] or event["reason"], reason=event["reason"])
            gains = read_arrays(folder / "call" / "out.npz", task.limits.disk)
        return self._added(gains)

    def close(self) -> None:
        """End the runner; the next merge starts another."""
        self.process.close()

    def _added(self, gains: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        import torch

        wanted = set(self.task.names)
        if set(gains) != wanted:
            missing, more = sorted(wanted - set(gains))[:3], sorted(set(gains) - wanted)[:3]
            raise CandidateError(
                f"{FUNCTION} must return one tensor for each name in base; missing {missing}, "
                f"unknown {[name[:80] for name in more]}",
                reason="bad tensors",
            )
        merged = dict(self.task.base)
        for name, gain in gains.items():
            base = merged[name]
            if gain.shape != tuple(base.shape) or gain.dtype != np.float32:
                raise CandidateError(
                    f"{name!r} must have the shape {tuple(base.shape)}, got {gain.shape}",
                    reason="bad tensors",
                )
            if not np.isfinite(gain).all():
                raise CandidateError(f"{name!r} holds NaN or infinity", reason="bad tensors")
            merged[name] = (base.float() + torch.from_numpy(gain)).to(base.dtype)
        return merged
