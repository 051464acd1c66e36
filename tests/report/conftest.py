"""One browser for all tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from in_chromium import Browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """The browser, with nothing in its console yet."""
    chromium.console.clear()
    return chromium
