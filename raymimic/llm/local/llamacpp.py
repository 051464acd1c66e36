"""A GGUF model in this process by llama.cpp: its grammar forces replies into the schema's form."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raymimic.errors import LLMSetupError
from raymimic.llm.base import Reply, Request
from raymimic.llm.context import fitted
from raymimic.llm.local.base import LocalLLM, refuses_system_role
from raymimic.llm.local.decoding import bounded
from raymimic.llm.message import turns

_EXTRA = "llamacpp"
_MAGIC = b"GGUF"  # the first bytes of such a file

_CONTEXT = 16_384
"""Tokens of prompt and reply, at most; a model's own 128k would take gigabytes of cache."""

_TEMPLATE = 64  # tokens that a chat template may put around the turns
_TOP_P = 0.95  # of the probability, as in `raymimic.llm.local.decoding`
_ALL_LAYERS = -1  # on the GPU, where llama.cpp was built for one

_loaded: dict[tuple[str, int], _Loaded] = {}
_loading = threading.Lock()


@dataclass(eq=False)
class _Loaded:
    """A model. ``turn`` is held while it answers: one question at a time."""

    llama: Any
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def window(self) -> int:
        """The most tokens of prompt and reply together: the cache's, or what the model learnt."""
        kind = self.llama.metadata.get("general.architecture")
        learnt = self.llama.metadata.get(f"{kind}.context_length")
        window: int = self.llama.n_ctx()
        return min(window, int(learnt)) if learnt else window

    def length(self, request: Request) -> int:
        """Tokens of the prompt, an upper bound."""
        text = "\n".join(turn["content"] for turn in turns(request, ()))
        return len(self.llama.tokenize(text.encode(), special=False)) + _TEMPLATE


class LlamaCppLLM(LocalLLM):
    """A model in a GGUF file, run by the `llama-cpp-python` library.

    The usual setting is ``llm="llamacpp:FILE.gguf"``. It is loaded once for a process, at the first
    question, and answers one question at a time; on a GPU where the library was built for one. The
    grammar holds names, kinds and lengths; it knows no bounds of numbers, which are checked later
    as everybody's are.

    >>> from raymimic import LlamaCppLLM
    >>> LlamaCppLLM("./model.gguf")  # doctest: +SKIP
    LlamaCppLLM(model='./model.gguf')

    Args:
        model: The file.
        context: Tokens of prompt and reply together; at most what the model was trained for.
        temperature: 0 takes the likeliest token, 1 draws as the model says.
        seed: Of the draws; the k-th question of an object is answered the same in each run.
        max_tokens: Bounds each reply; by default what the question asks for.

    Raises `LLMSetupError` for a missing package, a file that is no GGUF, settings that are none.
    """

    def __init__(
        self,
        model: str,
        *,
        context: int = _CONTEXT,
        temperature: float = 0.7,
        seed: int = 0,
        max_tokens: int | None = None,
    ) -> None:
        super().__init__(model, temperature, seed, max_tokens)
        if not (isinstance(context, int) and context >= 1):
            raise LLMSetupError(f"context must be a whole number of tokens, got {context!r}")
        _check_file(model)
        self.context = context

    def __repr__(self) -> str:
        return f"LlamaCppLLM(model={self.model!r})"

    def _answer(self, request: Request, number: int, end: float) -> Reply:
        loaded = _load(self.model, self.context)
        with self._turn(loaded.turn, end):
            return self._generate(loaded, request, number, end)

    def _generate(self, loaded: _Loaded, request: Request, number: int, end: float) -> Reply:
        grammar = self._grammar(request)
        window, length = loaded.window, loaded.length(request)
        if length + request.max_tokens > window:
            request = fitted(request, window, length)
            length = loaded.length(request)
            if length >= window:
                raise self._too_long(length, window)
        settings = {
            "grammar": grammar, "max_tokens": min(request.max_tokens, window - length),
            "temperature": self.temperature, "top_p": _TOP_P, "top_k": 0, "min_p": 0.0,
            "seed": self._draw(number) % 2**32, "stream": True,
        }  # fmt: skip
        dropped = set() if grammar else {"schema"}
        try:
            return self._said(loaded, turns(request, dropped), settings, end)
        except ValueError as error:
            if not refuses_system_role(error):
                raise
        return self._said(loaded, turns(request, {*dropped, "system"}), settings, end)

    def _said(
        self, loaded: _Loaded, messages: list[dict[str, str]], settings: dict[str, Any], end: float
    ) -> Reply:
        parts, reason = [], None
        for chunk in loaded.llama.create_chat_completion(messages, **settings):
            choice = chunk["choices"][0]
            parts.append(choice["delta"].get("content") or "")
            reason = choice["finish_reason"]
            if time.monotonic() > end:
                break
        tokens = sum(map(bool, parts))
        prompt = max(0, loaded.llama.n_tokens - tokens)
        return self._reply("".join(parts), prompt, tokens, end, whole=reason == "stop")

    def _grammar(self, request: Request) -> Any:
        """The schema's grammar; None where the library cannot make one of it."""
        from llama_cpp import LlamaGrammar

        schema = json.dumps(bounded(request.schema))
        try:
            return LlamaGrammar.from_json_schema(schema, verbose=False)
        except Exception as error:  # noqa: BLE001 - its converter raises whatever it meets
            self._say_unforced(f"{type(error).__name__}: {error}")
            return None


def _check_file(name: str) -> None:
    if importlib.util.find_spec("llama_cpp") is None:
        raise LLMSetupError(
            f'a GGUF model in this process needs llama-cpp-python: pip install "raymimic[{_EXTRA}]"'
            " (it compiles llama.cpp: a C++ compiler must be there)",
            status="no_package",
        )
    file = Path(name).expanduser()
    if not name.strip() or not file.is_file():
        raise LLMSetupError(
            f'"{_EXTRA}:" must be followed by a GGUF file on this machine, got {name!r}; fetch one '
            "where there is a network: hf download OWNER/NAME-GGUF FILE.gguf --local-dir ."
        )
    with open(file, "rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            raise LLMSetupError(
                f"{name!r} must be a GGUF file and is none; llama.cpp's convert_hf_to_gguf.py "
                f'makes one of a folder with weights, or use llm="transformers:FOLDER"'
            )


def _load(name: str, context: int) -> _Loaded:
    """The model, loaded on first use; `LLMSetupError` where llama.cpp cannot read it."""
    from llama_cpp import Llama

    with _loading:
        key = (name, context)
        if key not in _loaded:
            file = str(Path(name).expanduser())
            try:
                llama = Llama(file, n_ctx=context, n_gpu_layers=_ALL_LAYERS, verbose=False)
            except (ValueError, RuntimeError) as error:
                raise LLMSetupError(
                    f"llama.cpp could not load {name!r} ({error}): the file must be whole and of a "
                    "kind that the installed llama-cpp-python knows; fetch it again, or upgrade "
                    "the library",
                    status="no_model",
                ) from None
            _loaded[key] = _Loaded(llama)
        return _loaded[key]
