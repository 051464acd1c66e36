from __future__ import annotations

import json
import math
import pickle
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic import Ledger, read_events
from raymimic.errors import LedgerError
from raymimic.ledger import Later, jsonable, to_float
from raymimic.summary import tally_of

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(value=ANYTHING)
@settings(max_examples=200, deadline=None)
def test_whatever_is_written_is_one_line_of_valid_json(value):
    line = json.dumps(jsonable({"value": value}), allow_nan=False)
    assert "\n" not in line
    json.loads(line, parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize("value", [1.5, -math.inf, math.inf, np.float32(0.25)])
def test_numbers_come_back(value):
    assert to_float(jsonable(value)) == value
    assert math.isnan(to_float(jsonable(math.nan)))
    assert to_float(None) is None


def test_events_are_numbered_and_read_back_in_order(tmp_path):
    ledger = Ledger(tmp_path / "new folder" / "ledger.jsonl")
    for index in range(3):
        ledger.append("drop", reason="stale", text=f"text {index}\nof two lines")
    ledger.flush()
    events = read_events(ledger.path)
    assert [row["n"] for row in events.rows] == [0, 1, 2]
    assert events.of("drop")[2]["text"] == "text 2\nof two lines"
    again = pickle.loads(pickle.dumps(ledger))
    again.append("drop", reason="stale", text="after a restart")
    again.flush()
    assert read_events(ledger.path).rows[-1]["n"] == 3


@pytest.mark.parametrize(
    ("tail", "kept", "torn"),
    [(b'{"event": "drop", "te', 1, 1), (b'{"event": "drop"}', 2, 0), (b"\xff\xfe", 1, 1)],
)
def test_a_half_written_last_line_is_mended(tmp_path, tail, kept, torn):
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"event": "drop"}\n' + tail)
    assert read_events(path).unreadable == torn  # readable as it is
    ledger = Ledger(path)
    ledger.append("fallback", reason="x", text="y")
    ledger.flush()
    events = read_events(path)
    assert events.unreadable == 0
    assert len(events.of("drop")) == kept
    assert len(events.of("torn")) == torn
    assert events.rows[-1]["n"] == 2


def test_a_disk_that_fails_is_counted_and_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    ledger = Ledger(tmp_path / "file" / "ledger.jsonl")
    for _ in range(3):
        ledger.append("drop", reason="stale", text="")
    ledger.flush()
    assert ledger.lost == 3


def test_what_a_full_disk_refused_is_written_when_there_is_room_again(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("drop", reason="before", text="x" * 100)
    ledger.flush()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for a part of the next event only.
    limit = ledger.path.stat().st_size + 30
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
    try:
        for number in range(3):
            ledger.append("drop", reason="full", text=f"{number}")
        ledger.flush()
        assert ledger.lost == 3
        assert ledger.path.stat().st_size == limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    ledger.append("drop", reason="after", text="")
    ledger.flush()
    events = read_events(ledger.path)
    assert (events.unreadable, ledger.lost) == (0, 0)
    assert [row["n"] for row in events.rows] == [0, 1, 2, 3, 4]


def test_a_ledger_deleted_under_its_writer_goes_on_in_a_new_file(tmp_path, caplog):
    ledger = Ledger(tmp_path / "here" / "ledger.jsonl")
    ledger.append("drop", reason="gone", text="")
    ledger.flush()
    shutil.rmtree(tmp_path / "here")
    ledger.append("drop", reason="kept", text="")
    ledger.flush()
    assert [row["n"] for row in read_events(ledger.path).rows] == [1]
    assert "was deleted" in caplog.text


def test_numbers_go_on_behind_the_last_one_written(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"event": "drop", "n": 0}\n{"event": "drop", "n": 7}\n')
    assert Ledger(path).next == 8
    path.write_text('{"event": "drop", "n": 7}\n{"event": "dr')
    assert Ledger(path).next == 9
    assert [row["n"] for row in read_events(path).rows] == [7, 8]


def test_a_missing_ledger_is_named(tmp_path):
    with pytest.raises(LedgerError, match=r"nothing\.jsonl"):
        read_events(tmp_path / "nothing.jsonl")


def test_events_go_to_parquet(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("proposal", id=0, config={"lr": 0.1, "sizes": [1, 2]}, repairs=["clamped"])
    ledger.append("outcome", trial_id="a", score=math.nan, curve={"epochs": [1]})
    ledger.flush()
    frame = read_events(ledger.path).to_pandas()
    frame.to_parquet(tmp_path / "ledger.parquet")
    assert list(frame["event"]) == ["proposal", "outcome"]
    assert frame["config.lr"][0] == 0.1


def test_the_summary_tells_best_sources_faults_calls_and_money(tmp_path):
    rows = [
        {"event": "search", "metric": "acc", "mode": "max", "advisor": "m", "t": 100.0},
        {"event": "proposal", "id": 0, "source": "llm", "config": {"lr": 0.1},
         "rationale": "known good", "repairs": ["lr: clamped"]},
        {"event": "proposal", "id": 1, "source": "random", "config": {"lr": 0.2}, "rationale": ""},
        {"event": "start", "trial_id": "a", "proposal": 0},
        {"event": "start", "trial_id": "b", "proposal": 1},
        {"event": "call", "status": "ok", "tokens_in": 1000, "tokens_out": 50, "cost": 0.002,
         "failed_tries": ["429"]},
        {"event": "call", "status": "timeout", "tokens_in": 0, "tokens_out": 0, "cost": None},
        {"event": "fallback", "reason": "timeout"},
        {"event": "drop", "reason": "repeat"},
        {"event": "outcome", "trial_id": "a", "status": "done", "score": 0.75},
        {"event": "outcome", "trial_id": "b", "status": "failed", "score": None},
        {"event": "outcome", "trial_id": "a", "status": "done", "score": 0.8, "t": 160.0},
    ]  # fmt: skip
    text = tally_of(rows).text()
    assert "2 trials ended (done 1, failed 1) in 1 min 0 s, for acc (higher is better)" in text
    assert "Best: acc 0.8 in trial a, proposed by llm: lr=0.1" in text
    assert "why it was tried: known good" in text
    assert "Proposed by: llm 1, random 1. Repaired: 1. Dropped proposals: repeat 1." in text
    assert "Slots the advisor left empty: timeout 1 (filled by random 1)." in text
    assert "Model m: 2 calls (ok 1, timeout 1, retried after 429 1), 1,000 tokens in" in text
    assert "$0.0020 + 1 calls of unknown price" in text


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "outcome", "status": "done", "stopped": True}, "stopped there"),
        ({"event": "unfinished", "curve": None}, "still under way"),
    ],
)
def test_the_best_is_handed_over_whole_or_not_with_its_epoch(event, said):
    whole = {"event": "outcome", "trial_id": "a", "status": "done", "score": 0.8, "stopped": False}
    rows = [
        {"event": "search", "metric": "loss", "mode": "min", "advisor": "m"},
        {**whole, "epochs": 20},
        {"trial_id": "b", "score": 0.5, "epochs": 7, **event},
    ]
    assert f"Best: loss 0.5 in trial b after 7 epochs, {said}, proposed" in tally_of(rows).text()
    assert "Best: loss 0.8 in trial a, proposed" in tally_of(rows[:2]).text()


