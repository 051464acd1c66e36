"""The published study on a small open model: invented merges of GSM8k solvers. For one GPU.

    python -m experiments.self_developing.gsm8k --base FOLDER \
        --experts FOLDER1,FOLDER2,FOLDER3 --generator Qwen/Qwen2.5-0.5B-Instruct \
        --data FOLDER --transfer FOLDER4,FOLDER5,FOLDER6 --out OUT

Base and experts are checkpoints of one architecture, the experts tuned from the base; the generator
is any instruct model. DATA holds GSM8K's train.jsonl and test.jsonl as published (one JSON object a
line: question, answer with "#### NUMBER" at its end). Dev: the first --dev questions of train, on
which programs are scored; the 15 best by dev get one evaluation on test, beside the base, the plain
average, and Task Arithmetic and TIES with coefficients of the published grid (20, 40, 60%) chosen
on dev. --transfer: experts that no program has met, on which the best program meets the average
once. Greedy decoding, answers read after "####", as published but zero-shot. OUT gets the ledger
(the same command goes on after a kill), the best algorithms as files, and scores.json.

By default 3 iterations of 300 programs (published: 3,000) on 100 dev questions of 320 tokens.
Complete and tested on a tiny model (tests/experiments); no result is claimed until it was run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from raymimic import MergeTask, SelfDevelopingSearch, merge_trainable
from raymimic.evolution import Limits
from raymimic.invention import MergeRunner
from raymimic.merging import Average, Checkpoint, Method, TaskArithmetic, Ties, merge_states

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_ASK = "{question}\nThink step by step, then write the number after ####."
_BATCH = 32
_GIB = 1024**3
_GRID = (0.2, 0.4, 0.6)


def read(path: Path, count: int | None = None) -> list[dict[str, str]]:
    """Questions with their answers' numbers."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:count]]
    return [{"question": row["question"], "number": number_of(row["answer"]) or ""} for row in rows]


def number_of(text: str) -> str | None:
    """The number after the last "####", else the last number; without commas and a final ".0"."""
    found = _NUMBER.findall(text.rpartition("####")[2]) or _NUMBER.findall(text)
    if not found:
        return None
    plain = (found[0] if "####" in text else found[-1]).replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


@cache
def _model(base: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return AutoModelForCausalLM.from_pretrained(base, dtype="auto").to(device).eval(), tokenizer


def accuracy(
    base: str, state: dict[str, torch.Tensor], questions: Sequence[dict[str, str]], tokens: int
) -> float:
    """Share of the questions whose number a model with these weights gives."""
    model, tokenizer = _model(base)
    model.load_state_dict(state, strict=False)  # tied weights stand once in a checkpoint
    right = 0
    for first in range(0, len(questions), _BATCH):
        part = questions[first : first + _BATCH]
        prompts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": _ASK.format(**one)}],
                add_generation_prompt=True,
                tokenize=False,
            )
            for one in part
        ]
        given = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(
                **given.to(model.device),
                max_new_tokens=tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        said = tokenizer.batch_decode(
            out[:, given["input_ids"].shape[1] :], skip_special_tokens=True
        )
        right += sum(number_of(text) == one["number"] for text, one in zip(said, part, strict=True))
    return right / len(questions)


def scorer(
    base: str, questions: Sequence[dict[str, str]], tokens: int
) -> Callable[[dict[str, torch.Tensor]], dict[str, float]]:
    """The dev score with its standard error, for `merge_trainable`."""

    def evaluate(state: dict[str, torch.Tensor]) -> dict[str, float]:
        found = accuracy(base, state, questions, tokens)
        return {"score": found, "score_error": math.sqrt(found * (1 - found) / len(questions))}

    return evaluate


def run(options: argparse.Namespace) -> SelfDevelopingSearch:
    """The whole study; returns the search with the test scores in its state."""
    task = MergeTask(
        dict(Checkpoint(options.base_folder)),
        _checkpoints(options.experts),
        limits=Limits(seconds=600, memory=64 * _GIB, disk=64 * _GIB, threads=8),
    )
    dev = read(options.data / "train.jsonl", options.dev)
    search = SelfDevelopingSearch(
        task, llm=f"transformers:{options.generator}", iterations=options.iterations,
        programs=options.programs, timeout=600.0, seed=0, ledger=options.out / "ledger.jsonl",
    )  # fmt: skip
    gpus = 1.0 if torch.cuda.is_available() else 0.0
    trainable = tune.with_resources(
        merge_trainable(task, scorer(options.base_folder, dev, options.tokens)),
        {"cpu": 1, "gpu": gpus / 2},  # the other half is the generator's
    )
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            metric="score", mode="max", search_alg=search, num_samples=-1,
            max_concurrent_trials=1, reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str((options.out / "runs").resolve()), verbose=0),
    ).fit()  # fmt: skip
    compare(options, task, search, dev)
    search.write_results(options.out)
    print(search.summary())
    return search


def compare(
    options: argparse.Namespace,
    task: MergeTask,
    search: SelfDevelopingSearch,
    dev: Sequence[dict[str, str]],
) -> None:
    """Write scores.json: (dev, test) of invented and published merges, and of the transfer."""
    test = read(options.data / "test.jsonl", options.test)

    def score(state: dict[str, torch.Tensor], questions: Sequence[dict[str, str]]) -> float:
        return accuracy(options.base_folder, state, questions, options.tokens)

    tested = search.test(lambda state: score(state, test))
    programs = search.invention.state.programs
    scores: dict[str, Any] = {
        f"{programs[number].origin} {number}": (programs[number].score, found)
        for number, found in tested.items()
    }
    for name, methods in published(len(task.experts)).items():
        on_dev = [score(merge_states(task.base, task.experts, one), dev) for one in methods]
        best = methods[on_dev.index(max(on_dev))]
        merged = merge_states(task.base, task.experts, best)
        scores[f"{name}: {best}"] = max(on_dev), score(merged, test)
    best_program = search.best()
    if options.transfer and best_program is not None:
        others = replace(task, experts=_checkpoints(options.transfer))
        scores["transfer: average"] = score(
            merge_states(others.base, others.experts, Average()), test
        )
        runner = MergeRunner(others)
        try:
            scores["transfer: best program"] = score(runner.apply(best_program.source), test)
        finally:
            runner.close()
    (options.out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


def published(experts: int) -> dict[str, list[Method]]:
    """Methods with the coefficients of the published grid."""
    return {
        "task arithmetic": [TaskArithmetic(w) for w in itertools.product(_GRID, repeat=experts)],
        "ties": [Ties(density=share, scale=by) for share in _GRID for by in (0.5, 1.0, 1.5)],
    }


def _checkpoints(folders: str) -> dict[str, dict[str, torch.Tensor]]:
    return {Path(path).name: dict(Checkpoint(path)) for path in folders.split(",")}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", dest="base_folder", required=True, help="a folder on disk")
    parser.add_argument("--experts", required=True, help="folders by comma")
    parser.add_argument("--transfer", help="folders of experts that no program has met")
    parser.add_argument("--generator", required=True, help="a folder or a name on the hub")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dev", type=int, default=100)
    parser.add_argument("--test", type=int, help="by default all")
    parser.add_argument("--tokens", type=int, default=320, help="of an answer")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--programs", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if not ray.is_initialized():
        ray.init(include_dashboard=False, logging_level=logging.ERROR)
    run(options)


if __name__ == "__main__":
    main()
