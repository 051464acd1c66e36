"""The study's replay: from the paid replies alone the same programs come in the same order."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="merging programs are torch programs")

from experiments.self_developing.digits import LABELS
from experiments.self_developing.run import replies
from raymimic import ReplayLLM, ScriptedLLM, read_events
from raymimic.invention import Invention, Settings
from raymimic.invention.questions import reply_text
from raymimic.invention.random_programs import random_program
from raymimic.invention.state import State
from raymimic.llm import LLM

MIND = Path(__file__).parents[2] / "experiments/self_developing/results/minds/elites_0.jsonl"


def invented(
    ledger: Path,
    llm: LLM,
    scores: dict[int, float],
    ahead: int,
    models: Sequence[str] = ("a", "b", "c"),
    programs: int = 4,
    iterations: int = 2,
) -> list[str]:
    """Play Tune's part; the sources in their order."""
    made = Invention(
        models, llm=llm, trainer=None, better=1, ledger=ledger,
        settings=Settings(iterations=iterations, programs=programs, seed=0),
    )  # fmt: skip
    for trial in range(100):
        given = made.ask(f"t{trial}", ahead=ahead)
        if given is not None:
            made.tell(f"t{trial}", scores[given.number])
        elif made.over:
            made.ledger.flush()
            return [one.source for one in made.state.programs.values()]
        else:
            made.wait(30)
    raise AssertionError("the invention did not end")


def test_a_replay_makes_the_same_programs_without_a_call(tmp_path: Path) -> None:
    texts = [reply_text(*random_program(random.Random(number), 3)) for number in range(7)]
    llm = ScriptedLLM([*texts, texts[0]])  # the last one is a duplicate: it costs its sample
    scores = {number: 0.5 + number / 100 for number in range(10)}
    first = invented(tmp_path / "first.jsonl", llm, scores, ahead=1)
    (tmp_path / "second.jsonl").write_text(replies(tmp_path / "first.jsonl"))
    second = invented(tmp_path / "second.jsonl", ReplayLLM([]), scores, ahead=4)
    assert second == first
    assert len(first) == 2 + 7
    rows = read_events(tmp_path / "second.jsonl").rows
    assert sum(row["event"] == "call" for row in rows) == 8
    assert [json.loads(row["reply"])["rationale"] for row in rows if row["event"] == "call"][7] == (
        json.loads(texts[0])["rationale"]
    )


def test_the_minds_programs_come_again_from_its_cassette(tmp_path: Path) -> None:
    known = State()
    for row in read_events(MIND).rows:
        known.apply(row)
    (tmp_path / "again.jsonl").write_text(replies(MIND))
    again = invented(
        tmp_path / "again.jsonl", ReplayLLM([]),
        {number: one.score for number, one in known.programs.items()},
        ahead=8, models=list(LABELS), programs=8, iterations=3,
    )  # fmt: skip
    assert again == [one.source for one in known.programs.values()]
    assert sum(one.origin == "llm" for one in known.programs.values()) >= 20
