"""The live page: on this machine only, with a token, and it follows the ledger."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("plotly", reason="the page needs plotly: pip install 'raymimic[report]'")

from in_chromium import Browser, needs_browser
from report_ledgers import write_ledger

from raymimic.report.watch import Watch


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A run of 8 trials of which 4 are in the ledger so far; the rest lies beside it."""
    whole = write_ledger(tmp_path / "whole", 8, ended=False)
    half = write_ledger(tmp_path / "ledger.jsonl", 4, ended=False)
    rest = whole.read_bytes()[len(half.read_bytes()) :]
    (tmp_path / "rest").write_bytes(rest)
    return half


def goes_on(ledger: Path) -> None:
    with open(ledger, "ab") as file:
        file.write(ledger.with_name("rest").read_bytes())


@pytest.fixture
def watch(ledger: Path) -> Iterator[Watch]:
    with Watch(str(ledger)) as watch:
        thread = threading.Thread(target=watch.serve)
        thread.start()
        yield watch
        watch.stop()
        thread.join()


def get(address: str, host: str = "") -> tuple[int, bytes, str]:
    request = urllib.request.Request(address, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read(), answer.headers.get("X-Version", "")
    except urllib.error.HTTPError as error:
        return error.code, error.read(), ""


def data_address(watch: Watch, have: str) -> str:
    return f"{watch.address.replace('/?', '/data?')}&have={have}"


def test_newer_data_comes_when_the_ledger_grew(watch: Watch, ledger: Path):
    status, body, version = get(data_address(watch, ""))
    assert status == 200
    assert len(json.loads(gzip.decompress(base64.b64decode(body)))["trials"]["id"]) == 4
    assert get(data_address(watch, version))[0] == 204
    goes_on(ledger)
    while (found := get(data_address(watch, version)))[0] == 204:
        pass  # it rests between two readings
    assert len(json.loads(gzip.decompress(base64.b64decode(found[1])))["trials"]["id"]) == 8


def test_without_the_token_or_under_another_name_nobody_is_answered(watch: Watch):
    address = urlsplit(watch.address)
    assert address.hostname == "127.0.0.1"
    assert len(address.query) > 30
    bare = f"http://{address.netloc}/"
    for asked in (bare, f"{bare}?token=guess", f"{bare}data?have=", f"{bare}?token=%00é"[:-1]):
        assert get(asked)[0] == 403
    assert get(watch.address, host="evil.example")[0] == 403  # a name that was bent to loopback
    assert get(watch.address.replace("/?", "/etc/passwd?"))[0] == 404


@needs_browser
def test_the_page_follows_without_a_reload(browser: Browser, watch: Watch, ledger: Path):
    browser.open(watch.address)
    assert browser.run("", "$('f-count').textContent") == "4 trials"
    assert browser.run("window.same = true", "$('state').textContent") == "live"
    browser.click("#trials button.link")
    story = browser.run("", "document.querySelector('#story h2 code').textContent")
    assert browser.run("", "document.activeElement.id") == "story-close"
    goes_on(ledger)
    browser.run("await until(() => $('f-count').textContent === '8 trials')")
    assert browser.run("", "window.same") is True
    assert browser.run("", "document.querySelector('#story h2 code').textContent") == story
    assert browser.run("", "document.activeElement.id") == "story-close"
    assert browser.console == []
