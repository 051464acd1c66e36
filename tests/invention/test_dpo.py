"""DPO really runs: the generator of a tiny model learns to prefer what scored better."""

from __future__ import annotations

from pathlib import Path

import pytest

for library in ("torch", "trl", "peft", "datasets", "transformers"):
    pytest.importorskip(library, reason='needs pip install "raymimic[invention]"')

from raymimic.invention.dpo import ADAPTER, DpoSettings, train  # noqa: E402
from raymimic.invention.questions import reply_text, request  # noqa: E402
from raymimic.testing.tiny_model import build_tiny_model  # noqa: E402


def test_the_margin_rises_and_the_adapter_reloads_to_the_same_model(tmp_path: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    asked = request([], [], 60.0)
    pairs = [
        {
            "system": asked.system,
            "user": asked.user,
            "chosen": reply_text(f"def merge(task_vectors, base):\n    return {n}", "sum"),
            "rejected": reply_text(f"x = {n}", "no idea"),
        }
        for n in range(12)
    ]
    base = build_tiny_model(tmp_path / "model")
    out = tmp_path / "generator"
    said = train(base, pairs, out, DpoSettings(rank=8, lr=1e-3, beta=0.1, epochs=3, length=2048))
    assert said["margin_last"] > max(0.0, said["margin_first"])
    assert said["accuracy_last"] >= 0.9
    tokens = torch.arange(40).reshape(1, -1)
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(out)(tokens).logits
        adapted = AutoPeftModelForCausalLM.from_pretrained(out / ADAPTER)(tokens).logits
        before = AutoModelForCausalLM.from_pretrained(base)(tokens).logits
    torch.testing.assert_close(merged, adapted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(merged, before, atol=1e-4)
