"""A Hugging Face model in this process, whose replies the schema forces to be valid JSON."""

from __future__ import annotations

import time
from typing import Any

from raymimic.llm.base import Reply, Request
from raymimic.llm.context import fitted
from raymimic.llm.local.base import LocalLLM, refuses_system_role
from raymimic.llm.local.loading import Loaded, check_name, load
from raymimic.llm.message import turns

_FITS = 4  # tries to fit a prompt: its lines differ in tokens a character


class TransformersLLM(LocalLLM):
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
        super().__init__(model, temperature, seed, max_tokens)
        check_name(model)
        self.device = device

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

    def _answer(self, request: Request, number: int, end: float) -> Reply:
        loaded = load(self.model, self.device)
        with self._turn(loaded.turn, end):
            return self._generate(loaded, request, number, end)

    def _generate(self, loaded: Loaded, request: Request, number: int, end: float) -> Reply:
        import torch
        from llguidance import LLMatcher
        from transformers import LogitsProcessorList, StoppingCriteriaList

        from raymimic.llm.local.decoding import NextToken, compile_grammar

        grammar, fault = compile_grammar(request.schema)
        if fault:
            self._say_unforced(fault)
        matcher = LLMatcher(loaded.grammar_tokenizer, grammar) if grammar else None
        request, prompt = self._prompt(loaded, request, forced=matcher is not None)
        generator = torch.Generator().manual_seed(self._draw(number))
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
        whole = bool(tokens) and tokens[-1] in ends
        return self._reply(text, prompt, len(tokens), end, whole=whole)

    def _prompt(self, loaded: Loaded, request: Request, *, forced: bool) -> tuple[Request, Any]:
        """The prompt's tokens (1, length), and the request shortened so that both fit."""
        tokens = _tokens(loaded, request, forced)
        for _ in range(_FITS):
            length, window = tokens.shape[1], loaded.window
            if window is None or length + request.max_tokens <= window:
                return request, tokens.to(loaded.model.device)
            request = fitted(request, window, length)
            tokens = _tokens(loaded, request, forced)
        raise self._too_long(tokens.shape[1], loaded.window)


def _tokens(loaded: Loaded, request: Request, forced: bool) -> Any:
    """The chat template's text as tokens; plain text where the model has no template."""
    dropped = set() if forced else {"schema"}
    tokenizer = loaded.tokenizer
    if not tokenizer.chat_template:
        both = turns(request, {*dropped, "system"})[0]["content"] + "\n\n"
        return tokenizer(both, return_tensors="pt").input_ids
    try:
        text = _templated(tokenizer, turns(request, dropped))
    except Exception as error:
        if not refuses_system_role(error):
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
