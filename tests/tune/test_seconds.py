"""Seconds an epoch of a trial takes: read from Tune's results, kept with the trial."""

from __future__ import annotations

import pytest

from raymimic import read_events
from raymimic.advisor import evidence_from_ledger
from raymimic.testing.advisors import suggest


def test_start_up_is_no_part_of_an_epoch_and_the_ledger_and_a_restore_know_the_pace(
    make, tmp_path
) -> None:
    searcher = make()
    for trial in ("a", "b"):
        suggest(searcher, trial)
        for epoch in (1, 2, 3):  # 5 s of start-up in the first epoch, then 2 s each
            told = {"loss": 1.0, "training_iteration": epoch, "time_total_s": 5.0 + 2.0 * epoch}
            searcher.on_trial_result(trial, told)
    assert searcher.evidence().running[0].pace == pytest.approx(2.0)
    searcher.on_trial_complete("a", told)
    searcher.ledger.flush()
    searcher.save(str(tmp_path / "state.pkl"))
    restored = make()
    restored.restore(str(tmp_path / "state.pkl"))
    found = evidence_from_ledger(read_events(searcher.ledger.path))
    for evidence in (searcher.evidence(), restored.evidence(), found):
        assert evidence.trials[0].pace == pytest.approx(2.0)


def test_results_without_seconds_leave_the_pace_unknown(make) -> None:
    searcher = make()
    suggest(searcher, "a")
    searcher.on_trial_result("a", {"loss": 1.0, "training_iteration": 1})
    assert searcher.evidence().running[0].pace == 0.0
