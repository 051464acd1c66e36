"""Stands for the handle of the actor through which the scheduler sends knobs to trials."""

from __future__ import annotations

from types import SimpleNamespace


class FakeMailbox:
    """Takes pushes without a Ray, and remembers what each trial was sent last."""

    def __init__(self) -> None:
        self.sent: dict[str, dict[str, float]] = {}
        self.push = SimpleNamespace(remote=lambda trial, new: self.sent.update({trial: new}))
        self.forget = SimpleNamespace(remote=lambda trial: self.sent.pop(trial, None))
