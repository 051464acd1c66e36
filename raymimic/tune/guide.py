"""`Guide`: one language-model client for a whole cluster.

A Ray actor holds the only client, with its key, budget and pace (`Gateway`). What travels to the
workers is its name: a handle that is a language model itself.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raymimic.errors import LLMCallError, LLMError, LLMSetupError
from raymimic.llm import LLM, Gateway, Reply, Request, Spent, require_key, resolve_llm
from raymimic.tune.actors import NAMESPACE, find_actor
from raymimic.tune.guide_actor import MOST_ASKERS, Desk

_START_S = 60.0
_CONTROL_S = 10.0

# The guide ends a question this much before its asker would give it up for lost.
_MARGIN = 0.1
_MARGIN_MAX_S = 1.0

# What the way to the service depends on besides key and address: the driver's own settings count.
_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

# An actor ends when its first handle is gone: these live as long as the driver does.
_kept: dict[str, Any] = {}


class Guide:
    """A handle of the one language model that every worker reaches. Itself an `LLM`.

    Made by `start` in the driver; give it to workers as any value (`tune.with_parameters`, a
    closure, a configuration) and to ``LLMSearcher(llm=guide)``. It pickles as a name, without key.
    The actor ends with the driver's job or with `stop`. A dead one is not started again by itself;
    start it under the same name, and handles find it. With the same ``transcript`` it goes on with
    what is left of the budget (`Gateway`), without one its budget begins anew.

    >>> from raymimic import Guide, ScriptedLLM
    >>> guide = Guide.start(ScriptedLLM([]), calls=100)
    >>> guide.spent().calls
    0
    >>> guide.stop()
    """

    def __init__(self, name: str, model: str, described: str) -> None:
        self.name = name
        self._model = model
        self._described = described
        self._actor: Any = None

    @classmethod
    def start(
        cls,
        llm: str | LLM = "auto",
        *,
        calls: int | None = None,
        tokens: int | None = None,
        usd: float | None = None,
        per_minute: int | None = None,
        in_flight: int = 4,
        transcript: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> Guide:
        """Start the actor on the driver's node and return its handle; starts Ray if need be.

        ``llm`` is as in `LLMSearcher`, the limits and ``transcript`` (a file on the driver's node)
        as in `Gateway`. Under a ``name`` of your own, handles of an earlier driver with the same
        name (a restored search) find the new guide. Raises `LLMSetupError` if there is no language
        model, no key for it, a guide of that name, or the actor does not start.
        """
        found = resolve_llm(llm)
        if found is None:
            raise LLMSetupError(
                f"a guide needs a language model, got llm={llm!r} and found none: set "
                "ANTHROPIC_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL, or do without a guide: "
                'llm="none" is the keyless adviser and needs none',
                status="no_model",
            )
        require_key(found)
        gateway = Gateway(
            found,
            calls=calls,
            tokens=tokens,
            usd=usd,
            per_minute=per_minute,
            in_flight=in_flight,
            transcript=transcript,
        )
        guide = cls(
            name or f"guide-{secrets.token_hex(4)}",
            gateway.model,
            f"{gateway.describe()}, one for all workers,",
        )
        guide._launch(gateway, _environment(found))
        return guide

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_actor": None}

    def __repr__(self) -> str:
        return f"Guide(name={self.name!r}, model={self._model!r})"

    @property
    def model(self) -> str:
        """The name of the model behind it."""
        return self._model

    def describe(self) -> str:
        """Say in one line which model answers, and within which limits."""
        return self._described

    def require_key(self) -> None:
        """Do nothing: the actor has the key, `start` saw to it."""

    def complete(self, request: Request) -> Reply:
        """Answer within ``request.deadline`` seconds or raise an `LLMError`, nothing else.

        The guide's own errors come with type and fields; `LLMCallError` (status "guide_lost") says
        that it is dead or cannot be reached.
        """
        margin = min(_MARGIN_MAX_S, _MARGIN * request.deadline)
        outcome: Reply | LLMError = self._ask(
            lambda actor, left: actor.complete.remote(request, max(0.0, left - margin)),
            request.deadline,
        )
        if isinstance(outcome, LLMError):
            raise outcome
        return outcome

    def spent(self) -> Spent:
        """What went through so far; `LLMCallError` (status "guide_lost") without the actor."""
        spent: Spent = self._ask(lambda actor, _: actor.spent.remote(), _CONTROL_S)
        return spent

    def stop(self) -> None:
        """End the actor, its transcript written; calls under way are lost. Harmless when dead."""
        with contextlib.suppress(LLMCallError, RayError, ValueError):  # gone already
            self._ask(lambda actor, _: actor.close.remote(), _CONTROL_S)
            ray.kill(self._find(_CONTROL_S))
        _kept.pop(self.name, None)
        self._actor = None

    def _launch(self, gateway: Gateway, environment: Mapping[str, str]) -> None:
        if not ray.is_initialized():
            ray.init()
        here = ray.get_runtime_context().get_node_id()
        options = {
            "name": self.name,
            "namespace": NAMESPACE,
            "num_cpus": 0,
            "max_restarts": 0,
            "max_concurrency": 2 * MOST_ASKERS,  # room for spent and close beside them
            "scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False),
        }
        try:
            actor = ray.remote(Desk).options(**options).remote()
        except ValueError as error:
            raise LLMSetupError(
                f"a guide's name must be free, got {self.name!r}: stop the one that has it, or "
                f"choose another ({error})"
            ) from None
        try:
            # By a call and not by the constructor, whose arguments Ray keeps with the cluster's
            # state; nor by the runtime environment, which Ray logs.
            opened = ray.get(actor.open.remote(gateway, environment), timeout=_START_S)
        except (RayError, TypeError, pickle.PicklingError) as error:
            ray.kill(actor)
            raise LLMSetupError(
                f"the guide must start on this node within {_START_S:.0f} s and did not; see that "
                "your LLM object pickles and that workers can import its code and raymimic",
                status="no_guide",
            ) from error
        if not opened:
            ray.kill(actor)
            path = None if gateway.transcript is None else gateway.transcript.path
            raise LLMSetupError(
                f"a transcript must be of one live guide, and another one writes {str(path)!r}: "
                "stop that one, use it by its name, or give this one a file of its own",
                status="no_guide",
            )
        self._actor = _kept[self.name] = actor

    def _ask(self, send: Callable[[Any, float], Any], seconds: float) -> Any:
        """Send something and wait for what comes back; raises `LLMCallError`, nothing else."""
        end, reason = time.monotonic() + seconds, ""
        for known in (self._actor is not None, False):
            try:
                actor = self._find(end - time.monotonic())
                left = end - time.monotonic()
                return ray.get(send(actor, left), timeout=max(0.0, left))
            except GetTimeoutError:
                reason = f"no answer within {seconds:g} s"
            except Exception as error:  # noqa: BLE001 - Ray raises RayError, ValueError, ...
                reason = reason or type(error).__name__
                if known and isinstance(error, RayActorError):
                    self._actor = None  # it died; another may have been started under its name
                    continue
            break
        self._actor = None  # a new one may come under the same name
        raise LLMCallError(
            f"the guide {self.name!r} cannot be reached ({reason}): it ended with its driver, was "
            "stopped, or its node is down; start one with Guide.start",
            status="guide_lost",
        )

    def _find(self, seconds: float) -> Any:
        """Return the actor's handle, looked up once in each process."""
        actor = self._actor  # another thread may forget it
        if actor is None:
            actor = self._actor = find_actor(self.name, seconds)
        return actor


def _environment(llm: LLM) -> dict[str, str]:
    """The environment variables that a client reads, as they are here: key, address, network."""
    while isinstance(llm, Gateway):
        llm = llm.llm
    names: list[str | None] = [
        getattr(llm, "api_key_env", None),
        getattr(llm, "base_url_env", None),
    ]
    names += [spelt for name in _NETWORK for spelt in (name, name.lower())]
    return {
        name: os.environ[name] for name in names if isinstance(name, str) and name in os.environ
    }
