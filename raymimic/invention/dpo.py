"""Train a generator to prefer what scored better: DPO with LoRA, as published, by `trl`.

Direct preference optimisation, Rafailov et al., NeurIPS 2023; schedule of Ishibashi et al., 2025.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raymimic.errors import MissingExtra

ADAPTER = "adapter"
"""The folder, in a generator's, with the LoRA weights alone."""


@dataclass(frozen=True)
class DpoSettings:
    """One training: the published rank, learning rate and beta; ``length`` in tokens."""

    rank: int = 256
    lr: float = 1e-6
    beta: float = 0.01
    epochs: int = 1
    batch_size: int = 4
    length: int = 4096
    seed: int = 0


def train(
    model: str,
    pairs: Sequence[Mapping[str, str]],
    out: Path,
    settings: DpoSettings | None = None,
) -> dict[str, Any]:
    """Train the model in a folder (or of a hub name) on pairs and write the new one into ``out``.

    ``pairs`` hold system, user, chosen and rejected texts. ``out`` gets the whole new model with
    its tokenizer, and its LoRA weights in ``out/adapter``. Returns where it lies, and the reward
    margins (chosen less rejected) at the first and last step with the last accuracy. Runs on a GPU
    where there is one. Raises `MissingExtra` without trl and peft.
    """
    settings = settings or DpoSettings()
    os.environ.setdefault("WANDB_DISABLED", "true")
    trainer = _trainer(model, pairs, out, settings)
    trainer.train()
    history = [row for row in trainer.state.log_history if "rewards/margins" in row]
    merged = trainer.model
    merged.save_pretrained(out / ADAPTER)
    merged = merged.merge_and_unload()
    merged.save_pretrained(out)
    trainer.processing_class.save_pretrained(out)
    return {
        "generator": str(out),
        "margin_first": round(history[0]["rewards/margins"], 6),
        "margin_last": round(history[-1]["rewards/margins"], 6),
        "accuracy_last": round(history[-1]["rewards/accuracies"], 4),
        "seconds": round(trainer.state.log_history[-1].get("train_runtime", 0.0), 1),
        "settings": asdict(settings),
    }


def _trainer(
    model: str, pairs: Sequence[Mapping[str, str]], out: Path, settings: DpoSettings
) -> Any:
    try:
        import torch
        from datasets import Dataset
        from peft import LoraConfig
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import DPOConfig, DPOTrainer
    except ImportError as error:
        raise MissingExtra(
            f'training a generator needs {error.name}: pip install "raymimic[invention]"'
        ) from None
    gpu = torch.cuda.is_available()
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    loaded = AutoModelForCausalLM.from_pretrained(model, trust_remote_code=False, dtype="auto")
    return DPOTrainer(
        model=loaded,
        args=DPOConfig(
            output_dir=str(out / "training"),
            beta=settings.beta,
            learning_rate=settings.lr,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            max_length=settings.length,
            seed=settings.seed,
            use_cpu=not gpu,
            bf16=gpu,
            gradient_checkpointing=gpu,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([_example(tokenizer, pair) for pair in pairs]),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=settings.rank,
            lora_alpha=settings.rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )


def _example(tokenizer: Any, pair: Mapping[str, str]) -> dict[str, str]:
    """The texts as the generator saw them and should (or should not) have gone on."""
    messages = [
        {"role": "system", "content": pair["system"]},
        {"role": "user", "content": pair["user"]},
    ]
    if tokenizer.chat_template:
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, enable_thinking=False
        )
    else:
        prompt = f"{pair['system']}\n\n{pair['user']}\n\n"
    return {"prompt": prompt, "chosen": pair["chosen"], "rejected": pair["rejected"]}
