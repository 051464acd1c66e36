"""A loopback server that speaks both dialects, for tests with the real SDKs over real HTTP.

It answers like the providers do, refuses what they refuse, and misbehaves on request.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

JSON = "application/json"
TOKENS_IN, TOKENS_OUT = 123, 10
RANGES = ("minimum", "maximum", "multipleOf", "minLength", "maxLength", "maxItems", "pattern")


@dataclass(frozen=True)
class Status:
    """A fault: an HTTP status with headers and an error body."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=lambda: {"message": "injected"})


@dataclass(frozen=True)
class Body:
    """A fault: these bytes as the whole body; "{reply}" in it stands for a whole good reply."""

    data: bytes
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = JSON


@dataclass(frozen=True)
class Says:
    """A reply that is whole and sound, with this text of the model's."""

    text: str


Fault = str | Status | Body | Says


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # clients may hang up, and the stub does
            super().handle_error(request, client_address)


class StubServer:
    """Answers every question with `reply`, which is ``text``; ``seen`` keeps the requests.

    ``faults`` are served first, one a request; ``unknown_fields`` of a request answer 400;
    a ``rule`` gives the fault that a request's body meets. A reply costs `TOKENS_IN` and
    `TOKENS_OUT`.
    """

    def __init__(self) -> None:
        self.text = '{"a": 1}'
        self.faults: deque[Fault] = deque()
        self.unknown_fields: set[str] = set()
        self.rule: Callable[[Mapping[str, Any]], Fault] | None = None
        self.seen: list[Seen] = []
        self.drip_s = 0.05  # a byte
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[StubServer]:
        """Serve while the block runs."""
        poll = {"poll_interval": 0.01}
        threading.Thread(target=self._server.serve_forever, kwargs=poll, daemon=True).start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()

    def reply(self, user: str) -> str:
        """The model's text for a user's turn; replace it in a subclass for one that reads it."""
        del user
        return self.text

    def _handler(stub) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                stub.seen.append(Seen(self.path, dict(self.headers.items()), body))
                fault: Fault = stub.rule(body) if stub.rule else "none"
                fault = stub.faults.popleft() if stub.faults else fault
                with contextlib.suppress(OSError):
                    _answer(stub, self, body, fault)

        return Handler


def _answer(
    stub: StubServer, http: BaseHTTPRequestHandler, body: dict[str, Any], fault: Fault
) -> None:
    refused = _refusal_of(stub, http.path, body)
    if refused:
        fault = Status(400, error={"message": refused, "type": "invalid_request_error"})
    if isinstance(fault, Status):
        payload = {"type": "error", "error": dict(fault.error)}
        _send(http, json.dumps(payload).encode(), fault.code, fault.headers)
        return
    if isinstance(fault, Says):
        _send(http, json.dumps(_reply(http.path, fault.text, "none")).encode())
        return
    reply = _reply(http.path, stub.reply(body["messages"][-1]["content"]), str(fault))
    if fault == "truncated":  # the cap is what cut it off
        spent = int(body.get("max_tokens") or body.get("max_completion_tokens") or TOKENS_OUT)
        name = "output_tokens" if "output_tokens" in reply["usage"] else "completion_tokens"
        reply["usage"][name] = spent
    page = json.dumps(reply).encode()
    if isinstance(fault, Body):
        data = fault.data.replace(b"{reply}", page)
        _send(http, data, fault.code, fault.headers, kind=fault.kind)
    else:
        _misbehave(stub, http, page, fault)


