"""What the two SDK adapters share: key, client, field-by-field adaptation, usage and cost.

An adapter supplies three things: its request fields, how to send them and how to read the reply.
A client lives for one `complete` only: state stays picklable and keyless, threads share nothing,
and hanging up at a deadline harms no other call (making one costs milliseconds, a reply seconds).
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from raymimic.errors import BadReply, LLMCallError, LLMError, LLMSetupError
from raymimic.llm.base import Provider, Reply, Request
from raymimic.llm.body_limit import bound_body
from raymimic.llm.calling import call_with_retries, contained
from raymimic.llm.failures import Context, RequestRefused, translate
from raymimic.llm.prices import Price, cost
from raymimic.llm.strict_json import MAX_CHARS

_CONNECT_SECONDS = 5.0  # a dead host should leave time for a retry
_MOST_TOKENS = 10**7
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """A reply as read from either dialect; ``failure`` says why its text cannot be used."""

    text: str
    model: str
    tokens_in: int
    tokens_out: int
    failure: LLMError | None = None


class SdkLLM(ABC):
    """A language model reached through a provider's SDK. Base of the adapters.

    Model and key variable are the provider's own where not given.
    """

    provider: ClassVar[Provider]
    client_class: ClassVar[str]
    # What a server may not know -> words of a 400 that mean it. The first that fits is dropped.
    optional_fields: ClassVar[Mapping[str, tuple[str, ...]]]

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key_env: str | None = None,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        model = self.provider.model if model is None else model
        if not model.strip():
            raise LLMSetupError(f"model must name a model, got {model!r}")
        if base_url is not None:
            _check_address("base_url", base_url)
        self.model = model
        self.base_url = base_url
        self.api_key_env = self.provider.key if api_key_env is None else api_key_env
        self.prices = dict(prices or {})
        self._dropped: frozenset[str] = frozenset()

    @property
    def base_url_env(self) -> str:
        """The environment variable from which the SDK itself reads the address."""
        return self.provider.address

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, base_url={self.base_url!r})"

    @property
    def address(self) -> str | None:
        """Where requests go when that is not the provider: the setting, or the environment's."""
        return self.base_url or os.environ.get(self.provider.address) or None

    def complete(self, request: Request) -> Reply:
        """Answer within ``request.deadline`` seconds or raise an `LLMError`, nothing else."""
        started = time.monotonic()
        if self.address:
            _check_address(self.provider.address, self.address)
        _load_sdk(self.provider.name)
        client = contained(self._open_client, self._translate)
        if isinstance(client, LLMError):
            raise client
        dropped = set(self._dropped)

        def ask(seconds: float) -> Answer:
            return self._ask(client, request, seconds, frozenset(dropped))

        def adapt(failure: LLMError) -> bool:
            refused = self._refused_field(failure, dropped)
            if refused is None:
                return False
            dropped.add(refused)
            self._remember(refused)
            return True

        try:
            answer, failed = call_with_retries(
                ask,
                seconds=request.deadline - (time.monotonic() - started),
                translate=self._translate,
                adapt=adapt,
            )
        finally:  # also unblocks a reader that hangs; a fault in it must not hide the outcome
            contained(client.close, self._translate)
        return self._reply(answer, failed, time.monotonic() - started)

    @abstractmethod
    def _send(self, client: Any, request: Request, timeout: Any, dropped: frozenset[str]) -> Any:
        """Make the SDK call, without the fields in ``dropped``."""

    @abstractmethod
    def _read(self, raw: Any) -> Answer:
        """Read the SDK's reply object, trusting nothing about its shape."""

    def _ask(
        self, client: Any, request: Request, seconds: float, dropped: frozenset[str]
    ) -> Answer:
        sdk = _load_sdk(self.provider.name)
        timeout = sdk.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
        return self._read(self._send(client, request, timeout, dropped))

    def _open_client(self) -> Any:
        sdk = _load_sdk(self.provider.name)
        http_client = sdk.DefaultHttpxClient(
            follow_redirects=False,  # a prompt goes to the address the user gave and to no other
            event_hooks={"response": [bound_body]},
        )
        return getattr(sdk, self.client_class)(
            api_key=self.key(),
            base_url=self.base_url,
            max_retries=0,
            default_headers={"accept-encoding": "identity"},
            http_client=http_client,
        )

    def key(self) -> str:
        """Read the key from the environment; raises `LLMSetupError` if it is needed and missing."""
        key = os.environ.get(self.api_key_env, "").strip()
        if key:
            if not (key.isascii() and key.isprintable()):
                raise LLMSetupError(f"{self.api_key_env} must hold a key of printable ASCII")
            return key
        if self.address:
            return "unused"  # local servers want none, but the SDKs do
        raise LLMSetupError(
            f"no API key for {self.model!r}: set the environment variable {self.api_key_env}, "
            'or set llm="none" to do without a language model',
            status="no_key",
        )

    def _refused_field(self, failure: LLMError, dropped: set[str]) -> str | None:
        if not isinstance(failure, RequestRefused):
            return None
        said = failure.said.lower()
        for name, words in self.optional_fields.items():
            if name not in dropped and any(word in said for word in words):
                return name
        return None

    def _remember(self, refused: str) -> None:
        self._dropped |= {refused}
        _logger.warning("%s at %s does not take %s: asking without", self.model, self.host, refused)

    def _reply(self, answer: Answer, failed: tuple[str, ...], seconds: float) -> Reply:
        price = cost(self.model, answer.tokens_in, answer.tokens_out, prices=self.prices)
        failure = answer.failure
        if failure is None and len(answer.text) > MAX_CHARS:
            failure = BadReply(
                f"the reply has {len(answer.text)} characters, the limit is {MAX_CHARS}",
                status="too_long",
            )
        if failure is not None:
            failure.failed_tries = (*failed, failure.status)
            failure.tokens_in, failure.tokens_out = answer.tokens_in, answer.tokens_out
            failure.cost = price
            raise failure
        return Reply(
            text=self._context.without_key(answer.text),  # a proxy may echo what it was sent
            model=answer.model,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            seconds=seconds,
            cost=price,
            tries=len(failed) + 1,
            failed_tries=failed,
        )

    @property
    def host(self) -> str:
        """The host (and port) that requests go to; the provider's name where that is its own."""
        if not self.address:
            return self.provider.name
        return urlsplit(self.address).netloc.rpartition("@")[2]

    @property
    def _context(self) -> Context:
        return Context(
            model=self.model,
            host=self.host,
            api_key_env=self.api_key_env,
            setting=f"{self.provider.name}:MODEL",
            key=os.environ.get(self.api_key_env, "").strip(),
        )

    def _translate(self, error: Exception) -> LLMError:
        return translate(error, self._context)

    def _model_of(self, raw: Any) -> str:
        name = getattr(raw, "model", None)
        return self._context.clean(name, 100) if isinstance(name, str) and name else self.model


