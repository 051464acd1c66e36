"""One optimizer or several as one thing to step, with those inside a wrapper found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any

from torch import Tensor
from torch.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
)

_LINEAR = (SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, RAdam, RMSprop)
"""Their update is the learning rate times something that does not depend on it, so a share of
the update is the update at a share of the learning rate, and costs nothing."""

_RATE_AT_START_ONLY = (Rprop,)
"""They read the learning rate at their first step and never again: turning it does nothing."""

Group = dict[str, Any]


class Optimizers:
    """The optimizers that a training steps.

    ``given`` are those that the loop steps; ``leaves`` those that move parameters, inside wrappers
    (SAM, Lookahead, accelerate's) or not; ``every`` all of them. Raises ValueError for what is no
    optimizer.
    """

    def __init__(self, given: Optimizer | Sequence[Optimizer]) -> None:
        several = isinstance(given, (list, tuple))
        self.given: list[Optimizer] = list(given) if several else [given]
        if not self.given:
            raise ValueError("there must be an optimizer to steer, and the list is empty")
        for optimizer in self.given:
            if not (callable(getattr(optimizer, "step", None)) and _groups_of(optimizer)):
                raise ValueError(
                    "optimizer must have step() and param_groups, as those of torch.optim, or be a "
                    f"list of such; got {type(optimizer).__name__}"
                )
        self.every: list[Optimizer] = []
        for optimizer in self.given:
            self._find(optimizer)
        self.leaves = [optimizer for optimizer in self.every if not _inside(optimizer)]
        self.sets_rates = False
        """Whether a step was seen to change its learning rates: then they are run state."""
        self._taken = False
        self._skips_are_seen = all(
            hasattr(leaf, "_optimizer_step_post_hooks") for leaf in self.leaves
        )

    def _find(self, optimizer: Optimizer) -> None:
        if all(optimizer is not known for known in self.every):
            self.every.append(optimizer)
            for inner in _inside(optimizer):
                self._find(inner)

    @property
    def groups(self) -> list[Group]:
        """Parameter groups, looked up each time: an optimizer that loads its state gets new."""
        return [group for leaf in self.leaves for group in leaf.param_groups]

    @property
    def parameters(self) -> list[Tensor]:
        """All that is moved, in the order of the groups."""
        return [parameter for group in self.groups for parameter in group["params"]]

    @property
    def trained(self) -> list[tuple[int, int]]:
        """Which parameters are moved now, and their sizes, to see whether that changes."""
        return [(id(p), p.numel()) for p in self.parameters if p.requires_grad]

    @property
    def linear(self) -> bool:
        """Whether a share of the update is the update at a share of the learning rate."""
        return all(type(one) in _LINEAR for one in self.every)

    @property
    def rated(self) -> list[Group]:
        """The groups with a learning rate that is a number and matters at each step."""
        return [
            group
            for leaf in self.leaves
            if not isinstance(leaf, _RATE_AT_START_ONLY)
            for group in leaf.param_groups
            if is_number(group.get("lr"))
        ]

    @property
    def name(self) -> str:
        """The class's name; of a wrapper its own and what is inside."""
        return " + ".join(type(one).__name__ for one in self.every)

    @property
    def rates(self) -> list[Any]:
        """The learning rates of the groups, as they stand there."""
        return [group.get("lr") for group in self.groups]

    # -- whether a step was taken --------------------------------------------------------------

    def watch(self) -> list[Any]:
        """Note each step that is taken, not those that a scaler or a wrapper skips.

        Returns the handles whose ``remove()`` ends it; none where a step cannot be watched, and
        then each one counts.
        """
        self._taken = False
        if not self._skips_are_seen:
            return []
        return [leaf.register_step_post_hook(self._note_step) for leaf in self.leaves]

    @property
    def stepped(self) -> bool:
        """Whether a step was taken since `watch` or `forget_step`."""
        return self._taken or not self._skips_are_seen

    def forget_step(self) -> None:
        """From now on: no step was taken."""
        self._taken = False

    def _note_step(self, optimizer: Optimizer, *_: Any) -> None:
        # A fused optimizer takes the scaler's finding into its kernel; the scaler sets it for the
        # step alone. Reading it waits for the device, as the scaler does for all other optimizers.
        found = getattr(optimizer, "found_inf", None)
        if not isinstance(found, Tensor) or not found.any():
            self._taken = True

    @property
    def wrapped(self) -> bool:
        """Whether an optimizer is inside another, which may call it or not."""
        return len(self.every) > len(self.leaves)

    @property
    def hooked(self) -> Optimizer:
        """The optimizer whose steps are steered where the loop takes them.

        Raises ValueError where there is no such one.
        """
        if len(self.leaves) == 1:
            found = self.leaves[0]
        elif len(self.given) == 1:
            found = self.given[0]
        else:
            raise ValueError(
                "attach() takes one optimizer; call step() of the modulator in place of the step() "
                "of each, or make a Modulator for each"
            )
        if not hasattr(found, "_optimizer_step_pre_hooks"):
            raise ValueError(
                f"attach() needs an optimizer that calls torch.optim.Optimizer.__init__, which "
                f"{type(found).__name__} does not; call step() of the modulator"
            )
        return found

    def step(self, take: Callable[[Optimizer], Any]) -> Any:
        """Step each optimizer; returns what the first one gave."""
        results = [take(optimizer) for optimizer in self.given]
        return results[0]


def is_number(rate: Any) -> bool:
    """Whether a learning rate can be multiplied: a number, or a tensor with one value."""
    if isinstance(rate, Tensor):
        return rate.numel() == 1 and rate.is_floating_point()
    return isinstance(rate, Real) and not isinstance(rate, bool)


def _groups_of(optimizer: Any) -> Any:
    return getattr(optimizer, "param_groups", None)


def _inside(optimizer: Optimizer) -> list[Optimizer]:
    """The optimizers that a wrapper holds in its attributes, alone, in a list or in a dict."""
    held = getattr(optimizer, "__dict__", {})
    return [one for value in held.values() for one in _optimizers_in(value)]


def _optimizers_in(value: Any) -> Iterator[Optimizer]:
    if isinstance(value, Optimizer):
        yield value
    elif isinstance(value, (list, tuple)):
        yield from (one for one in value if isinstance(one, Optimizer))
    elif isinstance(value, dict):
        yield from (one for one in value.values() if isinstance(one, Optimizer))
