"""A language model of random weights, made on the spot: it says nonsense, as any model may."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_CORPUS = (
    "You tune a neural network. Propose configurations with a reason for each. "
    '{"proposals": [{"config": {"lr": 0.001, "width": 128}, "rationale": "the default"}]} '
    "def merge(task_vectors, base): return {name: sum(v) for name in base}"
)
_VOCABULARY = 512
_CHAT = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def build_tiny_model(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    window: int = 8192,
    hidden: int = 64,
    corpus: Sequence[str] = (_CORPUS,),
) -> str:
    """Write a causal model of 200 thousand parameters and its tokenizer; return the folder.

    A byte-level tokenizer of at most 512 tokens, learnt from ``corpus``, a Qwen2 of two layers of
    width ``hidden`` with ``window`` tokens of context, a chat template; needs the extra
    "transformers". Same seed, same weights.
    """
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    bpe = ByteLevelBPETokenizer()
    specials = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    bpe.train_from_iterator(
        list(corpus) * 4, vocab_size=_VOCABULARY, special_tokens=specials, show_progress=False
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        eos_token="<|end|>",
        pad_token="<|end|>",
    )
    tokenizer.chat_template = _CHAT
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=window,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(where)
    tokenizer.save_pretrained(where)
    return str(where)
