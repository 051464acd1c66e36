"""DPO from real scores: a tiny generator taught to write merges, then trained by their scores.

    python -m experiments.self_developing.dpo --out OUT

The generator, made on the spot, is taught by imitation to answer the fixed prompt with random
published merges (`raymimic.invention.random_programs`), so that it writes valid programs at all.
Then it invents on noisy digits twice, with the same number of samples: under DPO, and without
learning ("none"). Reported: yield by iteration, reward margin, best and median dev score.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from pathlib import Path
from typing import Any

import ray
import torch

from experiments.common.quiet import silence
from experiments.self_developing.digits import Digits, make
from experiments.self_developing.run import score_all
from raymimic import Pairing, SelfDevelopingSearch, TransformersLLM
from raymimic.invention.dpo import DpoSettings
from raymimic.invention.output import table
from raymimic.invention.questions import reply_text, request
from raymimic.invention.random_programs import random_program
from raymimic.testing.tiny_model import build_tiny_model

_MODELS = 3


def lessons(count: int) -> list[str]:
    """Replies with random programs, as a good model would have given them."""
    made = (random_program(random.Random(f"lesson/{n}"), _MODELS) for n in range(count))
    return [reply_text(code, said) for code, said in made]


def teach(folder: Path, steps: int) -> str:
    """Build the generator and train it on the lessons; returns its folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = lessons(2000)
    build_tiny_model(folder, hidden=96, corpus=texts[:200])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    asked = request([], [], 60.0)
    messages = [
        {"role": "system", "content": asked.system},
        {"role": "user", "content": asked.user},
    ]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    head = tokenizer(prompt, add_special_tokens=False).input_ids
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    rng = random.Random(0)
    for step in range(steps):
        batch = [
            [*head, *tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
            for text in rng.sample(texts, 4)
        ]
        longest = max(map(len, batch))
        tokens = torch.tensor(
            [row + [tokenizer.eos_token_id] * (longest - len(row)) for row in batch]
        )
        labels = tokens.clone()
        labels[:, : len(head)] = -100
        for row, text in enumerate(batch):
            labels[row, len(text) :] = -100
        loss = model(tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"lesson {step} of {steps}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    return str(folder)


def invent(generator: str, learn: Any, digits: Digits, options: argparse.Namespace) -> str:
    """One arm: its table."""
    ledger = options.out / f"{learn}.jsonl"
    search = SelfDevelopingSearch(
        digits.task, llm=TransformersLLM(generator, seed=1), learn=learn, iterations=3,
        programs=options.programs, temperatures=(1.0, 0.2), pairing=Pairing(),
        dpo=DpoSettings(rank=16, lr=5e-4, beta=0.05, epochs=2, batch_size=4), timeout=300.0,
        seed=0, ledger=ledger,
    )  # fmt: skip
    score_all(search, digits, options.out)
    state = search.invention.state
    learnt = {iteration: dict(row) for iteration, row in state.learnt.items()}
    return f"## learn={learn}\n\n{table(state)}\n\n{json.dumps(learnt, default=str)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--generator", type=Path, help="one that was taught before")
    parser.add_argument("--steps", type=int, default=400, help="of imitation")
    parser.add_argument("--programs", type=int, default=24)
    options = parser.parse_args()
    silence()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    generator = str(options.generator or teach(options.out / "generator", options.steps))
    digits = make(0)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    text = "\n".join(invent(generator, learn, digits, options) for learn in ("dpo", "none"))
    print(text)
    (options.out / "dpo.md").write_text(text)


if __name__ == "__main__":
    main()
