"""DPO from real scores: a tiny generator taught to write merges, then trained by their scores.

    python -m experiments.self_developing.dpo --out OUT

The generator, made on the spot, is taught by imitation to answer the fixed prompt, and prompts
that show scored programs, with random published merges (`raymimic.invention.random_programs`), so
that it writes valid programs at all. Then it invents on noisy digits three times, with the same
number of samples: under DPO, with elites in the prompt, and without learning ("none"). Reported:
yield by iteration, reward margin, best and median dev score.
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
from raymimic import Pairing, Request, SelfDevelopingSearch, TransformersLLM
from raymimic.invention import Invented
from raymimic.invention.dpo import DpoSettings
from raymimic.invention.output import table
from raymimic.invention.questions import reply_text, request
from raymimic.invention.random_programs import random_program
from raymimic.invention.template import program_of
from raymimic.testing.tiny_model import build_tiny_model

_MODELS = 3
_LINES = 10


def lesson(number: int, shown: bool) -> tuple[Request, str]:
    """A prompt, with or without programs and scores, and a reply as a good model would give it."""
    rng = random.Random(f"lesson/{number}")
    elites = [_scored(rng, place) for place in range(3)] if shown else []
    return request(elites, [], 60.0), reply_text(*_short(rng))


def _short(rng: random.Random) -> tuple[str, str]:
    """A random program that so small a model can learn to write."""
    while True:
        code, said = random_program(rng, _MODELS)
        if len(code.splitlines()) <= _LINES:
            return code, said


def _scored(rng: random.Random, number: int) -> Invented:
    code, said = _short(rng)
    score = round(rng.uniform(0.6, 0.8) * 400) / 400
    return Invented(
        number, 1, program_of(code).source, "llm", said, "done", score=score, error_of_score=0.02
    )


def teach(folder: Path, steps: int) -> str:
    """Build the generator and train it on the lessons; returns its folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    corpus = [lesson(number, False)[1] for number in range(200)]
    build_tiny_model(folder, hidden=96, corpus=corpus)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        shown = step % 4 == 3  # such prompts are three times as long
        batch = [_tokens(tokenizer, *lesson(4 * step + n, shown)) for n in range(4)]
        longest = max(len(head) + len(tail) for head, tail in batch)
        tokens = torch.full((len(batch), longest), tokenizer.eos_token_id)
        labels = torch.full_like(tokens, -100)
        for row, (head, tail) in enumerate(batch):
            tokens[row, : len(head) + len(tail)] = torch.tensor(head + tail)
            labels[row, len(head) : len(head) + len(tail)] = torch.tensor(tail)
        loss = model(tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"lesson {step} of {steps}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    return str(folder)


def _tokens(tokenizer: Any, asked: Request, reply: str) -> tuple[list[int], list[int]]:
    messages = [
        {"role": "system", "content": asked.system},
        {"role": "user", "content": asked.user},
    ]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    head, tail = (tokenizer(text, add_special_tokens=False).input_ids for text in (prompt, reply))
    return head, [*tail, tokenizer.eos_token_id]


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
    parser.add_argument("--arms", default="dpo,elites,none")
    options = parser.parse_args()
    silence()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    generator = str(options.generator or teach(options.out / "generator", options.steps))
    digits = make(0)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    for learn in options.arms.split(","):
        text = invent(generator, learn, digits, options)
        print(text, flush=True)
        with open(options.out / "dpo.md", "a") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
