"""A search is saved, refused where it cannot be read, and taken up to its ledger's end."""

from __future__ import annotations

import pickle

import pytest
from engine import SPACE

from raymimic.ledger import Ledger
from raymimic.search.checkpoint import LAYOUT, Checkpoint, load, resume, save
from raymimic.search.elsewhere import add_evaluated
from raymimic.search.session import Session
from raymimic.space import Choice, FloatRange, SearchSpace
from raymimic.summary import Journal
from raymimic.testing.advisors import CountingAdvisor


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.pkl"


def fresh(tmp_path, space=None, **settings):
    """The session of a new process, before anything was restored."""
    return Session(Journal(Ledger(tmp_path / "ledger.jsonl")), 0, space=space, **settings)


def restored(path, tmp_path, space=None, **settings):
    return resume(load(path), fresh(tmp_path, space, **settings))


def point(session, x, value, curve=None):
    add_evaluated(
        session, {"x": x}, value=value, error=False, pruned=False, intermediate_values=curve
    )


# -- the file ------------------------------------------------------------------------------------


def test_a_file_says_its_layout_and_holds_what_the_adapter_wants_besides(make, path):
    save(path, make(CountingAdvisor()).session, {"mine": 1})
    assert path.read_bytes().startswith(b"raymimic checkpoint %d\n" % LAYOUT)
    assert load(path).adapter == {"mine": 1}
    assert not list(path.parent.glob("*.part"))


def header(number):
    return b"raymimic checkpoint %d\n" % number


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (pickle.dumps({"session": "as it was saved once"}), "got layout none"),
        (b"", "got layout none"),
        (header(LAYOUT + 1) + b"whatever it holds", f"got layout {LAYOUT + 1};"),
        (header(0) + pickle.dumps(1), "got layout 0;"),
        (header(LAYOUT) + pickle.dumps(1), f"got layout {LAYOUT} that holds a int"),
        (header(LAYOUT) + b"craymimic.search.feed\nFeed\n.", "ModuleNotFoundError"),
        (header(LAYOUT) + pickle.dumps(Checkpoint)[:-3], "cannot be read"),
    ],
    ids=["no header", "empty", "newer", "older", "something else", "moved", "cut off"],
)
def test_another_layout_is_refused_in_words(path, data, found):
    path.write_bytes(data)
    with pytest.raises(ValueError, match="must be a checkpoint") as refused:
        load(path)
    text = str(refused.value)
    assert str(path) in text
    assert found in text
    assert f"with layout {LAYOUT}" in text
    assert "raymimic lessons LEDGER" in text


def test_a_failed_save_leaves_the_checkpoint_before(make, path):
    session = make(CountingAdvisor()).session
    save(path, session)
    kept = path.read_bytes()

    def fails(_):
        raise pickle.PicklingError("an object that nobody can write")

    with pytest.raises(pickle.PicklingError):
        save(path, session, dumps=fails)
    assert path.read_bytes() == kept


def test_saving_a_long_search_again_is_cheap_and_complete(make, path, tmp_path, monkeypatch):
    session = make(CountingAdvisor()).session
    for i in range(300):
        point(session, i / 300, float(i), [i + 1.0, i])
    save(path, session)
    pickled = []
    dumps = pickle.dumps
    monkeypatch.setattr(
        "raymimic.search.archive.pickle.dumps",
        lambda items: pickled.append(len(items)) or dumps(items),
    )
    point(session, 0.0005, -1.0)
    save(path, session, dumps=dumps)
    assert 128 not in pickled  # whole blocks are pickled once
    again = restored(path, tmp_path)
    assert again.evidence().trials == session.evidence().trials


def test_an_ended_trial_that_changed_is_saved_as_it_is_now(make, path, tmp_path):
    engine = make(CountingAdvisor(remote=False), slots=1)
    for number in range(128):
        engine.suggest(f"t{number}")
        engine.end(f"t{number}", 1.0, failed=True)
    save(path, engine.session)
    engine.session.note_error("t5", "MemoryError: full")
    save(path, engine.session)
    assert restored(path, tmp_path).state.trial("t5").error == "MemoryError: full"


# -- taking it up --------------------------------------------------------------------------------


def test_queue_trials_and_counters_come_back(make, path, tmp_path):
    engine = make(CountingAdvisor(), batch_size=4, trials=9, slots=3)
    engine.suggest("a")
    engine.end("a", 2.0, 1.0)
    engine.suggest("b")
    engine.session.state.record("b", 1, {"loss": 1.5}, restarted=False)
    save(path, engine.session)
    again = restored(path, tmp_path)
    assert list(again.state.trial("a").curve.column("loss")) == [2.0, 1.0]
    assert again.state.trial("b").status == "running"
    assert list(again.state.curve("b").column("loss")) == [1.5]
    assert [one.proposal.config["x"] for one in again.state.queue] == [0.03, 0.04]
    assert again.state.seen({"x": 0.03})  # it is not proposed again
    assert again.journal.tally.started == {"llm": 2}
    assert (again.trials_total, again.concurrency) == (9, 3)
    today = restored(path, tmp_path, trials_total=20, concurrency=5, seconds_total=60.0)
    assert (today.trials_total, today.concurrency, today.seconds_total) == (20, 5, 60.0)