def test_an_empty_search_has_a_summary():
    text = tally_of([{"event": "search", "metric": "loss", "mode": "min", "advisor": "m"}]).text()
    assert "no trial of this search has started" in text
    assert "Proposed by: nobody" in text


def test_a_folder_is_no_ledger(tmp_path: Path):
    with pytest.raises(LedgerError):
        read_events(tmp_path)


def test_reading_on_leaves_out_what_came_before(tmp_path: Path):
    ledger = Ledger(tmp_path / "l.jsonl")
    for number in range(5):
        ledger.append("start", trial_id='with "n": 9 in it', number=number)
    ledger.flush()
    with open(ledger.path, "a") as file:
        file.write('{"n": 7, "event": "drop"}\n{"event": "drop"}\nno json\n')
    read = read_events(ledger.path, first=3)
    assert [row["n"] for row in read.rows] == [3, 4, 7]
    assert read.unreadable == 1
    assert len(read_events(ledger.path).rows) == 7


def test_what_is_made_later_is_written_as_its_data(tmp_path: Path):
    ledger = Ledger(tmp_path / "l.jsonl")
    ledger.append("outcome", curve=Later(lambda: {"epochs": [1, 2]}))
    ledger.flush()
    assert read_events(ledger.path).rows[0]["curve"] == {"epochs": [1, 2]}


class BadRepr:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "value",
    [10**5000, {"a": [-(10**5000)]}, BadRepr(), Later(lambda: 10**5000), Later(lambda: 1j)],
    ids=range(5),
)
def test_the_writer_outlives_whatever_it_is_given(tmp_path, value):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("drop", reason="odd", text=value)
    ledger.append("drop", reason="after", text="")
    ledger.flush()
    assert [row["reason"] for row in read_events(ledger.path).rows] == ["odd", "after"]
    assert ledger.lost == 0


def test_a_path_that_none_can_be_is_a_disk_that_fails(tmp_path):
    ledger = Ledger(tmp_path / "a\0b.jsonl")
    ledger.append("drop", reason="r", text="")
    begun = time.monotonic()
    ledger.flush()
    assert ledger.lost == 1
    assert time.monotonic() - begun < 4


def test_events_of_two_searches_in_one_file_are_told_apart(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for search in ("one", "two"):
        ledger = pickle.loads(pickle.dumps(Ledger(path, search)))
        ledger.append("drop", reason=search, text="")
        ledger.flush()
    Ledger(path).append("drop", reason="anybody", text="")
    with open(path, "a") as file:
        file.write('{"event": "outcome", "trial_id": 7}\n')
    events = read_events(path).of_search("two")
    assert "two" in [row["reason"] for row in events.rows]
    assert "one" not in [row["reason"] for row in events.rows]
    assert events.unreadable == 1
