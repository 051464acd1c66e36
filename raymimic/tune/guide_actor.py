"""What runs in the guide's actor: the gateway, and a thread for each asker that waits."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO

from raymimic.errors import LLMError
from raymimic.llm import Gateway, Reply, Request, Spent

_CLAIMS, _CLAIM_S = 20, 0.25

MOST_ASKERS = 512  # at once; a thread is made when it is needed


class Desk:
    """An asynchronous actor: askers that wait hold up neither each other nor `spent`."""

    def __init__(self) -> None:
        self._opened: Gateway | None = None
        self._lock: IO[bytes] | None = None
        self._threads = ThreadPoolExecutor(MOST_ASKERS, thread_name_prefix="raymimic-guide")

    async def open(self, gateway: Gateway, environment: Mapping[str, str]) -> bool:
        """Take the client, and the variables that it reads its key and address from.

        False where another live guide keeps its budget in the same transcript.
        """
        for _ in range(_CLAIMS):
            if gateway.transcript is None or self._claim(gateway.transcript.path):
                break
            await asyncio.sleep(_CLAIM_S)  # one that was just stopped may not be gone yet
        else:
            return False
        os.environ.update(environment)  # of this process, which is the actor's alone
        self._opened = gateway
        return True

    def _claim(self, transcript: Path) -> bool:
        """Lock the transcript as long as this process lives; True where files cannot be locked."""
        try:
            transcript.parent.mkdir(parents=True, exist_ok=True)
            self._lock = open(transcript, "ab")  # noqa: SIM115 - held for good
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks, or a disk that fails
            return True
        return True

    async def complete(self, request: Request, seconds: float) -> Reply | LLMError:
        """Answer within ``seconds``. Errors are returned: a raised one Ray wraps in its own."""
        end = time.monotonic() + seconds
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._answer, request, end)

    def _answer(self, request: Request, end: float) -> Reply | LLMError:
        left = max(0.0, end - time.monotonic())
        try:
            return self._gateway.complete(replace(request, deadline=left))
        except LLMError as error:
            return error

    async def spent(self) -> Spent:
        """What went through so far."""
        return self._gateway.spent

    async def close(self) -> None:
        """Write what is left of the transcript."""
        if self._gateway.transcript is not None:
            self._gateway.transcript.flush()

    @property
    def _gateway(self) -> Gateway:
        assert self._opened is not None, "Guide.start opens it before it gives away its name"
        return self._opened
