"""Whatever lies where a ledger should: the command line answers, or refuses in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from raymimic import LLMSearcher
from raymimic.cli import main

COMMANDS = ("report", "why", "lab-book", "export", "lessons", "prompt")


def arguments(command: str, run: str, out: Path) -> list[str]:
    after = {"report": ["-o", f"{out}.html"], "export": ["--csv", f"{out}.csv"],
             "lessons": ["-o", f"{out}.md"], "prompt": ["--llm", "none"]}  # fmt: skip
    return [command, *(["best"] if command == "why" else []), run, *after.get(command, [])]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A sound ledger's."""
    path = tmp_path_factory.mktemp("sound") / "x.jsonl"
    space = {"lr": tune.loguniform(1e-5, 1.0)}
    searcher = LLMSearcher(space, "loss", "min", llm="none", seed=1, ledger=path, patience=9)
    for name in ("a0", "a1"):
        while searcher.suggest(name) is None:
            pass
        searcher.on_trial_complete(name, {"loss": 0.5, "training_iteration": 1})
    searcher.finish()
    return path.read_text().splitlines()


def changed(event: str, **fields: Any) -> Callable[[list[str]], bytes]:
    """The ledger with other fields in all events of a kind."""

    def make(lines: list[str]) -> bytes:
        rows = [json.loads(line) for line in lines]
        new = [{**row, **fields} if row["event"] == event else row for row in rows]
        return "\n".join(map(json.dumps, new)).encode()

    return make


BROKEN: dict[str, Callable[[list[str]], bytes]] = {
    "empty": lambda _: b"",
    "binary": lambda _: b"\x89PNG\r\n\0\xff" * 99,
    "another format": lambda _: b'[{"event": 3}]\n1\nnull\n',
    "begins in the middle": lambda lines: "\n".join(lines[1:]).encode(),
    "UTF-16": lambda lines: "\n".join(lines).encode("utf-16"),
    "too deep": lambda lines: (lines[0] + '\n{"event": ' + "[" * 9999).encode(),
    "a layout to come": changed("search", layout=[99]),
    "no space": changed("search", space={"dimensions": 3}),
    "times in words": changed("search", t="noon"),
    "no time": changed("search", t=float("inf")),
    "a budget in words": changed("search", trials_total="many"),
    "a belief of numbers": changed("belief", places={"lr": 0.5}),
}
READ: dict[str, Callable[[list[str]], bytes]] = {
    "sound": lambda lines: "\n".join(lines).encode(),
    "torn": lambda lines: "\n".join(lines)[:-9].encode(),
    "half a character": changed("proposal", rationale="\ud800", source="\udfff"),
    "events of no time": changed("outcome", t=float("nan")),
    "events of other types": changed("start", proposal=[1], trial_id=None),
}


@pytest.mark.parametrize("name", [*BROKEN, *READ])
def test_a_ledger_is_read_or_refused_in_one_line(
    name: str, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes((BROKEN | READ)[name](lines))
    os.mkfifo(tmp_path / "pipe.jsonl")  # beside it, what is no ledger
    (tmp_path / "folder.jsonl").mkdir()
    for command in COMMANDS:
        status = main(arguments(command, str(path), tmp_path / "out"))
        said = capsys.readouterr().err
        assert status in (0, 2)
        assert status == 2 or not said
        assert len(said.splitlines()) == (status == 2)
        if name == "sound":
            assert status == 0


@pytest.mark.parametrize("run", ["/dev/zero", "a\0b", "x" * 9999, "", "nowhere://x/y", "~nobody/x"])
def test_what_is_no_file_is_refused_in_one_line(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in COMMANDS:
        assert main(arguments(command, run, tmp_path / "out")) == 2
        assert len(capsys.readouterr().err) < 700
