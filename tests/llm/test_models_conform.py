"""Every language model of the package keeps what the protocol promises."""

from __future__ import annotations

import pytest
from llm_settings import KEY

from raymimic.llm import AnthropicLLM, Gateway, OpenAILLM, ScriptedLLM
from raymimic.testing import LLMConformance, StubServer
from raymimic.testing.server import Status


class OfAService(LLMConformance):
    """A model behind a server on this machine."""

    key = KEY
    stub: StubServer

    @pytest.fixture(autouse=True)
    def service(self, stub, monkeypatch):
        self.stub = stub
        for provider in ("ANTHROPIC", "OPENAI"):
            monkeypatch.setenv(f"{provider}_API_KEY", KEY)

    def make_silent(self):
        self.stub.faults.append("hang")
        return self.make()

    def make_failing(self):
        self.stub.faults.extend([Status(500)] * 20)
        return self.make()


class TestAnthropicLLM(OfAService):
    def make(self):
        pytest.importorskip("anthropic")
        return AnthropicLLM(base_url=f"http://{self.stub.host}")


class TestOpenAILLM(OfAService):
    def make(self):
        pytest.importorskip("openai")
        return OpenAILLM(base_url=f"http://{self.stub.host}/v1")


class TestGateway(OfAService):
    def make(self):
        pytest.importorskip("openai")
        return Gateway(OpenAILLM(base_url=f"http://{self.stub.host}/v1"))


class TestScriptedLLM(LLMConformance):
    def make(self):
        return ScriptedLLM(['{"a": 1}'] * 5)

    def make_silent(self):
        return ScriptedLLM(['{"a": 1}'], latency=100.0)

    def make_failing(self):
        return ScriptedLLM([])
