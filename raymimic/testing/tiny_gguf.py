"""Writes a GGUF model of some hundred thousand random weights that any llama.cpp loads.

Its tokens are single bytes. Dimension 0 of every embedding is one constant, so the first column of
the output matrix acts as a bias: quotes, brackets and digits are likely, which lets a reply that a
grammar holds come to its end. Nothing it says means anything; what runs it is the real thing.

    python -m raymimic.testing.tiny_gguf OUT.gguf     (needs `pip install gguf`)
"""

from __future__ import annotations

import os
import sys

import numpy as np

_CONTEXT, _WIDTH, _HEADS, _INNER, _LAYERS = 131_072, 64, 4, 128, 1
_SPECIAL = ("<|end|>", "<|start|>")
_LIKELY = {'"': 9.0, "}": 9.0, "]": 8.0, ",": 7.0, ":": 6.0, "{": 5.0, "[": 5.0, "0": 1.0, "1": 6.0,
           ".": 0.0, "e": 0.0, "-": 0.0, "5": 0.0, "<|end|>": 7.0}  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
STRICT_TEMPLATE = (
    "{% if messages[0].role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
)
"""Put before `TEMPLATE`, it does what Gemma's does."""


def byte_tokens() -> list[str]:
    """The 256 bytes as byte-level BPE writes them (the printable ones as themselves)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    signs = {byte: chr(byte) for byte in shown}
    for hidden, byte in enumerate(byte for byte in range(256) if byte not in signs):
        signs[byte] = chr(256 + hidden)
    return [signs[byte] for byte in range(256)]


def build_tiny_gguf(
    path: str | os.PathLike[str], *, template: str = TEMPLATE, window: int = _CONTEXT, seed: int = 0
) -> str:
    """Write the model with its chat template and ``window`` tokens of context; return the path."""
    from gguf import GGUFWriter, TokenType

    rng = np.random.default_rng(seed)
    tokens = [*byte_tokens(), *_SPECIAL, "in"]  # one merge: an empty list cannot be written
    kinds = [TokenType.NORMAL] * 256 + [TokenType.CONTROL] * 2 + [TokenType.NORMAL]
    writer = GGUFWriter(os.fspath(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(window)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["i n"])
    writer.add_eos_token_id(256)
    writer.add_bos_token_id(257)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0.0, 0.02, shape).astype(np.float32)

    embedding, output = normal(len(tokens), _WIDTH), normal(len(tokens), _WIDTH)
    embedding[:, 0], output[:, 0] = 1.0, 0.0
    for token, bias in _LIKELY.items():
        output[tokens.index(token), 0] = bias / np.sqrt(_WIDTH)  # the norm makes that column large
    ones = np.ones(_WIDTH, dtype=np.float32)
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", output)
    for layer in range(_LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", ones)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", normal(_WIDTH, _WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_gate.weight", normal(_INNER, _WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_up.weight", normal(_INNER, _WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", normal(_WIDTH, _INNER))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return os.fspath(path)


if __name__ == "__main__":
    build_tiny_gguf(sys.argv[1])
