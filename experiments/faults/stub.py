"""A language model on the loopback that counts what it is asked: the bill to compare with.

It speaks chat completions, so requests come through a real SDK client. Every reply costs
`TOKENS_IN` and `TOKENS_OUT`; the answer to a running training is always `ADJUSTMENT`, the same for
each question, so that a training that is repeated gets the same advice.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKENS_IN, TOKENS_OUT = 100, 10

ADJUSTMENT = json.dumps(
    {
        "review": "",
        "rationale": "a little smaller, a little more dropout",
        "knobs": {"dropout": 0.2},
        "alpha": 0.3,
        "operations": [
            {"kind": "shrink", "params": "3.*", "amount": 0.02, "toward": None, "values": None}
        ],
    }
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # an asker that was killed hangs up
            super().handle_error(request, client_address)


class StubModel:
    """``latency`` seconds a reply. ``received`` questions came, ``answered`` were replied to."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.received = self.answered = 0
        self._lock = threading.Lock()
        self._random = random.Random(7)
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @contextlib.contextmanager
    def running(self) -> Iterator[StubModel]:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def reply(self, user: str) -> str:
        """Propose as many configurations as the question wants, or adjust a training."""
        found = re.search(r"Propose exactly (\d+) new configuration", user)
        if found is None:
            return ADJUSTMENT
        with self._lock:
            proposals = [
                {
                    "config": {
                        "lr": 10 ** self._random.uniform(-3, -1),
                        "weight_decay": 10 ** self._random.uniform(-5, -2),
                    },
                    "rationale": "somewhere new",
                    "expected": None,
                }
                for _ in range(int(found[1]))
            ]
        return json.dumps({"proposals": proposals})

    def _count(self, name: str) -> None:
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)

    def _handler(stub) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                stub._count("received")
                time.sleep(stub.latency)
                page = json.dumps(_completion(stub.reply(body["messages"][-1]["content"])))
                with contextlib.suppress(OSError):  # the asker may have been killed
                    self.send_response(200)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(page)))
                    self.end_headers()
                    self.wfile.write(page.encode())
                    stub._count("answered")

        return Handler


def _completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {
            "prompt_tokens": TOKENS_IN,
            "completion_tokens": TOKENS_OUT,
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        },
    }
