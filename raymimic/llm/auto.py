"""From the user's ``llm`` setting to a language model, and one line that says which it is."""

from __future__ import annotations

import importlib.util
import os

from raymimic.errors import LLMSetupError
from raymimic.llm.anthropic import AnthropicLLM
from raymimic.llm.base import LLM, Relay
from raymimic.llm.openai import OpenAILLM
from raymimic.llm.prices import DEFAULT_ANTHROPIC_MODEL, DEFAULT_OPENAI_MODEL
from raymimic.llm.sdk import SdkLLM

FORMS = '"auto", "none", "anthropic:MODEL", "openai:MODEL" or an object with complete(request)'
_KEY_VARIABLES = {
    "ANTHROPIC_API_KEY": "anthropic",
    "OPENAI_API_KEY": "openai",
    "OPENAI_BASE_URL": "openai",
}


def resolve_llm(llm: str | LLM) -> LLM | None:
    """Return the language model that the setting means; None means to do without one.

    "auto" takes the first of ANTHROPIC_API_KEY, OPENAI_API_KEY and OPENAI_BASE_URL that is set and
    whose SDK is installed, else None. "anthropic:" and "openai:" without a model take the default.
    Raises `LLMSetupError` for any other setting, and for a named model whose SDK is not installed.
    """
    if not isinstance(llm, str):
        if isinstance(llm, LLM):
            return llm
        raise LLMSetupError(f"llm must be {FORMS}, got {llm!r}")
    if llm == "none":
        return None
    if llm == "auto":
        return _find_llm()
    provider, _, model = llm.partition(":")
    if provider not in ("anthropic", "openai"):
        raise LLMSetupError(
            f"llm must be {FORMS}, got {llm!r}; "
            'for a server of your own set OPENAI_BASE_URL and use "openai:MODEL"'
        )
    if not _installed(provider):
        raise LLMSetupError(f'llm={llm!r} needs its SDK: pip install "raymimic[{provider}]"')
    return _make(provider, model.strip())


def require_key(llm: LLM) -> None:
    """Raise `LLMSetupError` if the model needs a key that the environment does not hold."""
    if isinstance(llm, SdkLLM):
        llm.key()
    elif isinstance(llm, Relay):
        llm.require_key()


def describe(llm: LLM | None) -> str:
    """Say in one line which model reads the curves, or why none does."""
    if llm is None:
        return _why_none()
    if isinstance(llm, Relay):
        return llm.describe()
    if not isinstance(llm, SdkLLM):
        return llm.model
    where = f"{llm.model} at {llm.host}" if llm.address else llm.model
    return f"{where} through {llm.api_key_env}" if os.environ.get(llm.api_key_env) else where


def _find_llm() -> LLM | None:
    for variable, provider in _KEY_VARIABLES.items():
        if os.environ.get(variable) and _installed(provider):
            return _make(provider, "")
    return None


def _why_none() -> str:
    for variable, provider in _KEY_VARIABLES.items():
        if os.environ.get(variable) and not _installed(provider):
            return (
                f"{variable} is set but its SDK is missing: keyless heuristic advisor "
                f'(pip install "raymimic[{provider}]" to let a model read the curves)'
            )
    if any(os.environ.get(variable) for variable in _KEY_VARIABLES):
        return "no language model wanted: keyless heuristic advisor"
    return (
        "no key found: keyless heuristic advisor "
        "(set ANTHROPIC_API_KEY or OPENAI_API_KEY to let a model read the curves)"
    )


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _make(provider: str, model: str) -> LLM:
    if provider == "anthropic":
        return AnthropicLLM(model or DEFAULT_ANTHROPIC_MODEL)
    return OpenAILLM(model or DEFAULT_OPENAI_MODEL)
