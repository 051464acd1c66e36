"""From what a user names to a run, and from a run to words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from report_ledgers import HOSTILE, trial_id, write_ledger

from raymimic import events
from raymimic.cli import main
from raymimic.errors import LedgerError
from raymimic.ledger import Ledger
from raymimic.records import Proposal
from raymimic.report.find import find_ledgers
from raymimic.report.importance import importances
from raymimic.report.lab_book import lab_book
from raymimic.report.payload import payload_of
from raymimic.report.reading import read_run
from raymimic.report.run import Run
from raymimic.report.story import story_of
from raymimic.report.thinning import MOST_DRAWN


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ledger(tmp_path_factory.mktemp("sixty") / "ledger.jsonl", 60)


@pytest.fixture(scope="module")
def run(sixty: Path) -> Run:
    return read_run([sixty])


def append(ledger: Path, *rows: dict[str, object]) -> None:
    with open(ledger, "a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


# -- where a ledger lies


def test_a_ledger_is_found_by_file_folder_experiment_and_uri(sixty: Path, tmp_path: Path):
    results = tmp_path / "results"
    (results / "tune" / "trial_1").mkdir(parents=True)
    (results / "tune" / "tuner.pkl").touch()
    ledger = shutil.copy(sixty, results / "ledger.jsonl")
    for named in (ledger, results, results / "tune"):
        assert find_ledgers(str(named)) == (results / "ledger.jsonl",)
    for uri in (results.as_uri(), Path(ledger).as_uri()):
        (copy,) = find_ledgers(uri)
        assert copy.read_bytes() == sixty.read_bytes()
        assert copy.parent != results


def test_the_ledger_written_last_is_taken_and_trainings_beside_it_are_read(tmp_path: Path):
    old = write_ledger(tmp_path / "b_old.jsonl", 1)
    new = write_ledger(tmp_path / "a_new.jsonl", 2)
    os.utime(old, (1.0, 1.0))
    training = tmp_path / "training.jsonl"
    append(
        training,
        {"event": "run", "n": 0, "t": 1.0, "run_id": trial_id(0), "metric": "val_loss"},
        {
            "event": "rollback",
            "n": 1,
            "t": 2.0,
            "run_id": trial_id(0),
            "epoch": 4,
            "unadvised": True,
            "reason": "weights are NaN or infinite",
        },
        {
            "event": "verdict",
            "n": 1,
            "t": 2.0,
            "run_id": trial_id(0),
            "epoch": 3,
            "ended": 4,
            "verdict": "worse",
            "before": 0.5,
            "after": None,
            "expected": None,
            "margin": None,
        },
        {"event": "rollback", "n": 2, "t": 2.0, "run_id": "somebody else", "epoch": 4},
    )
    assert find_ledgers(str(tmp_path)) == (new, training)
    run = read_run(find_ledgers(str(tmp_path)))
    marks = {(mark.kind, mark.epoch): mark.text for mark in run.trials[0].marks}
    assert marks["rollback", 4].endswith(": weights are NaN or infinite")
    assert marks["verdict", 4].startswith("what the change did: worse")
    assert any("no trial of this search (1 in all)" in note for note in run.notes)


@pytest.mark.parametrize("named", ["", "nothing.jsonl", "file:///no/such/folder"])
def test_where_no_ledger_is_the_error_says_what_to_give(named: str, tmp_path: Path):
    with pytest.raises(LedgerError, match="ledger"):
        find_ledgers(named or str(tmp_path))


# -- what is in it


def test_broken_lines_and_events_cost_only_themselves(tmp_path: Path):
    ledger = write_ledger(tmp_path / "ledger.jsonl", 8)
    append(
        ledger,
        {"event": "outcome", "n": 900, "t": 1e9, "trial_id": "never began"},
        {"event": "stop", "n": 901, "t": 1e9, "trial_id": trial_id(1)},
        {"event": "of another version", "n": 902, "t": 1e9},
    )
    with open(ledger, "a") as file:
        file.write('{"event": "outc')
    run = read_run([ledger])
    assert len(run.trials) == len(run.order) == 8
    assert "a line of the ledger could not be read (1 in all)" in run.notes
    assert "an event of the ledger was not as raymimic writes it (2 in all)" in run.notes


def test_of_several_searches_in_one_file_the_last_is_shown(tmp_path: Path):
    ledger = write_ledger(tmp_path / "ledger.jsonl", 8)
    second = write_ledger(tmp_path / "second.jsonl", 3, ended=False, seed=5)
    ledger.write_text(ledger.read_text() + second.read_text())
    run = read_run([ledger])
    assert len(run.trials) == 3
    assert not run.ended
    assert "an earlier search in the same ledger is not shown (1 in all)" in run.notes


def test_a_trial_that_ran_again_after_a_restore_counts_once(tmp_path: Path):
    ledger = write_ledger(tmp_path / "ledger.jsonl", 2)
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    (again,) = [r for r in rows if r["event"] == "outcome" and r["trial_id"] == trial_id(0)]
    append(ledger, {**again, "score": 0.001, "n": 99})
    run = read_run([ledger])
    assert run.order == [1, 0]
    assert run.best is run.trials[0]
    assert run.best.score == 0.001


def test_an_expectation_is_kept_within_the_noise_and_open_for_stopped_trials(run: Run):
    judged = [(trial, run.kept(trial)) for trial in run.trials]
    assert {kept for trial, kept in judged if trial.status != "done"} == {None}
    assert {kept for trial, kept in judged if trial.expected is None} == {None}
    for trial, kept in judged:
        if kept is True:
            assert trial.score < trial.expected + 0.1
        elif kept is False:
            assert trial.score > trial.expected


def test_what_redirects_did_is_kept_with_what_was_forecast(run: Run):
    assert 0 < len(run.effects) <= run.tally.redirects["better"]  # one came to no number
    effect = run.effects[0]
    assert effect.trial == 2
    assert effect.after == run.trials[2].curve.last("val_loss")
    assert (effect.expected, effect.margin) == (pytest.approx(1.1 * effect.after), 0.01)


def test_the_parameter_that_made_the_scores_matters_most(run: Run):
    found = importances(run)
    assert found[0].name == "lr"
    assert sum(one.share for one in found) == pytest.approx(1.0, abs=0.2)  # medians of shares
    assert all(0 <= one.low <= one.share <= one.high <= 1 for one in found)


def test_a_large_run_is_thinned_and_says_so(tmp_path: Path):
    run = read_run([write_ledger(tmp_path / "ledger.jsonl", 1200)])
    page = payload_of(run)
    assert len(page["drawn"]) == MOST_DRAWN
    assert page["head"]["best"] in page["drawn"]
    assert any(f"Drawn are {MOST_DRAWN} of 1," in note for note in page["head"]["notes"])
    assert len(page["trials"]["id"]) == 1200
    assert all(len(curve[0]) <= 80 for curve in page["curves"] if curve)


def test_long_texts_are_bounded_whatever_the_run(tmp_path: Path):
    ledger = write_ledger(tmp_path / "ledger.jsonl", 1000, hostile="long " * 2000)
    page = payload_of(read_run([ledger]))
    texts = [text for story in page["trials"]["story"] for _, text in story]
    assert sum(map(len, texts)) < 6e6
    assert any("Texts are cut to" in note for note in page["head"]["notes"])
    assert sum(len(call["user"]) + len(call["reply"]) for call in page["calls"]) < 3e5


def test_the_command_line_starts_without_anything_heavy():
    code = (
        "import sys, raymimic.cli; raymimic.cli._parser();"
        "print([n for n in ('numpy', 'ray', 'plotly', 'optuna', 'pandas') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


# -- in words


def test_the_story_tells_why_what_was_done_and_how_it_ended(run: Run):
    stopped = dict(story_of(run, 4))
    assert stopped["Stopped"].startswith("hopeless: val_loss")
    assert "stopped early after epoch" in stopped["Ended"]
    assert dict(story_of(run, 11))["Ended"] == "failed before its first epoch in 2 s: " + (
        "ran out of memory: RuntimeError: CUDA out of memory"
    )
    redirected = dict(story_of(run, 2))
    assert "lr 0.01 -> 0.003; heuristic: the curve swings" in redirected["Redirected"]
    assert "what the change did: better" in redirected["Outcome"]
    best = dict(story_of(run, run.scored[0]))
    assert best["Ended"].endswith(": the best")
    assert best["Proposed"].startswith("by ")


def test_why_tells_a_trial_by_the_beginning_of_its_id(
    sixty: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["why", trial_id(4)[:5], str(sixty)]) == 0
    shown = capsys.readouterr().out
    assert f"Trial {trial_id(4)}" in shown
    assert "Stopped" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["why", "best", str(sixty)]) == 0
    assert ": the best" in " ".join(capsys.readouterr().out.split())
    assert main(["why", "no such", str(sixty)]) == 2
    assert "names no single trial" in capsys.readouterr().err


def test_foreign_text_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_ledger(tmp_path / "ledger.jsonl", 4, hostile="\x1b[2J\x07\u202e")
    assert main(["why", trial_id(0), str(tmp_path)]) == 0
    assert main(["lab-book", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert not any(char in shown for char in "\x1b\x07\u202e")


def test_the_lab_book_names_failed_hypotheses_first(run: Run):
    book = lab_book(run)
    for part in ("## Question", "## Result", "## What mattered", "## Hypotheses", "## Course"):
        assert part in book
    assert book.index("### Failed, furthest off first") < book.index("### Held")
    assert "RuntimeError: CUDA out of memory" in book
    assert f"`{run.best.trial_id}`" in book


def test_in_the_lab_book_foreign_text_is_no_markdown_and_no_html(tmp_path: Path):
    hostile = HOSTILE + "\n# A heading\n**bold** [link](http://x) `code`"
    book = lab_book(read_run([write_ledger(tmp_path / "ledger.jsonl", 30, hostile=hostile)]))
    assert "<script" not in book.replace("\\<", "")
    assert "\n# A heading" not in book
    assert "[link](" not in book.replace("\\[", "")


def test_wishes_stand_before_what_was_proposed_after_them(tmp_path: Path):
    path = write_ledger(tmp_path / "ledger.jsonl", 30)
    config = read_run([path]).trials[0].config
    ledger = Ledger(path)
    events.wish(
        ledger.append, number=1, tell="a", part=1, parts=1, who="you", text="stop trying **sgd**",
        outcome="restricted", answer="from now on", restrictions=["optimizer != 'sgd'"],
    )  # fmt: skip
    proposal = Proposal(dict(config), "why", "user")
    events.proposal(ledger.append, proposal, number=99, config=config, made_from=30)
    ledger.flush()
    run = read_run([path])
    assert run.batches[-1].wishes == run.wishes == ["1. stop trying **sgd**: from now on"]
    assert payload_of(run)["batches"][-1]["wishes"] == run.wishes
    assert "- 1. stop trying \\*\\*sgd\\*\\*: from now on" in lab_book(run)
