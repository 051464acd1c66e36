"""The history keeps every reported value exactly, in memory and in every export."""

from __future__ import annotations

import copy
import json
import math
import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic.curves import Curve, CurveHistory

NAMES = st.sampled_from(["loss", "val_loss", "epoch", "epoch_", "trial_id", "a/b"])
METRICS = st.dictionaries(NAMES, st.floats(), max_size=4)
APPENDS = st.lists(
    st.tuples(st.sampled_from("ABC"), st.integers(0, 6), METRICS, st.booleans()), max_size=25
)


def filled(appends: list[tuple[str, int, dict[str, float], bool]]) -> CurveHistory:
    history = CurveHistory()
    for trial_id, epoch, metrics, restarted in appends:
        history.append(trial_id, epoch, metrics, restarted=restarted)
    return history


def curves(history: CurveHistory) -> dict[str, Curve]:
    return {trial_id: history.curve(trial_id) for trial_id in history.trial_ids}


def small_history() -> CurveHistory:
    history = CurveHistory()
    history.append("A", 1, {"loss": 2.3})
    history.append("A", 2, {"loss": 1.5, "val_loss": 1.7})
    history.append("B", 1, {"loss": math.inf})
    history.append("A", 3, {"loss": math.nan})
    return history


def test_gaps_and_reported_nan_are_told_apart() -> None:
    curve = small_history().curve("A")
    np.testing.assert_array_equal(curve.column("loss"), [2.3, 1.5, math.nan])
    np.testing.assert_array_equal(curve.column("val_loss"), [math.nan, 1.7, math.nan])
    assert curve.nan_epochs == {"loss": {3}}
    assert (curve.last("loss"), curve.last("val_loss"), curve.last("other")) == (1.5, 1.7, None)
    with pytest.raises(KeyError):
        curve.column("other")


def test_the_final_value_is_the_last_reported_one() -> None:
    history = small_history()
    curve = history.curve("A")
    assert curve.final("loss") is None  # reported as NaN: 1.5 is no result
    assert curve.final("val_loss") == 1.7  # not reported since: a gap
    assert curve.final("other") is None
    assert history.curve("B").final("loss") is None


def test_counts_and_unknown_trials() -> None:
    history = small_history()
    assert (len(history), history.rows, history.trial_ids) == (2, 4, ("A", "B"))
    assert "A" in history
    assert "C" not in history
    with pytest.raises(KeyError):
        history.curve("C")


@given(APPENDS)
@settings(deadline=None)
def test_rows_are_what_a_plain_dictionary_would_hold(appends: list) -> None:
    model: dict[str, dict[int, dict[str, float]]] = {}
    for trial_id, epoch, metrics, restarted in appends:
        rows = model.setdefault(trial_id, {})
        if restarted:
            rows = {old: row for old, row in rows.items() if old < epoch}
        model[trial_id] = {**rows, epoch: metrics}
    history = filled(appends)
    assert history.trial_ids == tuple(model)
    assert history.rows == sum(map(len, model.values()))
    for trial_id, rows in model.items():
        curve = history.curve(trial_id)
        assert curve.epochs.tolist() == sorted(rows)
        assert set(curve.columns) == {name for row in rows.values() for name in row}
        for name, values in curve.columns.items():
            expected = [rows[epoch].get(name, math.nan) for epoch in sorted(rows)]
            np.testing.assert_array_equal(values, expected)
            nans = {epoch for epoch, row in rows.items() if math.isnan(row.get(name, 0.0))}
            assert curve.nan_epochs.get(name, set()) == nans


@given(APPENDS)
@settings(deadline=None)
def test_every_copy_and_export_comes_back_exactly(appends: list) -> None:
    history = filled(appends)
    for back in (
        CurveHistory.from_arrow(history.to_arrow()),
        CurveHistory.from_pandas(history.to_pandas()),
        pickle.loads(pickle.dumps(history)),
        copy.deepcopy(history),
    ):
        assert back.trial_ids == history.trial_ids
        assert back.rows == history.rows
        assert curves(back) == curves(history)
    for curve in curves(history).values():
        text = json.dumps(curve.to_json(), allow_nan=False)
        assert Curve.from_json(json.loads(text)) == curve
        assert pickle.loads(pickle.dumps(curve)) == curve


