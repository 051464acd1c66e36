"""A hundred slots: none waits for one model's answer, and no call does the work of a hundred."""

from __future__ import annotations

import time

import pytest
from tune_fakes import CountingAdvisor, HeldAdvisor, suggest

SLOTS = 100


def fill(searcher, count: int) -> int:
    """Ask as Tune does until ``count`` trials run or nothing comes for a while; how many run."""
    started, end = 0, time.monotonic() + 1.0
    while started < count and time.monotonic() < end:
        if searcher.suggest(f"t{started}") is None:
            time.sleep(0.005)
        else:
            started, end = started + 1, time.monotonic() + 1.0
    return started


@pytest.mark.parametrize("slots", [16, SLOTS])
def test_while_a_model_thinks_all_but_a_few_of_many_slots_are_filled(make, events, slots):
    advisor = HeldAdvisor()
    searcher = make(llm=advisor)
    searcher.set_max_concurrency(slots)
    first = fill(searcher, slots)
    if slots == 16:
        assert first <= 1  # the answer brings one for each of the others
        advisor.gate.set()
        return
    assert slots - 16 <= first < slots
    assert sum(searcher.tally.fallbacks.values()) >= first
    assert "demand" in searcher.tally.fallbacks
    assert sum(row["slots"] for row in events("fallback")) == sum(searcher.tally.fallbacks.values())
    assert searcher.tally.started == {"statistical": first}
    advisor.gate.set()
    assert suggest(searcher, "one more") == {"x": 0.01}  # the model's own, once it has answered
    ((_, wanted),) = advisor.asked
    assert slots <= wanted <= 128


def test_a_long_answer_enters_the_queue_in_parts(make, events):
    advisor = CountingAdvisor()
    searcher = make(llm=advisor, batch_size=64)
    searcher.set_max_concurrency(8)
    suggest(searcher, "a")
    assert len(events("proposal")) == 16
    for name in "bcd":
        suggest(searcher, name)
    assert len(events("proposal")) == 64
    assert len(advisor.asked) == 1  # nothing is asked for while more is on its way in


def test_slots_that_end_quickly_make_questions_come_ahead_of_need(make):
    advisor = CountingAdvisor()
    searcher = make(llm=advisor)
    searcher.set_max_concurrency(SLOTS)
    assert fill(searcher, SLOTS) == SLOTS
    empty = 0
    for index in range(200):
        searcher.on_trial_complete(f"t{index}", {"loss": 1.0, "training_iteration": 1})
        name = f"t{SLOTS + index}"
        empty += searcher.suggest(name) is None and bool(suggest(searcher, name))
    assert empty <= 10
    assert max(wanted for _, wanted in advisor.asked) <= 128
