"""The same merges as `mergekit` makes, where it is installed (it pins much: no extra of ours)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from raymimic.merging import (  # noqa: E402
    Average,
    Checkpoint,
    ModelStock,
    TaskArithmetic,
    Ties,
    merge_files,
)

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 40,
    "tie_word_embeddings": False,
}


def write_models(folder: Path) -> list[str]:
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    base = LlamaForCausalLM(LlamaConfig(**CONFIG)).state_dict()
    paths = []
    shared = {name: torch.randn_like(tensor) for name, tensor in base.items()}
    for number in range(3):
        # A common part, so that the angle between the vectors (Model Stock) is sharp.
        state = {
            name: tensor + (0.1 * shared[name] + 0.1 * torch.randn_like(tensor)) * bool(number)
            for name, tensor in base.items()
        }
        where = folder / f"m{number}"
        where.mkdir()
        (where / "config.json").write_text(json.dumps(CONFIG))
        save_file(state, where / "model.safetensors", metadata={"format": "pt"})
        paths.append(str(where))
    return paths


@pytest.mark.parametrize(
    ("name", "each", "whole", "method"),
    [
        ("task_arithmetic", [{"weight": 0.4}, {"weight": 0.7}], {}, TaskArithmetic([0.4, 0.7])),
        (
            "ties",
            [{"weight": 1.0, "density": 0.3}, {"weight": 2.0, "density": 0.3}],
            {"normalize": True},
            Ties(density=0.3, weights=[1.0, 2.0]),
        ),
        ("model_stock", [{}, {}], {"filter_wise": False}, ModelStock()),
        ("task_arithmetic", [{"weight": 0.5}, {"weight": 0.5}], {}, Average()),
    ],
    ids=["task arithmetic", "ties", "model stock", "average"],
)
def test_a_merge_is_mergekits(
    tmp_path: Path, name: str, each: list[dict[str, float]], whole: dict[str, Any], method: Any
) -> None:
    pytest.importorskip("mergekit", reason="compared only where mergekit is installed")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    base, *models = write_models(tmp_path)
    config = MergeConfiguration.model_validate(
        {
            "merge_method": name,
            "base_model": base,
            "models": [
                {"model": model, "parameters": given}
                for model, given in zip(models, each, strict=True)
            ],
            "parameters": whole,
            "dtype": "float32",
        }
    )
    options = MergeOptions(copy_tokenizer=False, lazy_unpickle=False, quiet=True)
    run_merge(config, str(tmp_path / "theirs"), options)
    theirs = Checkpoint(tmp_path / "theirs")
    ours = Checkpoint(merge_files(base, models, method, tmp_path / "ours"))
    assert set(theirs) == set(ours)
    for tensor in ours:
        torch.testing.assert_close(ours[tensor], theirs[tensor], atol=1e-6, rtol=1e-5)
