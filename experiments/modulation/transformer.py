"""A transformer of any size, for the measurement of cost."""

from __future__ import annotations

import torch
from torch import nn


class Transformer(nn.Module):
    """An encoder that guesses tokens; input and output share the embedding."""

    def __init__(self, width: int, layers: int, words: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        layer = nn.TransformerEncoderLayer(width, width // 64, 4 * width, 0.1, batch_first=True)
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.body(self.embed(tokens)) @ self.embed.weight.T
