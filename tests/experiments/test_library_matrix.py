"""The library study's four checks on a loop that needs no library, and what is refused.

The whole matrix is `python -m experiments.modulation.libraries`.
"""

from __future__ import annotations

import torch

from experiments.modulation import libraries, library_loops, library_refusals


def test_a_plain_loop_passes_the_checks():
    def build():
        model = library_loops.net()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        return model, optimizer, lambda model: (model(torch.randn(4, 8)) - 1.0).square().mean()

    assert libraries.row(library_loops.by_hand(build)) == ["yes"] * 4


def test_what_cannot_be_steered_is_refused_in_words():
    for name, words in library_refusals.said():
        assert words != "NOT REFUSED", name
