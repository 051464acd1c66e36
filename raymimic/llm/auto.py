"""From the user's ``llm`` setting to a language model, and one line that says which it is."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator

from raymimic.errors import LLMSetupError
from raymimic.llm.anthropic import AnthropicLLM
from raymimic.llm.base import LLM, Relay
from raymimic.llm.local import LlamaCppLLM, LocalLLM, TransformersLLM
from raymimic.llm.openai import OpenAILLM
from raymimic.llm.sdk import SdkLLM

PROVIDERS: dict[str, type[SdkLLM]] = {
    made.provider.name: made for made in (AnthropicLLM, OpenAILLM)
}
"""Who is asked by "NAME:MODEL"; "auto" takes the first that the environment offers."""

LOCAL: dict[str, Callable[[str], LocalLLM]] = {
    "transformers": TransformersLLM,
    "llamacpp": LlamaCppLLM,
}
"""Models in this process, by "NAME:FOLDER_OR_FILE"; none is taken by "auto"."""


def resolve_llm(llm: str | LLM) -> LLM | None:
    """Return the language model that the setting means; None means to do without one.

    "auto" takes the first provider of `PROVIDERS` of whose variables one is set and whose SDK is
    installed, else None. "NAME:" without a model takes the provider's default. Raises
    `LLMSetupError` for any other setting, for a named model whose SDK is not installed, and for a
    folder without a model.
    """
    if not isinstance(llm, str):
        if isinstance(llm, LLM):
            return llm
        raise LLMSetupError(f"llm must be {_forms()}, got {llm!r}")
    if llm == "none":
        return None
    if llm == "auto":
        found = next((made for _, made in _offered() if _installed(made)), None)
        return None if found is None else found(found.provider.model)
    name, _, model = llm.partition(":")
    if name in LOCAL:
        return LOCAL[name](model.strip())
    made = PROVIDERS.get(name)
    if made is None:
        raise LLMSetupError(
            f"llm must be {_forms()}, got {llm!r}; for a server of your own {_servers()}"
        )
    if not _installed(made):
        raise LLMSetupError(f'llm={llm!r} needs its SDK: pip install "raymimic[{name}]"')
    return made(model.strip() or made.provider.model)


def require_key(llm: LLM) -> None:
    """Raise `LLMSetupError` if the model needs a key that the environment does not hold."""
    if isinstance(llm, SdkLLM):
        llm.key()
    elif isinstance(llm, Relay):
        llm.require_key()


def describe(
    llm: LLM | None, setting: object = "auto", instead: str = "keyless heuristic advisor"
) -> str:
    """Say in one line which model reads the curves, or why ``setting`` gave none and who does."""
    if llm is None:
        return _why_none(setting, instead)
    if isinstance(llm, Relay):
        return llm.describe()
    if isinstance(llm, LocalLLM):
        return f"{llm.model} in this process"
    if not isinstance(llm, SdkLLM):
        return llm.model
    where = f"{llm.model} at {llm.host}" if llm.address else llm.model
    return f"{where} through {llm.api_key_env}" if os.environ.get(llm.api_key_env) else where


def _forms() -> str:
    named = ", ".join(f'"{name}:MODEL"' for name in (*PROVIDERS, *LOCAL))
    return f'"auto", "none", {named} or an object with complete(request)'


def _servers() -> str:
    return " or ".join(
        f'set {made.provider.address} and use "{name}:MODEL"'
        for name, made in PROVIDERS.items()
        if made.provider.servers
    )


def _offered() -> Iterator[tuple[str, type[SdkLLM]]]:
    """Each environment variable that is set and speaks for a provider, and the provider's class."""
    for made in PROVIDERS.values():
        for variable in made.provider.variables:
            if os.environ.get(variable):
                yield variable, made


def _why_none(setting: object, instead: str) -> str:
    if setting != "auto":
        return f"no language model wanted: {instead}"
    for variable, made in _offered():
        if not _installed(made):
            return (
                f"{variable} is set but its SDK is missing: {instead} "
                f'(pip install "raymimic[{made.provider.name}]" to let a model read the curves)'
            )
    keys = " or ".join(made.provider.key for made in PROVIDERS.values())
    return f"no key found: {instead} (set {keys} to let a model read the curves)"


def _installed(made: type[SdkLLM]) -> bool:
    return importlib.util.find_spec(made.provider.name) is not None
