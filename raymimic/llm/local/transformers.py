"""A Hugging Face model in this process, whose replies the schema forces to be valid JSON."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import Any

from raymimic.errors import BadReply, LLMCallError, LLMError, LLMSetupError
from raymimic.foreign import error_text
from raymimic.llm.base import Reply, Request
from raymimic.llm.calling import call_with_retries
from raymimic.llm.context import fitted
from raymimic.llm.local.loading import Loaded, check_name, load
from raymimic.llm.message import turns

_FITS = 4  # tries to fit a prompt: its lines differ in tokens a character

_numbering = threading.Lock()  # of questions that come side by side

_logger = logging.getLogger(__name__)


class TransformersLLM:
    """A causal language model of the `transformers` library, from a folder or by its hub name.

    The usual setting is ``llm="transformers:FOLDER_OR_NAME"``. It is loaded once for a process, at
    the first question, and answers one question at a time. Code that comes with a model is never
    run (``trust_remote_code=False``).

    >>> from raymimic import TransformersLLM
    >>> TransformersLLM("./my-model")  # doctest: +SKIP
    TransformersLLM(model='./my-model', device=None)

    Args:
        model: A folder that ``save_pretrained`` wrote, or a name on the hub.
        device: As torch names it; None is a GPU where there is one, "auto" all of them.
        temperature: 0 takes the likeliest token, 1 draws as the model says.
        seed: Of the draws; the k-th question of an object is answered the same in each run.
        max_tokens: Bounds each reply; by default what the question asks for.

    Raises `LLMSetupError` for a missing package, a folder without a model, settings that are none.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str | None = None,
        temperature: float = 0.7,
        seed: int = 0,
        max_tokens: int | None = None,
    ) -> None:
        if not 0 <= temperature <= 2:
            raise LLMSetupError(f"temperature must be from 0 to 2, got {temperature!r}")
        if max_tokens is not None and not (isinstance(max_tokens, int) and max_tokens >= 1):
            raise LLMSetupError(f"max_tokens must be a whole number above 0, got {max_tokens!r}")
        check_name(model)
        self.model = model
        self.device = device
        self.temperature = temperature
        self.seed = seed
        self.max_tokens = max_tokens
        self._asked = 0
        self._unforced = False

    def __repr__(self) -> str:
        return f"TransformersLLM(model={self.model!r}, device={self.device!r})"

    def at(self, *, model: str, temperature: float, seed: int) -> TransformersLLM:
        """Another object with these three changed; it has not been asked yet."""
        return TransformersLLM(
            model,
            device=self.device,
            temperature=temperature,
            seed=seed,
            max_tokens=self.max_tokens,
        )

    def complete(self, request: Request) -> Reply:
        """Answer within ``request.deadline`` seconds or raise an `LLMError`, nothing else.

        What is still being loaded or generated at the deadline goes on until it notices, and the
        next question waits for it.
        """
        started = time.monotonic()
        with _numbering:
            self._asked += 1
            number = self._asked
        if self.max_tokens is not None:
            request = replace(request, max_tokens=self.max_tokens)
        reply, _ = call_with_retries(
            lambda left: self._answer(request, number, time.monotonic() + left),
            seconds=request.deadline,
            translate=self._translate,
            adapt=lambda _: False,
        )
        return replace(reply, seconds=time.monotonic() - started)

    def _answer(self, request: Request, number: int, end: float) -> Reply:
        loaded = load(self.model, self.device)
        if not loaded.turn.acquire(timeout=max(0.0, end - time.monotonic())):
            raise self._late()
        try:
            return self._generate(loaded, request, number, end)
        finally:
            loaded.turn.release()

    def _generate(self, loaded: Loaded, request: Request, number: int, end: float) -> Reply:
        import torch
        from llguidance import LLMatcher
        from transformers import LogitsProcessorList, StoppingCriteriaList

        from raymimic.llm.local.decoding import NextToken, compile_grammar

        grammar, fault = compile_grammar(request.schema)
        if fault:
            self._say_unforced(fault)
        matcher = LLMatcher(loaded.grammar_tokenizer, grammar) if grammar else None
        request, prompt = _prompt(loaded, request, forced=matcher is not None)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        vocabulary = loaded.grammar_tokenizer.vocab_size
        choose = NextToken(matcher, vocabulary, prompt.shape[1], self.temperature, generator)

        def over(input_ids: Any, _scores: Any, **_: Any) -> Any:
            return torch.tensor([time.monotonic() > end], device=input_ids.device)

        with torch.inference_mode():
            out = loaded.model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=request.max_tokens,
                do_sample=False,
                temperature=None, top_p=None, top_k=None,
                pad_token_id=loaded.tokenizer.eos_token_id,
                logits_processor=LogitsProcessorList([choose]),
                stopping_criteria=StoppingCriteriaList([over]),
            )  # fmt: skip
        return self._read(loaded, out[0, prompt.shape[1] :].tolist(), prompt.shape[1], end)

    def _read(self, loaded: Loaded, tokens: list[int], prompt: int, end: float) -> Reply:
        eos = loaded.model.generation_config.eos_token_id
        ends = set(eos if isinstance(eos, list) else [eos]) | {loaded.tokenizer.eos_token_id}
        text = loaded.tokenizer.decode(tokens, skip_special_tokens=True)
        failure: LLMError | None = None
        if time.monotonic() > end:
            failure = self._late()
        elif not tokens or tokens[-1] not in ends:
            failure = BadReply(
                f"the reply was cut off after {len(tokens)} tokens; ask for less or raise "
                "max_tokens",
                status="truncated",
            )
        elif not text.strip():
            failure = BadReply("the reply holds no text", status="empty")
        if failure is not None:
            failure.tokens_in, failure.tokens_out = prompt, len(tokens)
            raise failure
        server = {"without": ["schema"]} if self._unforced else {}
        return Reply(text, self.model, prompt, len(tokens), server=server)

    def _late(self) -> LLMCallError:
        return LLMCallError(
            f"{self.model} had no full reply before the deadline; allow more time (timeout=), "
            "or take a smaller model",
            status="timeout",
            retryable=False,
        )

    def _say_unforced(self, fault: str) -> None:
        if not self._unforced:
            _logger.warning(
                "%s: the schema cannot be forced while decoding (%s): it is asked for in words",
                self.model, fault,
            )  # fmt: skip
        self._unforced = True

    def _translate(self, error: Exception) -> LLMError:
        if isinstance(error, LLMError):
            return error
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            return LLMSetupError(
                f"{self.model} does not fit into the memory of device {self.device or 'auto'}; "
                "take a smaller model or another device"
            )
        return LLMCallError(
            f"{self.model} failed while it answered: {error_text(error)}",
            status="error",
            retryable=False,
        )


