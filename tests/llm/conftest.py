from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llm_settings import KEY, SCHEMA, MakeLLM

from raymimic.llm import AnthropicLLM, OpenAILLM, Request
from raymimic.testing.server import StubServer


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubServer]:
    monkeypatch.setattr("raymimic.llm.calling._BACKOFF_START", 0.01)
    with StubServer().running() as server:
        yield server


@pytest.fixture(params=["anthropic", "openai"])
def make_llm(
    request: pytest.FixtureRequest, stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> MakeLLM:
    """Make the adapter of either SDK, its key set and its address the stub's."""

    def make(**settings: Any) -> AnthropicLLM | OpenAILLM:
        if request.param == "anthropic":
            return AnthropicLLM(**{"base_url": f"http://{stub.host}", **settings})
        return OpenAILLM(**{"base_url": f"http://{stub.host}/v1", **settings})

    monkeypatch.setenv(f"{request.param.upper()}_API_KEY", KEY)
    return make


@pytest.fixture
def ask() -> Request:
    return Request(system="You tune.", user="Next?", schema=SCHEMA, max_tokens=100, deadline=5.0)