def test_an_ended_trial_that_tune_runs_on_keeps_the_epochs_before(make, path, tmp_path):
    engine = make(CountingAdvisor())
    for name in "ab":
        engine.suggest(name)
        engine.end(name, 2.0, 1.0)
    save(path, engine.session)
    again = restored(path, tmp_path)
    again.state.record("b", 3, {"loss": 0.5}, restarted=True)
    again.end("b", failed=False, trained=3.0, stopped=False)
    assert list(again.state.trial("b").curve.column("loss")) == [2.0, 1.0, 0.5]
    assert again.state.trial("b").config == {"x": 0.02}
    assert [trial.trial_id for trial in again.evidence().trials] == ["a", "b"]


def test_a_blank_search_comes_back_blank(path, tmp_path):
    save(path, fresh(tmp_path, instruction="be quick"))
    again = restored(path, tmp_path, SPACE)
    assert (again.begun, again.instruction, again.space) == (False, "be quick", SPACE)


class Thing:
    """Equal to itself alone, as most objects that users put into a choice."""


def test_the_objects_of_today_count(make, path, tmp_path):
    old, today = (SearchSpace({"x": Choice((Thing(), Thing(), Thing()))}) for _ in range(2))
    engine = make(CountingAdvisor(), space=old)
    for name in "abc":
        engine.suggest(name)
    engine.end("a", 1.0)
    save(path, engine.session)
    again = restored(path, tmp_path, today)
    found = {again.state.trial(name).config["x"] for name in "abc"}
    assert found == set(today.dimensions["x"].values)
    assert again.state.exhausted()


def test_what_does_not_fit_another_space_is_forgotten(make, path, tmp_path):
    engine = make(CountingAdvisor(), batch_size=4)
    for name in "abc":
        engine.suggest(name)  # x = 0.01, 0.02, 0.03, and 0.04 waits
        engine.end(name, 1.0)
    save(path, engine.session)
    again = restored(path, tmp_path, SearchSpace({"x": FloatRange(0.0201, 0.0301)}))
    # "b" would have to be mended: 0.0201 is not what was tried
    assert [trial.trial_id for trial in again.evidence().trials] == ["c"]
    assert not again.state.seen({"x": 0.02})


def test_what_the_checkpoint_missed_comes_back_from_the_ledger(make, path, tmp_path):
    engine = make(CountingAdvisor(), batch_size=4)
    engine.suggest("a")
    save(path, engine.session)
    engine.suggest("b")
    engine.end("b", 2.0, 0.5)  # evaluated, then the driver dies
    engine.suggest("c")  # started, then the driver dies
    engine.session.journal.ledger.flush()
    with open(tmp_path / "ledger.jsonl", "ab") as file:
        file.write(b'{"event": "outcome", "trial_id": "c", "sco')  # killed in mid-write
    again = restored(path, tmp_path)
    assert again.state.trial("b").score == 0.5
    assert list(again.state.curve("b").column("loss")) == [2.0, 0.5]
    # "c" is tried again, and "b" is not repeated
    waiting = [one.proposal.config["x"] for one in again.state.queue]
    assert waiting[:2] == [0.03, 0.04]
    assert 0.02 not in waiting
    assert not again.state.knows("c")
    again.journal.ledger.flush()
    (lost,) = engine.events("lost")
    assert lost["trial_id"] == "c"
    assert again.journal.tally.started == {"llm": 2}
    assert len({row["id"] for row in engine.events("proposal")}) == len(engine.events("proposal"))


def test_what_died_with_the_driver_is_tried_again_in_its_order(make, path, tmp_path):
    engine = make(CountingAdvisor(), batch_size=4)
    engine.suggest("a")
    save(path, engine.session)
    for name in "bc":
        engine.suggest(name)
    engine.session.journal.ledger.flush()
    again = restored(path, tmp_path)
    assert [one.proposal.config["x"] for one in again.state.queue][:2] == [0.02, 0.03]
    assert again.state.drops[-1] == "trial b died with its driver; tried again"


def test_a_line_that_cannot_be_read_shifts_no_number(make, path, tmp_path):
    engine = make(CountingAdvisor(), batch_size=2)
    save(path, engine.session)
    engine.suggest("a")
    engine.session.journal.ledger.flush()
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('{"event": "proposal"', '{"torn', 1))
    (waiting,) = restored(path, tmp_path).state.queue
    assert (waiting.id, waiting.proposal.config) == (1, {"x": 0.02})


def test_proposals_after_the_checkpoint_that_do_not_fit_are_forgotten(make, path, tmp_path):
    engine = make(CountingAdvisor(), batch_size=2)
    save(path, engine.session)
    engine.suggest("a")  # 0.01 started, 0.02 waits
    engine.session.journal.ledger.flush()
    again = restored(path, tmp_path, SearchSpace({"x": FloatRange(0.5, 0.6)}))
    assert not again.state.queue
    assert not again.state.knows("a")
    assert again.state.next_id == 2  # their numbers stay taken


def test_what_was_dropped_after_the_checkpoint_stays_dropped(make, path, tmp_path):
    engine = make(CountingAdvisor(), batch_size=2)
    engine.suggest("a")
    save(path, engine.session)
    for i in range(12):
        point(engine.session, 0.5 + i / 100, 1.0)
    engine.suggest("b")  # 0.02 was too old
    engine.session.journal.ledger.flush()
    again = restored(path, tmp_path)
    assert 0.02 not in [one.proposal.config["x"] for one in again.state.queue]


def test_without_its_ledger_the_checkpoint_is_all_there_is(make, path, tmp_path):
    engine = make(CountingAdvisor())
    engine.suggest("a")
    save(path, engine.session)
    engine.session.journal.ledger.flush()
    (tmp_path / "ledger.jsonl").unlink()
    assert restored(path, tmp_path).state.knows("a")
