"""Selection, checked by hand on small cases and against DEAP and pymoo where they are installed."""

from __future__ import annotations

import random

import numpy as np
import pytest

from raymimic.pareto import (
    crowding,
    front,
    hypervolume,
    ranks,
    select_nsga2,
    select_spea2,
    tournament,
)
from raymimic.pareto.dominance import dominance

# Fronts: 0, 1, 2 | 3 | 4; row 1 is the most crowded of the first.
CASE = np.array([[0.0, 4.0], [1.0, 2.9], [4.0, 0.0], [2.0, 3.5], [5.0, 5.0]])


def cases(count=60):
    rng = np.random.default_rng(0)
    for _ in range(count):
        rows = int(rng.integers(5, 40))
        losses = rng.random((rows, 2))
        yield losses / np.ptp(losses, axis=0), int(rng.integers(1, rows))


def test_fronts_and_crowding_by_hand():
    assert ranks(CASE).tolist() == [0, 0, 0, 1, 2]
    assert front(CASE).tolist() == [0, 1, 2]
    assert crowding(CASE[:3]).tolist() == [np.inf, 2.0, np.inf]
    assert select_nsga2(CASE, 4) == [0, 2, 1, 3]
    assert front(np.array([[1.0, 1.0], [1.0, 1.0]])).tolist() == [0, 1]


def test_spea2_by_hand():
    assert sorted(select_spea2(CASE, 4)) == [0, 1, 2, 3]
    assert sorted(select_spea2(CASE, 2)) == [0, 2]  # row 1 is nearest to another
    assert select_spea2(np.zeros((0, 2)), 3) == []


def test_the_scale_of_an_objective_does_not_matter():
    for losses, k in cases(20):
        scaled = losses * np.array([1.0, 1e6])
        assert select_spea2(scaled, k) == select_spea2(losses, k)
        assert select_nsga2(scaled, k) == select_nsga2(losses, k)


def test_tournaments_prefer_the_better_half():
    losses = np.arange(20.0)[:, None] * np.ones(2)
    won = tournament(losses, 400, random.Random(0))
    assert len(won) == 400
    assert np.mean(won) < 8  # 9.5 without selection


def test_hypervolume_by_hand():
    assert hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), (3.0, 3.0)) == pytest.approx(3.0)
    assert hypervolume(np.array([[4.0, 0.0]]), (3.0, 3.0)) == 0.0
    assert hypervolume(np.array([[1.0, 1.0, 1.0]]), (2.0, 3.0, 4.0)) == pytest.approx(6.0)


def test_nsga2_agrees_with_deap():
    pytest.importorskip("deap", reason="the check against DEAP needs it: pip install deap")
    from deap import base, tools

    class Fitness(base.Fitness):
        weights = (-1.0, -1.0)

    class One(list):
        pass

    for losses, k in cases():
        rows = []
        for number, values in enumerate(losses):
            one = One([number])
            one.fitness = Fitness(tuple(values))
            rows.append(one)
        theirs, ours = {one[0] for one in tools.selNSGA2(rows, k)}, set(select_nsga2(losses, k))
        rank = ranks(losses)

        def place(row, rank=rank, losses=losses):
            members = np.flatnonzero(rank == rank[row])
            return rank[row], crowding(losses[members])[list(members).index(row)]

        # Which end of a cut front is kept is open: both are infinitely uncrowded.
        assert sorted(map(place, theirs - ours)) == sorted(map(place, ours - theirs))


def test_spea2_and_hypervolume_agree_with_pymoo():
    pytest.importorskip("pymoo", reason="the check against pymoo needs it: pip install pymoo")
    from pymoo.algorithms.moo.spea2 import SPEA2Survival
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.indicators.hv import HV

    for losses, k in cases():
        numbers = np.arange(len(losses), dtype=float)[:, None]
        kept = SPEA2Survival().do(
            Problem(n_var=1, n_obj=2), Population.new(F=losses, X=numbers), n_survive=k
        )
        theirs, ours = {int(one) for one in kept.get("X")[:, 0]}, set(select_spea2(losses, k))
        dominates = dominance(losses)
        raw = (dominates * dominates.sum(axis=1)[:, None]).sum(axis=0)
        # Their k-th neighbour is our k+1-th: rows of equal raw fitness may change places.
        assert sorted(raw[list(theirs - ours)]) == sorted(raw[list(ours - theirs)])
        if k < len(front(losses)):
            assert theirs == ours
        volume = HV(ref_point=np.array([0.9, 0.9]))(losses)
        assert hypervolume(losses, (0.9, 0.9)) == pytest.approx(volume)
