"""What runs in the guide's actor: the gateway, and a thread for each asker that waits."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from raymimic.errors import LLMError
from raymimic.llm import Gateway, Reply, Request, Spent

MOST_ASKERS = 512  # at once; a thread is made when it is needed


class Desk:
    """An asynchronous actor: askers that wait hold up neither each other nor `spent`."""

    def __init__(self) -> None:
        self._opened: Gateway | None = None
        self._threads = ThreadPoolExecutor(MOST_ASKERS, thread_name_prefix="raymimic-guide")

    async def open(self, gateway: Gateway, environment: Mapping[str, str]) -> None:
        """Take the client, and the variables that it reads its key and address from."""
        os.environ.update(environment)  # of this process, which is the actor's alone
        self._opened = gateway

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
