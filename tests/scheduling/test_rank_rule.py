"""Ranks: clones among trainings from scratch."""

from __future__ import annotations

from raymimic.scheduling.rank_rule import RankRule

LENGTH = 40


def scratch(epoch: int, end: float) -> float:
    return end + epoch**-0.5


def test_nobody_is_measured_against_a_clones_later_epochs():
    ranks = RankRule(grace=1, length=LENGTH, patience=2.0)
    for name, end in (("a", 0.1), ("b", 0.5), ("c", 0.6)):
        for epoch in range(1, 31):
            ranks.add(name, epoch, scratch(epoch, end))
    before = ranks._ranked(ranks._trials["c"], 20, LENGTH, 1)
    for name in ("d", "e"):
        for epoch in range(1, 6):
            ranks.add(name, epoch, 2.0)
        ranks.clone(name)
        for epoch in range(6, 30):
            ranks.add(name, epoch, 0.1)
            reading = ranks.read(name)
            assert reading is None or not reading.hopeless
    ranks.add("f", 1, scratch(1, 0.3))
    for epoch in range(2, 30):
        ranks.add("f", epoch, scratch(epoch, 0.3))
        reading = ranks.read("f")
        assert reading is None or (reading.place == 2 and not reading.hopeless)
    assert before.place == 3
    ranks.end("d", whole=True)
    assert ranks.finished == 1
    assert ranks._field.length == 0  # no forecast is made from it
    ranks.add("d", 1, 2.0)  # it was retried from scratch
    assert 2.0 in ranks._at[1]
