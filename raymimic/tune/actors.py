"""Named Ray actors: looked up without waiting for longer than is meant."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import GetTimeoutError

from raymimic.inquiry import Background

NAMESPACE = "raymimic"
"""Of all our actors. Not the job's own namespace, which has a new random name in each: a restored
search finds the guide that its new driver started under the same name."""


def find_actor(name: str, seconds: float) -> Any:
    """Return the handle of the actor of that name.

    Raises what Ray raises: ValueError without such an actor, `GetTimeoutError` after ``seconds``;
    RuntimeError in a process that is not connected to Ray.
    """
    if not ray.is_initialized():  # a look-up would start a Ray of its own
        raise RuntimeError("this process is not connected to Ray")
    # On a thread, because a look-up has no timeout.
    search: Background[Any] = Background()
    search.submit(lambda: ray.get_actor(name, namespace=NAMESPACE))
    search.wait(seconds)
    found = search.take()
    if found is None:
        raise GetTimeoutError
    return found.result()
