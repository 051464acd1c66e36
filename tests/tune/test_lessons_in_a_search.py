"""Lessons through the searcher: written at the end of one search, the start of the next."""

from __future__ import annotations

import json
import logging
import pickle

import pytest
from ray import tune

from raymimic import LLMSearcher, read_events
from raymimic.advisor import build_request, evidence_from_ledger
from raymimic.cli import main
from raymimic.errors import LessonsError
from raymimic.testing.advisors import CountingAdvisor, run_trial, suggest

SPACE = {"lr": tune.loguniform(1e-4, 1.0), "width": tune.randint(8, 65)}


@pytest.fixture
def learnt(make, tmp_path):
    """The lessons of a search whose best trial is at lr 0.0123."""
    searcher = make(space=SPACE, points_to_evaluate=[{"lr": 0.0123, "width": 33}], seed=1,
                    ledger=str(tmp_path / "before.jsonl"))  # fmt: skip
    for number, loss in enumerate([0.5, 0.9, 0.8, 0.7]):
        suggest(searcher, f"t{number}")
        run_trial(searcher, f"t{number}", [1.0, loss])
    path = tmp_path / "lessons.md"
    searcher.write_lessons(path)
    searcher.ledger.flush()
    return path


def test_a_search_starts_from_the_lessons_of_another(make, events, learnt, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("raymimic"), "propagate", True)
    caplog.set_level(logging.INFO, logger="raymimic")
    searcher = make(space=SPACE, lessons=learnt)
    config = suggest(searcher, "a")
    assert config == {"lr": 0.0123, "width": 33}
    assert searcher.trial("a").rationale == "best of 4 trials in lessons.md: loss 0.5"
    (event,) = events("lessons")
    assert event["name"] == "lessons.md"
    assert event["text"] == learnt.read_text()
    assert str(learnt.parent) not in json.dumps(events("lessons") + events("proposal"))
    said = "lessons from lessons.md: 4 trials for loss, best 0.5; 2 of 2 parameters are known"
    assert event["note"].startswith(said)
    assert said in caplog.text


def test_every_advisor_is_shown_them(make, learnt):
    advisor = CountingAdvisor()
    searcher = make(llm=advisor, lessons=learnt.read_text())
    suggest(searcher, "a")
    (seen, _) = advisor.asked[0]
    assert seen.lessons.best[0].config == {"lr": 0.0123, "width": 33}
    assert "0.0123" in build_request(seen, 1).system


def test_lessons_of_another_space_are_refused_aloud(make, events, learnt):
    searcher = make(lessons=learnt)
    suggest(searcher, "a")
    assert "trials in lessons.md" not in searcher.trial("a").rationale
    (event,) = events("lessons")
    assert "only 0 of 1 parameters are of the same name and kind" in event["note"]
    assert "its configurations are not used" in event["note"]


def test_a_saved_search_keeps_them_before_and_after_it_begins(make, learnt, tmp_path):
    searcher = make(space=SPACE, lessons=learnt)
    learnt.unlink()
    asleep = pickle.loads(pickle.dumps(searcher))
    suggest(asleep, "a")
    asleep.save(str(tmp_path / "saved"))
    restored = make(space=SPACE)
    restored.restore(str(tmp_path / "saved"))
    assert restored.evidence().lessons == asleep.evidence().lessons
    assert restored.evidence().lessons.trials == 4


def test_the_ledger_alone_gives_the_same_question_and_the_same_lessons(make, learnt, tmp_path):
    searcher = make(space=SPACE, lessons=learnt)
    suggest(searcher, "a")
    run_trial(searcher, "a", [0.4])
    searcher.ledger.flush()
    dead = evidence_from_ledger(read_events(searcher.ledger.path))
    assert dead.lessons == searcher.evidence().lessons
    searcher.write_lessons(tmp_path / "live.md")
    assert main(["lessons", str(searcher.ledger.path), "-o", str(tmp_path / "dead.md")]) == 0
    assert (tmp_path / "dead.md").read_text() == (tmp_path / "live.md").read_text()


def test_what_cannot_be_read_or_written_is_said_at_once(make, tmp_path, capsys):
    with pytest.raises(LessonsError, match=r"nowhere\.md.*write_lessons"):
        LLMSearcher(lessons=tmp_path / "nowhere.md", ledger=str(tmp_path / "l.jsonl"))
    searcher = make()
    with pytest.raises(LessonsError, match="after at least one trial has ended"):
        searcher.write_lessons(tmp_path / "lessons.md")
    suggest(searcher, "a")
    run_trial(searcher, "a", [1.0])
    with pytest.raises(LessonsError, match="No such file"):
        searcher.write_lessons(tmp_path / "no folder" / "lessons.md")
    assert main(["lessons", str(tmp_path / "none.jsonl"), "-o", "x.md"]) == 2
    assert "none.jsonl" in capsys.readouterr().err
