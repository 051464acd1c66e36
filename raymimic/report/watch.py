"""The live page: a small server on this machine only, which reads the ledger as it grows."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from raymimic.errors import LedgerError
from raymimic.report.find import find_ledgers
from raymimic.report.page import packed, page_of
from raymimic.report.payload import headline, payload_of
from raymimic.report.reading import read_run

_HOST = "127.0.0.1"
_REST = 5.0  # times the seconds of the last reading: a large ledger is read more rarely


class Watch:
    """Serves a run's page and its newest data; a context manager that ends the server.

    Only who knows the token in ``address`` is answered, and only under the server's own name, so
    that a page from elsewhere cannot read it. Raises `LedgerError` where the run has no ledger.
    """

    def __init__(self, target: str, port: int = 0) -> None:
        self._ledgers = find_ledgers(target)
        self._token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._version, self._data, self._title = "", b"", ""
        self._next = 0.0
        self._renew()
        self._server = ThreadingHTTPServer((_HOST, port), self._handler())
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://{_HOST}:{self._server.server_port}/?token={self._token}"

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def serve(self) -> None:
        """Answer until interrupted."""
        self._server.serve_forever(poll_interval=0.5)

    def stop(self) -> None:
        """End `serve`, which runs on another thread."""
        self._server.shutdown()

    def newest(self, have: str) -> tuple[str, bytes] | None:
        """Return the version and the packed data, None where ``have`` is the newest."""
        with self._lock:
            self._renew()
            return None if have == self._version else (self._version, self._data)

    def page(self) -> bytes:
        """Return the whole page with the newest data."""
        with self._lock:
            self._renew()
            live = f"data?token={self._token}"
            return page_of(self._data, self._title, live).encode("utf-8", "replace")

    def _renew(self) -> None:
        """Read the ledgers again where they changed, but not without a rest."""
        version = "-".join(_stamps(self._ledgers))
        if version == self._version or time.monotonic() < self._next:
            return
        begun = time.monotonic()
        run = read_run(self._ledgers)
        self._data = packed(payload_of(run))
        self._title = f"{headline(run)} · raymimic"
        self._version = version
        self._next = time.monotonic() + _REST * (time.monotonic() - begun)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        watch = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                watch._answer(self)

            def log_message(self, *_: Any) -> None:
                """Be quiet: the address with its token is nothing for a log."""

        return Handler

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        address = urlsplit(request.path)
        query = parse_qs(address.query)
        own = f"{_HOST}:{self._server.server_port}"
        known = secrets.compare_digest(query.get("token", [""])[0].encode(), self._token.encode())
        if not known or request.headers.get("Host") != own:
            _send(request, 403, b"raymimic watch: open the address that it printed", "text/plain")
        elif address.path == "/":
            _send(request, 200, self.page(), "text/html; charset=utf-8")
        elif address.path == "/data":
            self._answer_data(request, query.get("have", [""])[0])
        else:
            _send(request, 404, b"", "text/plain")

    def _answer_data(self, request: BaseHTTPRequestHandler, have: str) -> None:
        try:
            found = self.newest(have)
        except LedgerError as error:  # deleted under our hands
            _send(request, 410, str(error).encode(), "text/plain")
            return
        if found is None:
            _send(request, 204, b"", "text/plain")
        else:
            _send(request, 200, found[1], "text/plain", found[0])


def _stamps(paths: tuple[Path, ...]) -> Iterator[str]:
    for path in paths:
        try:
            yield str(path.stat().st_size)
        except OSError:
            yield "gone"


def _send(
    request: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, version: str = ""
) -> None:
    request.send_response(status)
    headers = {
        "Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store",
        "X-Version": version, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }  # fmt: skip
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