def _misbehave(stub: StubServer, http: BaseHTTPRequestHandler, page: bytes, fault: str) -> None:
    """A fault on the way, or else a whole page."""
    if fault == "hang":
        stub.closing.wait(20)
    elif fault == "drip":
        _drip(stub, http, page)
    elif fault == "reset":
        _reset(http)
    elif fault == "cut_body":
        _send(http, page[: len(page) // 2], length=len(page))
        http.close_connection = True
    elif fault == "endless":
        _pour(stub, http)
    elif fault == "garbage":
        http.wfile.write(b"\x00\xff not HTTP at all\r\n\r\n")
        http.close_connection = True
    elif fault == "gzip":
        _send(http, gzip.compress(page), headers={"content-encoding": "gzip"})
    else:
        _send(http, _bodies(page).get(fault, page), kind="text/html" if fault == "html" else JSON)


def _send(
    http: BaseHTTPRequestHandler,
    data: bytes,
    code: int = 200,
    headers: Mapping[str, str] = MappingProxyType({}),
    kind: str = JSON,
    length: int | None = None,
) -> None:
    http.send_response(code)
    http.send_header("content-type", kind)
    http.send_header("content-length", str(len(data) if length is None else length))
    for name, value in headers.items():
        http.send_header(name, value)
    http.end_headers()
    http.wfile.write(data)


def _bodies(page: bytes) -> dict[str, bytes]:
    return {
        "html": b"<html>Welcome to the hotel's network</html>",
        "empty_object": b"{}",
        "bad_body": page[:-5],
        "huge": page[:-1] + b" " * 2_000_000 + b"}",
    }


def _reset(http: BaseHTTPRequestHandler) -> None:
    linger = struct.pack("ii", 1, 0)
    http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    http.close_connection = True
    os.close(http.connection.detach())  # close() would wait for the streams that wrap it


def _pour(stub: StubServer, http: BaseHTTPRequestHandler) -> None:
    http.send_response(200)
    http.send_header("content-type", JSON)
    http.send_header("transfer-encoding", "chunked")
    http.end_headers()
    while not stub.closing.is_set():
        http.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def _drip(stub: StubServer, http: BaseHTTPRequestHandler, page: bytes) -> None:
    _send(http, b"", length=len(page))
    for byte in page:
        if stub.closing.wait(stub.drip_s):
            return
        http.wfile.write(bytes([byte]))
        http.wfile.flush()


def _reply(path: str, text: str, fault: str) -> dict[str, Any]:
    if fault == "bad_text":
        text = "I think a higher learning rate would be nice."
    if path.endswith("/messages"):
        return _anthropic_reply(text, fault)
    return _openai_reply(text, fault)


def _anthropic_reply(text: str, fault: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    usage = {
        "input_tokens": TOKENS_IN - 23,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 3,
        "output_tokens": TOKENS_OUT,
    }
    reply: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "stub-served",
        "content": content,
        "stop_reason": "end_turn",
        "usage": usage,
    }
    if fault == "refusal":
        details = {"type": "refusal", "category": "frontier_llm"}
        reply |= {"content": [], "stop_reason": "refusal", "stop_details": details}
    elif fault == "truncated":
        reply |= {"content": [{"type": "text", "text": text[:3]}], "stop_reason": "max_tokens"}
    elif fault == "thinking":
        content.insert(0, {"type": "thinking", "thinking": "hm", "signature": "s"})
    elif fault == "no_text":
        reply["content"] = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    elif fault == "no_usage":
        reply = {"content": content}
    return reply


def _openai_reply(text: str, fault: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": message}
    reply: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "stub-served",
        "choices": [choice],
        "usage": {
            "prompt_tokens": TOKENS_IN,
            "completion_tokens": TOKENS_OUT,
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        },
    }
    if fault == "refusal":
        message |= {"content": None, "refusal": "I cannot help with that."}
    elif fault == "truncated":
        message["content"] = text[:3]
        choice["finish_reason"] = "length"
    elif fault == "thinking":
        message["reasoning_content"] = "hm"
    elif fault == "no_text":
        message["content"] = None
    elif fault == "no_usage":
        reply = {"choices": [{"message": {"content": text}}]}
    return reply


def _refusal_of(stub: StubServer, path: str, body: Mapping[str, Any]) -> str | None:
    """Return why the real server would answer 400, or None."""
    whole = json.dumps(body)
    for name in sorted(stub.unknown_fields):
        if f'"{name}":' in whole:
            return f"{name}: Extra inputs are not permitted"
    claude = path.endswith("/messages")
    if claude and ("temperature" in body or "tool_choice" in body):
        return "temperature and forced tools are not taken by this model"
    if claude:
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    else:
        schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    return _schema_fault(schema, ranges_allowed=not claude) if schema else None


def _schema_fault(schema: Any, *, ranges_allowed: bool) -> str | None:
    if isinstance(schema, list):
        faults = (_schema_fault(item, ranges_allowed=ranges_allowed) for item in schema)
        return next((fault for fault in faults if fault), None)
    if not isinstance(schema, dict):
        return None
    if not ranges_allowed and any(name in schema for name in RANGES):
        return "output_config.format.schema: ranges are not supported"
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return "schema: additionalProperties must be false"
        if set(schema.get("required", ())) != set(schema["properties"]):
            return "schema: required must list every property"
    return _schema_fault(list(schema.values()), ranges_allowed=ranges_allowed)