def count_of(usage: Any, *names: str) -> int:
    """Return the sum of the token counts ``names`` in a usage object.

    What is missing, or more than any model takes, counts 0: one wrong number must not end a budget.
    """
    counts = [getattr(usage, name, None) for name in names]
    whole = [n for n in counts if isinstance(n, int) and not isinstance(n, bool)]
    return sum(n for n in whole if 0 < n <= _MOST_TOKENS)


def user_text(request: Request, *, with_schema: bool) -> str:
    """Return the user turn; ``with_schema`` for servers that do not take the schema as a field."""
    if not with_schema:
        return request.user
    schema = json.dumps(request.schema, ensure_ascii=False)
    return (
        f"{request.user}\n\nAnswer with one JSON object and nothing before or after it. "
        f"It must match this JSON schema:\n{schema}"
    )


def not_a_reply(what: str) -> LLMCallError:
    """Return the error for HTTP 200 with something that is no reply (HTML, an empty object)."""
    return LLMCallError(
        f"the server answered 200 without {what}; check that base_url is right",
        status="bad_body",
        retryable=False,
    )


def _load_sdk(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise LLMSetupError(
            f"the package {package!r} must be installed for this model: "
            f'pip install "raymimic[{package}]"',
            status="no_package",
        ) from None


def _check_address(setting: str, url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if "@" in parts.netloc:  # not quoted: it may hold a password
        raise LLMSetupError(f"{setting} must hold no user or password; set the key by api_key_env")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise LLMSetupError(f'{setting} must be as "http://localhost:8000/v1", got {url!r}')
