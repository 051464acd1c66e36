"""What stands in a ledger besides a search's own sound events is not taken for them."""

from __future__ import annotations

import json

import pytest
from ray import tune

from raymimic import LLMSearcher, read_events
from raymimic.advisor import evidence_from_ledger
from raymimic.errors import LedgerError
from raymimic.summary import tally_of


def make(path, seed=1):
    space = {"lr": tune.uniform(0, 1)}
    return LLMSearcher(space, "loss", "min", llm="none", seed=seed, ledger=path, patience=9)


def trial(searcher, name, value):
    while searcher.suggest(name) is None:
        pass
    searcher.on_trial_complete(name, {"loss": value, "training_iteration": 1})


def test_another_searchs_trials_and_broken_events_are_no_evidence(tmp_path):
    path, saved = tmp_path / "x.jsonl", str(tmp_path / "a.pkl")
    mine, other = make(path), make(path, seed=2)
    trial(mine, "a0", 1.0)
    mine.save(saved)
    trial(other, "b0", -500.0)
    trial(mine, "a1", 2.0)
    for searcher in (mine, other):
        searcher.ledger.flush()
    with open(path, "a") as file:
        for row in ({"event": "proposal"}, {"event": "start", "trial_id": [1], "proposal": "0"},
                    {"event": "outcome", "trial_id": "a1"}):  # fmt: skip
            file.write(json.dumps(row) + "\n")
    again = make(tmp_path / "y.jsonl")
    again.restore(saved)
    assert [(t.trial_id, t.score) for t in again.evidence().trials] == [("a0", 1.0), ("a1", 2.0)]
    found = read_events(path)
    assert [t.trial_id for t in evidence_from_ledger(found).trials] == ["b0"]  # the last that began
    assert tally_of(found.rows).best.trial_id == "b0"
    assert tally_of(found.rows).ended == {"done": 1}


@pytest.mark.parametrize("change", [{"layout": 99}, {"mode": "up"}, {"space": {"dimensions": 3}}])
def test_a_ledger_of_another_layout_is_refused_in_words(tmp_path, change):
    path = tmp_path / "x.jsonl"
    searcher = make(path)
    trial(searcher, "a0", 1.0)
    searcher.ledger.flush()
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), **change}), *rest]) + "\n")
    with pytest.raises(LedgerError):
        evidence_from_ledger(read_events(path))


def test_a_restore_onto_a_ledger_of_another_layout_is_refused_in_words(tmp_path):
    path, saved = tmp_path / "x.jsonl", str(tmp_path / "a.pkl")
    searcher = make(path)
    trial(searcher, "a0", 1.0)
    searcher.save(saved)
    searcher.ledger.flush()
    path.write_text(path.read_text().replace('"layout": 1', '"layout": 0'))
    with pytest.raises(LedgerError, match=r"layout 1, got 0.*move it away"):
        make(tmp_path / "y.jsonl").restore(saved)
    path.unlink()
    make(tmp_path / "y.jsonl").restore(saved)  # the checkpoint is enough
