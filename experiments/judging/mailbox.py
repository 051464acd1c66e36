"""Stands for the mailbox through which the scheduler sends knobs to running trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raymimic.tune import scheduler


class FakeMailbox:
    """Takes pushes without a Ray, and remembers what each trial was sent last."""

    def __init__(self) -> None:
        self.sent: dict[str, dict[str, float]] = {}

    def push(
        self, trial_id: str, values: Mapping[str, float], checkpoint: Any = None, serial: int = 0
    ) -> None:
        del checkpoint, serial
        self.sent[trial_id] = dict(values)

    def forget(self, trial_id: str) -> None:
        self.sent.pop(trial_id, None)


def use_fake_mailbox() -> FakeMailbox:
    """Every scheduler that is made from now on sends to this one."""
    mailbox = FakeMailbox()
    scheduler.ray_mailbox = lambda: mailbox
    return mailbox
