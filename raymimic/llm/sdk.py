"""What the two SDK adapters share: key, client, field-by-field adaptation, usage and cost.

An adapter supplies three things: its request fields, how to send them and how to read the reply.
A client lives for one `complete` only: state stays picklable and keyless, threads share nothing,
and hanging up at a deadline harms no other call (making one costs milliseconds, a reply seconds).
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

from raymimic.errors import BadReply, LLMCallError, LLMError, LLMSetupError
from raymimic.llm.adapting import Adaptation
from raymimic.llm.base import Provider, Reply, Request
from raymimic.llm.body_limit import bound_body
from raymimic.llm.calling import call_with_retries, contained
from raymimic.llm.failures import Context, inside_200, translate
from raymimic.llm.learnt import Learnt
from raymimic.llm.prices import Price, cost
from raymimic.llm.reply_json import read_reply
from raymimic.llm.strict_json import MAX_CHARS

_CONNECT_SECONDS = 5.0  # a dead host should leave time for a retry
_MOST_TOKENS = 10**7

# No tokenizer takes fewer than one token for so many characters of a long prompt of ours.
_LONG_PROMPT, _MOST_CHARACTERS = 3000, 8.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """A reply as read from either dialect; ``failure`` says why its text cannot be used.

    ``repairs`` say where the text stood, if not in its place.
    """

    text: str
    model: str
    tokens_in: int
    tokens_out: int
    failure: LLMError | None = None
    repairs: tuple[str, ...] = ()


class SdkLLM(ABC):
    """A language model reached through a provider's SDK. Base of the adapters.

    Model and key variable are the provider's own where not given. ``max_tokens`` bounds each reply,
    its reasoning included; by default it is what the question needs, and much more after a reply
    that was cut off. ``learnt`` is what is known of the server; it pickles along.
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
        max_tokens: int | None = None,
    ) -> None:
        if max_tokens is not None and not (isinstance(max_tokens, int) and max_tokens >= 1):
            raise LLMSetupError(f"max_tokens must be a whole number above 0, got {max_tokens!r}")
        model = self.provider.model if model is None else model
        if not model.strip():
            raise LLMSetupError(f"model must name a model, got {model!r}")
        if base_url is not None:
            _check_address("base_url", base_url)
        self.model = model
        self.base_url = base_url
        self.api_key_env = self.provider.key if api_key_env is None else api_key_env
        self.prices = dict(prices or {})
        self.max_tokens = max_tokens
        self.learnt = Learnt()

    def reply_cap(self, request: Request) -> int:
        """The tokens that the next reply to such a request may take."""
        return self.max_tokens or self.learnt.cap(request.max_tokens)

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
        work = Adaptation(
            request, self.learnt, self.optional_fields, self.max_tokens, own=bool(self.address)
        )
        try:
            answer, failed = call_with_retries(
                lambda seconds: self._ask(client, work, seconds),
                seconds=request.deadline - (time.monotonic() - started),
                translate=self._translate,
                adapt=work.adapt,
            )
        except LLMError as failure:
            self._settle(failure, work)
            raise
        finally:  # also unblocks a reader that hangs; a fault in it must not hide the outcome
            contained(client.close, self._translate)
        self._keep(work, answer)
        return self._reply(answer, failed, work, time.monotonic() - started)

    @abstractmethod
    def _send(self, client: Any, request: Request, timeout: Any, dropped: frozenset[str]) -> Any:
        """Make the SDK call, without the fields in ``dropped``."""

    @abstractmethod
    def _read(self, raw: Any) -> Answer:
        """Read the SDK's reply object, trusting nothing about its shape."""

    def _ask(self, client: Any, work: Adaptation, seconds: float) -> Answer:
        """Ask once; raises what keeps the answer from being used, with what it cost."""
        sdk = _load_sdk(self.provider.name)
        timeout = sdk.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
        request = work.request
        raw = self._send(client, request, timeout, work.learnt.without)
        answer = _checked(self._read(raw), request.max_tokens)
        if answer.failure is not None:
            answer.failure.tokens_in = answer.tokens_in
            answer.failure.tokens_out = answer.tokens_out
            raise answer.failure
        return answer

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

    def _keep(self, work: Adaptation, answer: Answer) -> None:
        """Keep what the question taught: it was answered because of that."""
        before, now = self.learnt, work.learnt
        text = len(work.request.system) + len(work.request.user)
        if text >= _LONG_PROMPT and answer.tokens_in > 0:
            characters = text / answer.tokens_in
            now = replace(now, prompt_cut=before.prompt_cut or characters > _MOST_CHARACTERS)
            if not now.prompt_cut:
                now = replace(now, characters=characters)
        self.learnt = replace(now, without=before.without | now.without)
        for name in sorted(now.without - before.without):
            _logger.warning(
                "%s at %s does not take %s: asking without", self.model, self.host, name
            )
        if now.reply_tokens > before.reply_tokens:
            _logger.info("%s needs up to %d tokens a reply", self.model, now.reply_tokens)
        if now.prompt_cut and not before.prompt_cut:
            _logger.warning(
                "%s at %s counted %d tokens in a prompt of %d characters: it seems to cut long "
                "prompts without saying so (said once); give the server a larger context",
                self.model, self.host, answer.tokens_in, text,
            )  # fmt: skip

    def _settle(self, failure: LLMError, work: Adaptation) -> None:
        """Say in a failure what all its tries cost and what is known of the server."""
        if failure.status == "truncated":  # a larger cap did not help: no need to climb again
            self.learnt = replace(self.learnt, reply_tokens=work.learnt.reply_tokens)
        failure.tokens_in += work.paid_in
        failure.tokens_out += work.paid_out
        failure.cost = 0.0
        if failure.tokens_in or failure.tokens_out:
            failure.cost = self._cost(failure.tokens_in, failure.tokens_out)
        if self.learnt.to_json():
            failure.server = self.learnt.to_json()

    def _reply(
        self, answer: Answer, failed: tuple[str, ...], work: Adaptation, seconds: float
    ) -> Reply:
        tokens_in = answer.tokens_in + work.paid_in
        tokens_out = answer.tokens_out + work.paid_out
        return Reply(
            text=self._context.without_key(answer.text),  # a proxy may echo what it was sent
            model=answer.model,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            seconds=seconds,
            cost=self._cost(tokens_in, tokens_out),
            tries=len(failed) + 1,
            failed_tries=failed,
            repairs=answer.repairs,
            server=self.learnt.to_json(),
        )

    def _cost(self, tokens_in: int, tokens_out: int) -> float | None:
        return cost(self.model, tokens_in, tokens_out, prices=self.prices)

    def no_reply(self, raw: Any, what: str) -> LLMError:
        """Return the error for HTTP 200 with no reply: the one inside, else "bad_body"."""
        plain = raw.to_dict() if hasattr(raw, "to_dict") else raw
        if isinstance(plain, Mapping):
            named = any(plain.get(name) for name in ("error", "detail"))
            if named or "error" in str(plain.get("object") or plain.get("type")):
                return inside_200(plain, self._context)
        return LLMCallError(
            f"the server answered 200 without {what}; check that base_url is right",
            status="bad_body",
            retryable=False,
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


def truncated(reason: str) -> BadReply:
    """Return the error for a reply that the cap on its tokens cut off."""
    return BadReply(
        f"the reply was cut off ({reason}); ask for less or raise max_tokens", status="truncated"
    )


def empty() -> BadReply:
    """Return the error for a reply without text."""
    return BadReply("the reply holds no text", status="empty")


def _checked(answer: Answer, cap: int) -> Answer:
    """The answer with its true failure: what was cut off behind a whole object is none.

    An empty reply that took all of its ``cap`` tokens was cut off, whatever its server calls it.
    """
    status = "" if answer.failure is None else answer.failure.status
    if status == "empty" and answer.tokens_out >= 0.95 * cap:
        return replace(answer, failure=truncated("length"))
    if len(answer.text) > MAX_CHARS:
        reason = f"the reply has {len(answer.text)} characters, the limit is {MAX_CHARS}"
        return replace(answer, failure=BadReply(reason, status="too_long"))
    if status == "truncated" and "{" in answer.text:
        try:
            read_reply(answer.text, ())
        except BadReply:
            return answer
        return replace(answer, failure=None, repairs=("cut off behind a whole answer",))
    return answer


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
