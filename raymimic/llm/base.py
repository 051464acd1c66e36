"""The one method every language model offers: ``complete(request) -> Reply``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Provider:
    """Who offers models: how one is named, installed and reached.

    ``name`` is the word in "NAME:MODEL" and in ``pip install "raymimic[NAME]"``, and that of the
    SDK's package. ``model`` is taken where none is named. ``key`` is the environment variable with
    the key, ``address`` the one from which the SDK reads another server's address; ``servers``:
    many servers of one's own can be reached so, and the address alone lets "auto" take it.
    """

    name: str
    model: str
    key: str
    address: str
    servers: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables any of which lets "auto" take this provider."""
        return (self.key, self.address) if self.servers else (self.key,)


@dataclass(frozen=True)
class Request:
    """What is asked. ``system`` is constant over a run so that providers can cache it.

    ``schema`` is the JSON schema (a plain dict) of the wanted reply object; ``max_tokens`` bounds
    the reply; ``deadline`` is the total wall time in seconds for the decision, retries included.

    >>> from raymimic import Request
    >>> Request("You tune.", "Propose.", schema={}).user
    'Propose.'
    """

    system: str
    user: str
    schema: Mapping[str, Any]
    max_tokens: int = 2048
    deadline: float = 60.0


@dataclass(frozen=True)
class Reply:
    """What came back. ``text`` is unparsed; ``cost`` in US dollars, None if unknown.

    ``repairs`` say where the text stood if not in its place, ``server`` what was learnt of the
    server (`Learnt.to_json`).

    >>> from raymimic import Reply
    >>> Reply("{}", "some-model").text
    '{}'
    """

    text: str
    model: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = 0.0
    tries: int = 1
    failed_tries: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    server: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class LLM(Protocol):
    """A language model. Implementations pickle without key and live client.

    >>> from raymimic import LLM, Reply
    >>> class Parrot:
    ...     model = "parrot"
    ...     def complete(self, request):
    ...         return Reply(request.user, self.model)
    >>> isinstance(Parrot(), LLM)
    True
    """

    @property
    def model(self) -> str:
        """The model's name as the provider spells it."""
        ...

    def complete(self, request: Request) -> Reply:
        """Answer within ``request.deadline`` seconds or raise an `LLMError`, nothing else."""
        ...


@runtime_checkable
class Relay(Protocol):
    """A language model that carries questions to another one and speaks for it."""

    def describe(self) -> str:
        """Say in one line which model answers, and within which limits."""
        ...

    def require_key(self) -> None:
        """Raise `LLMSetupError` if the model behind needs a key that it has not."""
        ...