def _prompt(loaded: Loaded, request: Request, *, forced: bool) -> tuple[Request, Any]:
    """The prompt's tokens (1, length), and the request shortened so that both fit the context."""
    tokens = _tokens(loaded, request, forced)
    for _ in range(_FITS):
        length, window = tokens.shape[1], loaded.window
        if window is None or length + request.max_tokens <= window:
            break
        request = fitted(request, window, length)
        tokens = _tokens(loaded, request, forced)
    else:
        raise LLMCallError(
            f"the prompt takes {tokens.shape[1]} tokens, the model's context holds {window}; take "
            "a model with a larger context",
            status="context",
            retryable=False,
        )
    return request, tokens.to(loaded.model.device)


def _tokens(loaded: Loaded, request: Request, forced: bool) -> Any:
    """The chat template's text as tokens; plain text where the model has no template."""
    dropped = set() if forced else {"schema"}
    tokenizer = loaded.tokenizer
    if not tokenizer.chat_template:
        both = turns(request, {*dropped, "system"})[0]["content"] + "\n\n"
        return tokenizer(both, return_tensors="pt").input_ids
    try:
        text = _templated(tokenizer, turns(request, dropped))
    except Exception as error:  # a template may raise anything, mostly jinja's own
        if "role" not in str(error).lower() and "system" not in str(error).lower():
            raise
        text = _templated(tokenizer, turns(request, {*dropped, "system"}))
    return tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids


def _templated(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    text: str = tokenizer.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=False,
        enable_thinking=False,  # Qwen 3 and its kind: the schema leaves no room for it
    )
    return text
