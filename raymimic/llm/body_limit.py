"""A bound on the size of a reply's body: a response hook for the HTTP client of either SDK."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from raymimic.errors import LLMCallError

MAX_BODY_BYTES = 1_000_000


def bound_body(response: Any) -> None:
    """Bound what is read of ``response``; raises `LLMCallError` now or while it is read."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise LLMCallError(
            "the server compressed its reply although asked not to",
            status="bad_body",
            retryable=False,
        )
    family = importlib.import_module(type(response).__module__.partition(".")[0])  # httpx or httpx2
    response.stream = _bounded(family.SyncByteStream, response.stream)


def _bounded(base: type[Any], stream: Any) -> Any:
    """Wrap a byte stream so that it fails after `MAX_BODY_BYTES`."""

    class Bounded(base):  # type: ignore[misc]  # the class is known only at run time
        def __iter__(self) -> Iterator[bytes]:
            total = 0
            for chunk in stream:
                total += len(chunk)
                if total > MAX_BODY_BYTES:
                    raise LLMCallError(
                        f"the reply is larger than {MAX_BODY_BYTES} bytes",
                        status="too_large",
                        retryable=False,
                    )
                yield chunk

        def close(self) -> None:
            stream.close()

    return Bounded()
