"""How much of the advice arrives: a row for each quirk of a server, and for each running server.

    python -m experiments.servers.matrix [--live NAME=URL ...] [--model MODEL] [--out FILE.md]

Each asks for nine proposals twice, through the real `openai` SDK over HTTP: "used" are those that
fit the space, of 18; the tries of the second question show what was remembered. Exit status 1 if a
quirk costs a proposal. A live server's model may say nonsense (raymimic.testing.tiny_gguf
does); there "answers" (replies with proposals of the right form, of 2) is what counts.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.common.markdown import table
from experiments.servers.quirks import ASKED, QUIRKS
from raymimic import LLMAdvisor, OpenAILLM
from raymimic.advisor import SearchEvidence
from raymimic.errors import AdvisorError, ConfigError
from raymimic.space import Choice, FloatRange, SearchSpace
from raymimic.testing.server import StubServer

SPACE = SearchSpace({"lr": FloatRange(1e-5, 1.0, log=True), "width": Choice((32, 64))})
_QUESTIONS = 2
_HEADER = ("server or quirk", "answers", "used of 18", "tries", "repairs", "learnt", "error")


@dataclass(frozen=True)
class Row:
    """What two questions to one server brought."""

    name: str
    answers: int
    used: int
    tries: tuple[int, ...]
    repairs: tuple[str, ...]
    learnt: str
    error: str

    def cells(self) -> tuple[str, ...]:
        counts = f"{self.answers} of {_QUESTIONS}", f"{self.used}", "+".join(map(str, self.tries))
        return (self.name, *counts, "; ".join(self.repairs), self.learnt, self.error)


def ask(name: str, url: str, model: str) -> Row:
    """Ask the server behind ``url`` twice."""
    advisor = LLMAdvisor(OpenAILLM(model, base_url=url), timeout=60.0)
    evidence = SearchEvidence(SPACE, "val_loss", "min")
    answers = used = 0
    tries: list[int] = []
    repairs: list[str] = []
    error = ""
    for _ in range(_QUESTIONS):
        try:
            advice = advisor.propose(evidence, ASKED)
        except AdvisorError as failure:
            error, calls = str(failure), failure.calls
        else:
            answers, calls = answers + 1, advice.calls
            used += sum(_fits(proposal.config) for proposal in advice.proposals)
        tries.append(sum(call.tries for call in calls))
        repairs += [repair for call in calls for repair in call.repairs]
    learnt = advisor.llm.learnt.to_json()
    facts = ", ".join(f"{key} {value}" for key, value in learnt.items())
    return Row(name, answers, used, tuple(tries), tuple(dict.fromkeys(repairs)), facts, error)


def _fits(config: dict[str, object]) -> bool:
    try:
        SPACE.check(config)
    except ConfigError:
        return False
    return True


def rows_of_quirks() -> list[Row]:
    """A row for each quirk."""
    rows = []
    for name, rule in QUIRKS.items():
        with StubServer().running() as stub:
            stub.rule = rule
            rows.append(ask(name, f"http://{stub.host}/v1", "m"))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", nargs="*", default=[], metavar="NAME=URL")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    quirks = rows_of_quirks()
    live = [ask(*server.split("=", 1), given.model) for server in given.live]
    text = table(_HEADER, [row.cells() for row in [*live, *quirks]])
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    return int(any(row.used < _QUESTIONS * ASKED for row in quirks))


if __name__ == "__main__":
    sys.exit(main())