@given(APPENDS)
@settings(deadline=None)
def test_rows_of_a_curve_build_it_again(appends: list) -> None:
    history = filled(appends)
    again = CurveHistory()
    for trial_id in history.trial_ids:
        for epoch, metrics in history.curve(trial_id).rows():
            again.append(trial_id, epoch, metrics)
    assert curves(again) == curves(history)


def test_parquet_comes_back_exactly(tmp_path: Path) -> None:
    history = small_history()
    history.to_parquet(tmp_path / "curves.parquet")
    assert curves(CurveHistory.from_parquet(tmp_path / "curves.parquet")) == curves(history)


def test_tables_start_with_their_keys_and_may_be_shuffled() -> None:
    table = small_history().to_arrow()
    assert table.column_names == ["trial_id", "epoch", "loss", "val_loss"]
    shuffled = CurveHistory.from_arrow(table.take([3, 1, 0, 2]))
    assert curves(shuffled) == curves(small_history())


def test_bad_tables_are_refused() -> None:
    table = small_history().to_arrow()
    with pytest.raises(ValueError, match="trial_id"):
        CurveHistory.from_arrow(table.drop_columns(["epoch"]))
    with pytest.raises(ValueError, match="two for trial 'A' at epoch 1"):
        CurveHistory.from_arrow(table.take([0, 0]))


def test_a_value_that_is_no_number_changes_nothing() -> None:
    history = small_history()
    with pytest.raises(TypeError):
        history.append("A", 4, {"loss": 1.0, "val_loss": None})  # type: ignore[dict-item]
    assert curves(history) == curves(small_history())
    with pytest.raises(TypeError):
        history.append("C", 1, {"loss": None})  # type: ignore[dict-item]
    assert "C" not in history


def test_a_copy_and_a_snapshot_stand_still() -> None:
    history = small_history()
    curve, other = history.curve("A"), copy.deepcopy(history)
    history.append("A", 4, {"loss": 1.0})
    assert len(curve) == len(other.curve("A")) == 3
    with pytest.raises(ValueError, match="read-only"):
        curve.column("loss")[0] = 0.0


def test_columns_must_fit_the_epochs() -> None:
    with pytest.raises(ValueError, match="one value per epoch"):
        Curve(np.array([1, 2]), {"loss": np.array([1.0])})


def test_readers_see_whole_rows_while_a_writer_appends() -> None:
    history = CurveHistory()
    history.append("t0", 0, {"a": 0.0, "b": 0.0})
    faults: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for trial_id in history.trial_ids[-3:]:
                curve = pickle.loads(pickle.dumps(history.curve(trial_id)))
                if not np.array_equal(curve.column("a"), curve.epochs):
                    faults.append(f"{trial_id}: {curve.columns}")
            if len(pickle.loads(pickle.dumps(history)).to_arrow()) == 0:
                faults.append("empty")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for trial in range(30):
        for step, epoch in enumerate([*range(40), *range(20, 60)]):
            new = {f"late{epoch}": 1.0} if epoch % 20 == 5 else {}
            restarted = step == 40
            history.append(f"t{trial}", epoch, {"a": epoch, "b": epoch, **new}, restarted=restarted)
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert history.rows == 30 * 60


def test_append_costs_the_same_at_any_size() -> None:
    metrics = {f"m{index}": 0.5 for index in range(5)}

    def seconds(history: CurveHistory, trial_id: str) -> float:
        start = time.perf_counter()
        for epoch in range(1000):
            history.append(trial_id, epoch, metrics)
        return time.perf_counter() - start

    history = CurveHistory()
    fresh = min(seconds(history, f"a{index}") for index in range(5))
    for index in range(100):
        seconds(history, f"fill{index}")
    grown = min(seconds(history, f"b{index}") for index in range(5))
    assert grown < 5 * fresh + 0.01  # a copy per append would be a hundred times slower
