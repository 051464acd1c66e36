"""Each event has one function, and what it writes can be read and counted."""

from __future__ import annotations

import inspect

from raymimic import events
from raymimic.ledger import Ledger
from raymimic.modulation import events as of_training
from raymimic.records import Call, Proposal
from raymimic.summary import Journal, tally_of

SAMPLES = {
    int: 3, float: 0.5, str: "word", bool: True, Call: Call("m", "ok", 1.23456),
    Proposal: Proposal({"x": 1}, "why", "llm", repairs=("mended",)),
}  # fmt: skip


class Written(list):
    def __call__(self, event, /, **fields):
        self.append((event, fields))


def sample(annotation):
    """A value for a parameter, from its annotation as it is written."""
    first = annotation.partition(" |")[0]
    return next((value for kind, value in SAMPLES.items() if kind.__name__ == first), {})


def functions():
    rooms = (events, of_training)
    found = [f for room in rooms for _, f in inspect.getmembers(room, inspect.isfunction)]
    own = [f for f in found if f.__module__ in {room.__name__ for room in rooms}]
    return [f for f in own if not f.__name__.startswith("_") and f.__name__ != "asked"]


def test_every_event_says_what_it_is_and_takes_each_field_by_name():
    for write_event in functions():
        written = Written()
        kinds = inspect.signature(write_event).parameters
        given = {
            name: sample(kind.annotation)
            for name, kind in kinds.items()
            if name != "write" and kind.kind is kind.KEYWORD_ONLY
        }
        records = [
            sample(kind.annotation)
            for name, kind in kinds.items()
            if name != "write" and kind.kind is kind.POSITIONAL_OR_KEYWORD
        ]
        write_event(written, *records, **given)
        ((event, _),) = written
        assert event == write_event.__name__.removeprefix("redirect_")
        assert write_event.__doc__


def test_a_clone_names_whence_it_came():
    written = Written()
    events.clone(
        written, trial_id="a", epoch=3, from_trial="b", from_epoch=2, from_value=0.5,
        knobs={"lr": (0.1, 0.2)}, before=1.0, reason="why", source="heuristic",
    )  # fmt: skip
    ((_, fields),) = written
    assert list(fields)[:5] == ["trial_id", "epoch", "from", "from_epoch", "from_value"]


def test_a_judgements_age_is_what_passed_since_it_was_asked():
    common = {"trial_id": "a", "action": "stop", "reason": "", "knobs": {}, "outcome": "applied",
              "model": "m", "tokens": 1, "cases": 2}  # fmt: skip
    written = Written()
    events.judgement(written, epoch=5, asked_epoch=3, **common)
    events.judgement(written, epoch=None, asked_epoch=3, **common)
    assert [fields["age"] for _, fields in written] == [2, None]


def test_what_is_not_known_is_not_written():
    written = Written()
    events.drop(written, reason="stale", text="")
    events.drop(written, reason="stale", text="", proposal=0)
    events.call(written, Call("m", "ok", 1.23456))
    events.call(written, Call("m", "ok", 1.23456), asked=0)
    assert ["proposal" in fields for _, fields in written[:2]] == [False, True]
    assert [fields.get("asked") for _, fields in written[2:]] == [None, 0]
    assert written[2][1]["seconds"] == 1.235


def test_a_journal_counts_what_it_writes(tmp_path):
    journal = Journal(Ledger(tmp_path / "ledger.jsonl"))
    events.fallback(journal.append, reason="patience", text="", source="random", slots=3)
    events.fault(journal.append, hook="suggest", error=KeyError("x"))
    assert journal.tally.fallbacks == {"patience": 3}
    assert journal.tally.faults == {"suggest": 1}


def test_the_verdicts_of_a_modulated_training_are_no_redirects(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    rows = []
    of_training.verdict(
        lambda event, /, **fields: rows.append(ledger.append(event, **fields)),
        epoch=3, ended=4, verdict="better", before=1.0, after=0.5, expected=0.9, margin=0.1,
    )  # fmt: skip
    assert not tally_of(rows).redirects
