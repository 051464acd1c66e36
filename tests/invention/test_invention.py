"""The engine without Ray: samples, gates, iterations, learning, resume."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from raymimic import ScriptedLLM, read_events
from raymimic.errors import LLMCallError, LLMSetupError, ProgramError
from raymimic.invention import Budget, Invention, Settings, algorithm_file, summary
from raymimic.invention.state import State
from raymimic.invention.template import EXAMPLE
from raymimic.llm import Reply, Request, TransformersLLM

SUM = """def merge(task_vectors, base):
    return {n: sum(m[n] for m in task_vectors.values()) * %s for n in base}"""


def reply(code: str, rationale: str = "add them up") -> str:
    return json.dumps({"rationale": rationale, "code": code.split("\n")})


def made(ledger: Path, llm: Any, **settings: Any) -> Invention:
    given = {"iterations": 2, "programs": 3, "seed": 0, **settings}
    return Invention(
        ["a", "b"], llm=llm, trainer=None, settings=Settings(**given), better=1, ledger=ledger
    )


def score_all(invention: Invention, score: Callable[[str], float], most: int = 100) -> list[str]:
    """Play Tune's part until all is over; returns the sources in their order."""
    sources = []
    for number in range(most):
        given = invention.ask(f"t{number}")
        if given is None:
            if invention.over:
                return sources
            invention.wait(30)
            continue
        sources.append(given.code)
        invention.tell(f"t{number}", score(given.code))
    raise AssertionError("the invention did not end")


def test_references_first_then_each_iterations_samples(tmp_path: Path) -> None:
    prompts: list[Request] = []

    def write(request: Request) -> str:
        prompts.append(request)
        return reply(SUM % (0.1 * len(prompts)))

    invention = made(tmp_path / "l.jsonl", ScriptedLLM([write] * 6))
    sources = score_all(invention, lambda code: float(len(code)))
    assert "zeros_like" in sources[0]
    assert sources[1].strip() == EXAMPLE.strip()
    assert len(sources) == 2 + 6
    assert "the base model" in prompts[0].user  # a reference is an elite until one is better
    assert sources[4].strip() in prompts[-1].user
    assert "8 programs scored" in summary(invention.state)


def test_what_is_no_new_program_costs_no_trial_and_is_told_to_the_model(tmp_path: Path) -> None:
    prompts: list[Request] = []
    replies = [
        reply("def merge(task_vectors):\n    return {}"),
        reply("import os\ndef merge(task_vectors, base):\n    return {}"),
        reply(EXAMPLE.replace("models)", "models )")),  # the reference in another layout
        "no json",
        reply("def merge(task_vectors, base)\n    return {}"),
        reply(SUM % 0.5),
    ]

    def say(request: Request) -> str:
        prompts.append(request)
        return replies[len(prompts) - 1]

    invention = made(tmp_path / "l.jsonl", ScriptedLLM([say] * 6), iterations=1, programs=6)
    assert len(score_all(invention, lambda code: 1.0)) == 3
    assert dict(invention.state.rejected) == {
        "same names": 1, "imports": 1, "duplicate": 1, "reply": 1, "parses": 1,
    }  # fmt: skip
    assert "must import only" in prompts[-1].user


def test_a_dead_model_is_replaced_by_random_programs_and_counted(tmp_path: Path) -> None:
    down = LLMCallError("down", status="500")
    invention = made(tmp_path / "l.jsonl", ScriptedLLM([down] * 6), iterations=1)
    assert len(score_all(invention, lambda code: 1.0)) == 5
    assert {one.origin for one in invention.state.programs.values() if one.iteration} == {"random"}
    rows = [row for row in read_events(tmp_path / "l.jsonl").rows if row["event"] == "program"]
    assert [row["instead"].partition(":")[0] for row in rows[2:]].count("500") >= 1


def test_without_a_model_the_same_seed_draws_the_same_programs(tmp_path: Path) -> None:
    first, second = (
        score_all(made(tmp_path / f"{name}.jsonl", None), lambda code: 1.0) for name in "ab"
    )
    assert sorted(first) == sorted(second)
    assert len(set(first)) == len(first)


def test_a_killed_run_pays_and_scores_nothing_twice(tmp_path: Path) -> None:
    def write(request: Request) -> str:
        return reply(SUM % (0.1 * len(llm.requests)))

    llm = ScriptedLLM([write] * 6)
    invention = made(tmp_path / "l.jsonl", llm)
    for number in range(4):  # the references and two programs, the second of them under way
        while (given := invention.ask(f"t{number}", ahead=2)) is None:
            invention.wait(30)
        if number < 3:
            invention.tell(f"t{number}", float(number))
    invention.wait(30)
    invention.ledger.flush()
    paid = len(llm.requests)
    again = made(tmp_path / "l.jsonl", llm)
    again.release_running()
    resumed = score_all(again, lambda code: 1.0)
    assert given.code in resumed
    assert len(resumed) == 8 - 3
    assert len(llm.requests) == 6 >= paid


def test_a_pickled_engine_goes_on(tmp_path: Path) -> None:
    invention = made(tmp_path / "l.jsonl", None)
    invention.ask("t0")
    copy = pickle.loads(pickle.dumps(invention))
    copy.tell("t0", 1.0)
    assert copy.state.best(1)[0].score == 1.0


def test_a_budget_that_is_spent_lets_random_programs_go_on(tmp_path: Path) -> None:
    def write(request: Request) -> str:
        return reply(SUM % (0.1 * len(llm.requests)))

    llm = ScriptedLLM([write] * 6)
    score_all(made(tmp_path / "l.jsonl", llm, budget=Budget(calls=2)), lambda code: 1.0)
    assert len(llm.requests) == 2


