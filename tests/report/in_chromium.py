"""A headless Chromium led over its debugging pipe (null-ended JSON on descriptors 3 and 4).

Only what these tests need of the Chrome DevTools Protocol; no driver and no port.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
    "--disable-background-networking", "--force-prefers-reduced-motion",
)  # fmt: skip
_PATIENCE_S = 120.0

# Puts the two pipes where Chromium expects them, whatever their numbers are here.
_START = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(reads, 3), os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""

needs_browser = pytest.mark.skipif(
    not BROWSER,
    reason="NO CHROMIUM: the pages are NOT tested in a browser; apt-get install chromium",
)

# Names for the steps that tests evaluate.
_HELPERS = """
window.$ = (id) => document.getElementById(id);
window.all = (query) => [...document.querySelectorAll(query)];
window.until = async (what) => {
  for (let i = 0; i < 1200; i++) {
    if (await what()) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error("waited in vain for " + what);
};
"""

# Brings an element into the middle of the screen, waits until it moves no more: its middle.
_STILL = """
const element = document.querySelector(QUERY);
let x = null, y = null;
await until(async () => {
  const last = y;
  element.scrollIntoView({ block: "center" });
  await new Promise((done) => setTimeout(done, 250));
  const box = element.getBoundingClientRect();
  [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  return y === last;
});
"""


class Browser:
    """One tab. ``console`` holds every error, warning and uncaught exception of its pages."""

    def __init__(self, folder: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), BROWSER, *_FLAGS,
             f"--user-data-dir={folder / 'profile'}"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._buffer, self._session = 0, b"", ""
        self.console: list[str] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        found = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(30)
        os.close(self._in)
        os.close(self._out)

    def open(self, address: str, width: int = 1400, height: int = 1000) -> float:
        """Open a page; return the milliseconds until its first screen was drawn."""
        self._send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=False,
        )  # fmt: skip
        self._send("Page.navigate", url="about:blank")
        self._send("Page.navigate", url=address)
        self.run(_HELPERS)
        ready = "document.documentElement?.dataset.ready"
        return float(self.run(f"await until(() => {ready})", f"Number({ready})"))

    def run(self, steps: str, value: str = "null") -> Any:
        """Run JavaScript in the page and return ``value``, which must be JSON."""
        wrapped = f"(async () => {{ {steps}; return {value}; }})()"
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            answer = self._send(
                "Runtime.evaluate", expression=wrapped, awaitPromise=True, returnByValue=True
            )
            if "exceptionDetails" not in answer:
                return answer["result"].get("value")
            text = json.dumps(answer["exceptionDetails"])
            assert "is not defined" in text, text  # the page is still coming
            assert time.monotonic() < deadline, text

    def click(self, query: str) -> None:
        """Press and release the mouse in the middle of an element, once it moves no more."""
        x, y = self.run(_STILL.replace("QUERY", json.dumps(query)), "[x, y]")
        self._send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        time.sleep(0.2)  # Plotly looks for what is under the mouse at most every 50 ms
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name: str) -> None:
        """Press a key, where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self._send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=_CODES[name],
            )

    def screenshot(self, path: Path) -> None:
        """Save the screen as PNG."""
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot")["data"]))

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._receive()
            if found.get("id") == self._number:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result
            self._hear(found)

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], deadline - time.monotonic())
            assert ready, "the browser does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

    def _hear(self, event: dict[str, Any]) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.console.append(json.dumps(params["args"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.console.append(json.dumps(params["entry"])[:500])
        elif method == "Network.requestWillBeSent":
            address = params["request"]["url"]
            if address.startswith(("http:", "https:")) and "//127.0.0.1:" not in address:
                self.console.append(f"asked the network: {address}")


_CODES = {"Escape": 27, "Enter": 13, "ArrowRight": 39, "ArrowLeft": 37, "Tab": 9}
