from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from raymimic.errors import LLMSetupError
from raymimic.llm import (
    PROVIDERS,
    AnthropicLLM,
    OpenAILLM,
    Provider,
    ScriptedLLM,
    describe,
    resolve_llm,
)


@pytest.fixture
def no_anthropic(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "anthropic" else real(name)
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (["ANTHROPIC_API_KEY", "OPENAI_API_KEY"], AnthropicLLM),
        (["OPENAI_API_KEY"], OpenAILLM),
        (["OPENAI_BASE_URL"], OpenAILLM),
        ([], type(None)),
    ],
)
def test_auto_takes_what_the_environment_offers(
    monkeypatch: pytest.MonkeyPatch, variables: list[str], expected: type
) -> None:
    for name in variables:
        monkeypatch.setenv(name, "http://localhost:1/v1")
    assert type(resolve_llm("auto")) is expected


def test_an_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    assert resolve_llm("auto") is None


@pytest.mark.parametrize(
    ("setting", "model"),
    [
        ("anthropic:", "claude-haiku-5-5"),
        ("openai:", "gpt-6-luna"),
        ("anthropic:claude-opus-5-5", "claude-opus-5-5"),
        ("openai:qwen3:0.6b", "qwen3:0.6b"),
    ],
)
def test_a_model_may_be_named(setting: str, model: str) -> None:
    llm = resolve_llm(setting)
    assert llm is not None
    assert llm.model == model


def test_none_and_objects_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    llm = ScriptedLLM([])
    assert resolve_llm(llm) is llm
    assert resolve_llm("none") is None


@pytest.mark.parametrize("wrong", ["", "gpt-6-luna", "claude:x", "Auto", None, 3, ScriptedLLM])
def test_other_settings_are_refused_with_the_forms(wrong: Any) -> None:
    with pytest.raises(LLMSetupError, match="anthropic:MODEL"):
        resolve_llm(wrong)


def test_a_provider_needs_its_class_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lab(OpenAILLM):
        provider = Provider("openai", "lab-1", key="LAB_KEY", address="LAB_URL", servers=True)

    monkeypatch.setitem(PROVIDERS, "lab", Lab)
    named = resolve_llm("lab:lab-2")
    assert (type(named), named.model, named.api_key_env) == (Lab, "lab-2", "LAB_KEY")
    assert "LAB_KEY" in describe(None)
    monkeypatch.setenv("LAB_URL", "http://localhost:1/v1")
    found = resolve_llm("auto")
    assert (type(found), found.model, found.address) == (Lab, "lab-1", "http://localhost:1/v1")
    with pytest.raises(LLMSetupError, match='"lab:MODEL"'):
        resolve_llm("laboratory:")


@pytest.mark.usefixtures("no_anthropic")
def test_a_missing_sdk_is_an_error_only_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with pytest.raises(LLMSetupError, match=r'pip install "raymimic\[anthropic\]"'):
        resolve_llm("anthropic:")
    assert resolve_llm("auto") is None
    assert 'pip install "raymimic[anthropic]"' in describe(None)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert isinstance(resolve_llm("auto"), OpenAILLM)


def test_one_line_says_which_model_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe(None) == (
        "no key found: keyless heuristic advisor "
        "(set ANTHROPIC_API_KEY or OPENAI_API_KEY to let a model read the curves)"
    )
    assert describe(OpenAILLM("qwen3", base_url="http://localhost:8000/v1")) == (
        "qwen3 at localhost:8000"
    )
    assert describe(ScriptedLLM([], model="fake")) == "fake"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert describe(AnthropicLLM()) == "claude-haiku-5-5 through ANTHROPIC_API_KEY"
    assert describe(None, "none") == "no language model wanted: keyless heuristic advisor"
    assert describe(None, "none", "rules steer") == "no language model wanted: rules steer"
