"""A model in the process: tokens a second and valid replies through each question.

    python -m experiments.self_developing.local_model --llm transformers:FOLDER --out OUT
    python -m experiments.self_developing.local_model --llm llamacpp:FILE.gguf --out OUT

Without --llm a tiny one of random weights is built on the spot: it shows what the schema forces,
not what a model knows. The prompts are those of real questions: propose (with trials), judge,
adjust, and the invention of a program.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from raymimic import LLMAdvisor, Reply, Request
from raymimic.errors import RaymimicError
from raymimic.invention.questions import request as invent_question
from raymimic.llm import LLM, resolve_llm
from raymimic.testing import runs, searches, trials
from raymimic.testing.tiny_model import build_tiny_model


class Watched:
    """Passes questions on and keeps each reply, or the status of a failure."""

    def __init__(self, llm: LLM) -> None:
        self.llm, self.model = llm, llm.model
        self.replies: list[Reply] = []
        self.failures: list[str] = []

    def complete(self, request: Request) -> Reply:
        """As the model's own."""
        try:
            reply = self.llm.complete(request)
        except RaymimicError as error:
            self.failures.append(getattr(error, "status", "error"))
            raise
        self.replies.append(reply)
        return reply


def questions(llm: Watched) -> dict[str, Callable[[int], object]]:
    """Each kind of question, as a function of the number of times that it was asked."""
    advisor = LLMAdvisor(llm, 600.0)
    ended = [
        searches.ended(number, config, searches.bowl(config))
        for number, config in enumerate(searches.drawn(8))
    ]
    return {
        "propose": lambda _: advisor.propose(searches.evidence(ended), 4),
        "judge": lambda _: advisor.judge(trials.evidence(trials.case())),
        "adjust": lambda _: advisor.adjust(runs.evidence()),
        "invent": lambda _: llm.complete(invent_question([], [], 600.0)),
    }


def measure(llm: Watched, times: int) -> list[str]:
    """A Markdown row for each kind of question."""
    lines = ["| question | replies | valid JSON | usable | tokens a reply | tokens a second |"]
    lines.append("|---|---|---|---|---|---|")
    for name, ask in questions(llm).items():
        llm.replies.clear()
        llm.failures.clear()
        usable, begun = 0, time.perf_counter()
        for number in range(times):
            try:
                ask(number)
                usable += 1
            except RaymimicError as error:
                print(f"{name}: {error}"[:200])
        seconds = time.perf_counter() - begun
        valid = sum(_is_json(reply.text) for reply in llm.replies)
        tokens = sum(reply.tokens_out for reply in llm.replies)
        each = tokens / max(1, len(llm.replies))
        lines.append(
            f"| {name} | {len(llm.replies)} + {len(llm.failures)} cut or late | {valid} | "
            f"{usable} of {times} | {each:.0f} | {tokens / seconds:.0f} |"
        )
    return lines


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--llm", help="a model in this process; by default a tiny one")
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = resolve_llm(options.llm or f"transformers:{build_tiny_model(folder)}")
        assert found is not None
        llm = Watched(found)
        llm.complete(Request("You tune.", "Say 1.", {"type": "integer"}, deadline=600.0))  # load
        text = "\n".join(measure(llm, options.times))
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
