"""The comparison by time: which runs are still to be made, what ends one, and its table."""

from __future__ import annotations

import time

import pandas as pd

from experiments.forecast import by_clock

SETTING = by_clock.Setting("demo", "processor", 20.0, 500, 10)


def row(arm: str, seed: int, whole: float, **others: object) -> dict[str, object]:
    counts = {"any": whole, "trials": 9, "wholes": 4, "epochs": 90, "seconds_an_epoch": 0.5}
    return {**SETTING._asdict(), "arm": arm, "seed": seed, "whole": whole, **counts, "busy": 0.9,
            **others}  # fmt: skip


def test_what_is_in_the_file_is_not_run_again() -> None:
    rows = pd.DataFrame([row("pair", 0, 0.2), row("alone", 1, 0.2, seconds=110.0)])
    left = by_clock.missing(rows, SETTING, 2)
    assert len(left) == 2 * len(by_clock.ARMS) - 1
    assert ("pair", 0) not in left
    assert ("alone", 1) in left  # that was another setting


def test_the_table_holds_the_seeds_that_all_arms_have() -> None:
    rows = [row(arm, 0, 0.2) for arm in by_clock.ARMS] + [row("pair", 1, 0.9)]
    shown = by_clock.table(pd.DataFrame(rows))
    assert "| pair | 1 | 0.200 (0.200) |" in shown
    assert by_clock.table(pd.DataFrame(rows[-2:])) == "no seed is there of all arms"


def test_processor_time_of_all_processes_ends_a_run() -> None:
    clock = by_clock.ProcessorTime(1000.0)
    clock("a", {"pid": 1, "processor_s": 600.0})
    clock("b", {"pid": 1, "processor_s": 700.0})  # of the same process, from its beginning
    assert not clock.stop_all()
    clock("c", {"pid": 2, "processor_s": 300.0 + time.process_time()})
    assert clock.stop_all()