def test_the_winning_algorithm_runs_without_us(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    invention = made(
        tmp_path / "l.jsonl", ScriptedLLM([reply(SUM % 0.5, 'half "the" sum """ \\ x')] * 6)
    )
    score_all(invention, lambda code: float("0.5" in code))
    file = tmp_path / "algorithm.py"
    file.write_text(algorithm_file(invention.state.best(1)[0], invention.state))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_US, str(file)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[1.5, 1.0] torch.float16 3\n", done.stderr
    assert "- plain average: 0 on the dev data" in file.read_text()


WITHOUT_US = """
import runpy, sys
sys.modules["raymimic"] = None  # importing it would raise
import torch
found = runpy.run_path(sys.argv[1])
base = {"w": torch.tensor([0.5, 0.0], dtype=torch.float16), "steps": torch.tensor(3)}
expert = {"w": torch.tensor([1.5, 1.0], dtype=torch.float16), "steps": torch.tensor(9)}
state = found["improve"](base, {"a": expert, "b": expert})
print(state["w"].tolist(), state["w"].dtype, state["steps"].item())
"""


@pytest.mark.parametrize(("error", "tie"), [(0.05, True), (0.01, False)])
def test_what_is_no_better_than_a_reference_by_a_standard_error_is_called_a_tie(
    tmp_path: Path, error: float, tie: bool
) -> None:
    invention = made(tmp_path / "l.jsonl", None, iterations=1, programs=1)
    for score in (0.5, 0.7, 0.72):
        while invention.ask(f"t{score}") is None:
            invention.wait(30)
        invention.tell(f"t{score}", score, error_of_score=error)
    said = "Within one standard error of plain average: a tie."
    assert (said in summary(invention.state)) == tie
    assert (said in algorithm_file(invention.state.best(1)[0], invention.state)) == tie


def test_only_a_model_in_this_process_can_be_trained(tmp_path: Path) -> None:
    with pytest.raises(LLMSetupError, match="transformers:FOLDER"):
        made(tmp_path / "l.jsonl", ScriptedLLM([]), learn="dpo")


def test_a_ledger_of_other_models_is_refused(tmp_path: Path) -> None:
    invention = made(tmp_path / "l.jsonl", None)
    invention.ask("t0")
    invention.ledger.flush()
    with pytest.raises(ProgramError, match="give a new ledger"):
        Invention(
            ["x"], llm=None, trainer=None, settings=Settings(), better=1,
            ledger=tmp_path / "l.jsonl",
        )  # fmt: skip


class Generator(TransformersLLM):
    """Stands in for a model in this process; writes down where and how hot it was asked."""

    seeds: ClassVar[list[int]] = []

    def __init__(self, model: str, asked: list[tuple[str, float]], temperature: float = 1.0):
        self.model, self.temperature, self.asked, self.seed = model, temperature, asked, 0

    def at(self, *, model: str, temperature: float, seed: int) -> Generator:
        self.seeds.append(seed)
        return Generator(model, self.asked, temperature)

    def complete(self, request: Request) -> Reply:
        self.asked.append((self.model, round(self.temperature, 3)))
        return Reply(reply(SUM % (0.01 * len(self.asked))), self.model)


def test_between_iterations_the_generator_learns_from_better_and_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    asked: list[tuple[str, float]] = []
    lessons: list[tuple[str, list[dict[str, str]], Path]] = []

    def train(model: str, pairs: Any, out: Path) -> dict[str, Any]:
        lessons.append((model, list(pairs), out))
        return {"generator": f"trained {len(lessons)}", "margin_last": 0.1}

    invention = Invention(
        ["a", "b"], llm=Generator("start", asked), trainer=train, better=1,
        settings=Settings(iterations=3, programs=9, learn="dpo", seed=0), ledger=None,
    )  # fmt: skip
    invention.ledger.settle(tmp_path / "run")

    def score(code: str) -> float:
        return float(code.split("* ")[1].split(" ")[0]) if "* " in code else 0.0

    score_all(invention, score)
    assert [model for model, _, _ in lessons] == ["start", "trained 1"]  # none after the last
    assert dict.fromkeys(asked) == dict.fromkeys(
        [("start", 1.2), ("trained 1", 1.0), ("trained 2", 0.857)]
    )
    assert len(set(Generator.seeds)) == len(Generator.seeds)  # no batch repeats another
    pair = lessons[0][1][0]
    assert "0.09" in json.loads(pair["chosen"])["code"][1]
    assert "score 0" not in pair["user"]  # the published fixed prompt shows no scores
    home = tmp_path / "home" / "ray_results" / "raymimic"
    assert {out.parent for _, _, out in lessons} == {home}  # Tune uploads the run's folder
    invention.ledger.flush()
    assert invention.ledger.path.parent == tmp_path / "run"
    again = State(better=1)
    for row in read_events(invention.ledger.path).rows:
        again.apply(row)
    assert again.learnt[2]["generator"] == "trained 2"


def test_a_mode_that_comes_later_is_that_of_the_ledger_or_is_refused(tmp_path: Path) -> None:
    """Tune tells the mode after the search was made, and so after its ledger was taken up."""
    first = Invention(
        ["a", "b"], llm=None, trainer=None, settings=Settings(), better=None,
        ledger=tmp_path / "l.jsonl",
    )  # fmt: skip
    first.set_better(-1)
    first.ask("t0")
    first.ledger.flush()
    again = Invention(
        ["a", "b"], llm=None, trainer=None, settings=Settings(), better=None,
        ledger=tmp_path / "l.jsonl",
    )  # fmt: skip
    assert again.state.better == -1
    again.set_better(-1)
    with pytest.raises(ProgramError, match='mode="min"'):
        again.set_better(1)
